import { auth } from '@clerk/nextjs/server'
import type { Metadata } from 'next'
import { sourceName } from '@/app/source-name'
import { TimeAgo } from '@/app/time-ago'
import { readHealth } from '@/data/health'
import { HealedChart, SourcesChart } from './charts'
import { DayTable } from './day-table'
import { VerdictBanner } from './verdict'
import './health.css'

export const metadata: Metadata = { title: 'Sync health' }

export default async function HealthPage() {
  await auth.protect()
  const health = await readHealth()
  return (
    <>
      <div className="page-head">
        <h1>Sync health</h1>
        <p className="lede">Whether webhooks arrive, and how many users were healed without one.</p>
      </div>
      <VerdictBanner health={health} />
      <dl className="figures">
        <Figure name="Webhooks arrived" value={health.arrived} />
        <Figure name="Users healed, no webhook" value={health.lost} />
        <Figure name="Events rejected" value={health.rejected} />
      </dl>
      {health.rejected > 0 && (
        <p className="note">
          {health.rejected === 1 ? 'An event was' : `${health.rejected} events were`} rejected in
          the last 24 hours. The ledger says why:
          <code className="query">
            select event_id, user_id, reason from user_sync.events where outcome = 'rejected'
          </code>
        </p>
      )}
      <div className="charts">
        <SourcesChart days={health.days} />
        <HealedChart days={health.days} />
      </div>
      <DayTable days={health.days} />
      <section className="panel" aria-labelledby="last-events">
        <div className="panel-head">
          <h2 id="last-events">Last event of each source</h2>
        </div>
        <table className="sources">
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col">Last event</th>
            </tr>
          </thead>
          <tbody>
            {health.sources.map(({ source, last_event_at }) => (
              <tr key={source}>
                <th scope="row">
                  <span className={`swatch ${source}`} />
                  {sourceName[source]}
                </th>
                <td>{last_event_at ? <TimeAgo at={last_event_at} /> : 'Never'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  )
}

function Figure({ name, value }: { name: string; value: number }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value.toLocaleString('en')} <span>in 24 hours</span>
      </dd>
    </div>
  )
}
