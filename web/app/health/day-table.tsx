import type { Day } from '@/data/health'
import { shortDay } from './short-day'
import './day-table.css'

/** The figures of both charts as text, for example for screen readers. */
export function DayTable({ days }: { days: Day[] }) {
  return (
    <details className="panel days">
      <summary>The figures of both charts</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Day</th>
            <th scope="col">Webhook</th>
            <th scope="col">Page load</th>
            <th scope="col">Reconcile</th>
            <th scope="col">Healed</th>
          </tr>
        </thead>
        <tbody>
          {days.toReversed().map((day) => (
            <tr key={day.day}>
              <th scope="row">
                <time dateTime={day.day}>{shortDay(day.day)}</time>
              </th>
              <td>{day.webhook}</td>
              <td>{day.page_load}</td>
              <td>{day.reconcile}</td>
              <td>{day.orphans_healed}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  )
}
