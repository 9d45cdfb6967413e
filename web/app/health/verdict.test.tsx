import { cleanup, render } from '@testing-library/react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Health } from '@/data/health'
import { VerdictBanner, verdictOf } from './verdict'

const now = Date.parse('2026-11-24T10:00:00.000Z')

beforeEach(() => {
  vi.spyOn(Date, 'now').mockReturnValue(now)
})

afterEach(cleanup)

function health(verdict: Health['verdict'], figures: Partial<Health>): Health {
  return {
    verdict,
    arrived: 0,
    lost: 0,
    rejected: 0,
    lost_since_last_webhook: 0,
    last_webhook_at: null,
    sources: [],
    days: [],
    ...figures,
  }
}

const check = 'Check the endpoint in Clerk: its URL, its signing secret, and whether it is enabled.'

test.each<[Health['verdict'], Partial<Health>, string, string]>([
  [
    'working',
    { arrived: 1 },
    'good',
    'Webhooks look healthy: 1 arrived in the last 24 hours, and nobody had to be healed.',
  ],
  [
    'working',
    { arrived: 1_234, rejected: 2 },
    'good',
    'Webhooks look healthy: 1,234 arrived in the last 24 hours, and nobody had to be healed.',
  ],
  [
    'leaking',
    { arrived: 1, lost: 1 },
    'warning',
    'Some webhooks are lost: 1 user had to be healed in the last 24 hours, while 1 webhook arrived.',
  ],
  [
    'leaking',
    { arrived: 1_500, lost: 2 },
    'warning',
    'Some webhooks are lost: 2 users had to be healed in the last 24 hours, while 1,500 webhooks arrived.',
  ],
  [
    'silent',
    { lost: 3, lost_since_last_webhook: 1, last_webhook_at: '2026-11-24T07:30:00Z' },
    'bad',
    `Webhooks look broken: 1 user had to be healed since the last webhook arrived (2 hours ago). ${check}`,
  ],
  [
    'silent',
    { lost: 2, lost_since_last_webhook: 2 },
    'bad',
    `Webhooks look broken: 2 users had to be healed since the last webhook arrived (none ever arrived). ${check}`,
  ],
  [
    'quiet',
    {},
    'neutral',
    'Nothing to judge by: no webhook arrived in the last 24 hours, and nobody had to be healed.',
  ],
  [
    'quiet',
    { rejected: 1 },
    'warning',
    'Webhooks arrive and are rejected: 1 event in the last 24 hours, and nobody had to be healed. The ledger says why.',
  ],
  [
    'quiet',
    { rejected: 3 },
    'warning',
    'Webhooks arrive and are rejected: 3 events in the last 24 hours, and nobody had to be healed. The ledger says why.',
  ],
])('the verdict "%s" with %j has the tone "%s"', (verdict, figures, tone, sentence) => {
  const { opening, rest, ...found } = verdictOf(health(verdict, figures))
  expect({ ...found, sentence: `${opening} ${rest}` }).toEqual({ tone, sentence })
})

test('the banner shows the verdict as a colour and as text', () => {
  const { container } = render(<VerdictBanner health={health('quiet', { rejected: 1 })} />)
  const banner = container.querySelector('p.verdict.warning')
  expect(banner?.textContent).toMatch(/^Webhooks arrive and are rejected: 1 event in the last/)
})
