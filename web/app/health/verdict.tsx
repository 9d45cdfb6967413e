import { ago } from '@/app/ago'
import { Glyph, type Tone } from '@/app/glyph'
import type { Health } from '@/data/health'
import './verdict.css'

/** One sentence that says whether webhooks work, with a colour and a sign. */
export function VerdictBanner({ health }: { health: Health }) {
  const { tone, opening, rest } = verdictOf(health)
  return (
    <p className={`verdict ${tone}`}>
      <Glyph tone={tone} />
      <span>
        <strong>{opening}</strong> {rest}
      </span>
    </p>
  )
}

type Verdict = { tone: Tone; opening: string; rest: string }

export function verdictOf(health: Health): Verdict {
  switch (health.verdict) {
    case 'working':
      return {
        tone: 'good',
        opening: 'Webhooks look healthy:',
        rest: `${number(health.arrived)} arrived in the last 24 hours, and nobody had to be healed.`,
      }
    case 'leaking':
      return {
        tone: 'warning',
        opening: 'Some webhooks are lost:',
        rest:
          `${users(health.lost)} had to be healed in the last 24 hours, while ` +
          `${number(health.arrived)} ${health.arrived === 1 ? 'webhook' : 'webhooks'} arrived.`,
      }
    case 'silent':
      return {
        tone: 'bad',
        opening: 'Webhooks look broken:',
        rest:
          `${users(health.lost_since_last_webhook)} had to be healed since the last webhook ` +
          `arrived (${health.last_webhook_at ? ago(health.last_webhook_at) : 'none ever arrived'}). ` +
          'Check the endpoint in Clerk: its URL, its signing secret, and whether it is enabled.',
      }
    case 'quiet':
      // A rejected webhook does not count as arrived, so all of them may have been rejected.
      if (health.rejected > 0) {
        return {
          tone: 'warning',
          opening: 'Webhooks arrive and are rejected:',
          rest:
            `${number(health.rejected)} ${health.rejected === 1 ? 'event' : 'events'} in the last ` +
            '24 hours, and nobody had to be healed. The ledger says why.',
        }
      }
      return {
        tone: 'neutral',
        opening: 'Nothing to judge by:',
        rest: 'no webhook arrived in the last 24 hours, and nobody had to be healed.',
      }
  }
}

const number = (count: number) => count.toLocaleString('en')
const users = (count: number) => `${number(count)} ${count === 1 ? 'user' : 'users'}`
