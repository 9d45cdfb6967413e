'use client'

import type { ReactNode } from 'react'
import { Bar, BarChart, CartesianGrid, Tooltip, XAxis, YAxis } from 'recharts'
import { sourceName } from '@/app/source-name'
import type { Day } from '@/data/health'
import { shortDay } from './short-day'
import './charts.css'

type Series = { key: Exclude<keyof Day, 'day'>; name: string }

const sources: Series[] = (['webhook', 'page_load', 'reconcile'] as const).map((key) => ({
  key,
  name: sourceName[key],
}))
const tick = { fill: 'var(--muted)', fontSize: 12 }
const healed: Series[] = [{ key: 'orphans_healed', name: 'Orphans healed' }]

export function SourcesChart({ days }: { days: Day[] }) {
  return (
    <Figure title="Users by source" days={days} series={sources}>
      New users per day, by the source that wrote them first.
    </Figure>
  )
}

export function HealedChart({ days }: { days: Day[] }) {
  return (
    <Figure title="Orphans healed per day" days={days} series={healed}>
      Users whose webhook did not arrive, and who were added by another source.
    </Figure>
  )
}

type FigureProps = { title: string; days: Day[]; series: Series[]; children: ReactNode }

/** A stacked bar for each day. The table of the days has the same figures. */
function Figure({ title, days, series, children }: FigureProps) {
  return (
    <figure className="panel chart">
      <figcaption>
        <h2>{title}</h2>
        <p>{children}</p>
        {series.length > 1 && (
          <ul className="legend">
            {series.map(({ key, name }) => (
              <li key={key}>
                <span className={`swatch ${key}`} />
                {name}
              </li>
            ))}
          </ul>
        )}
      </figcaption>
      <BarChart
        responsive
        className="bars"
        data={days}
        margin={{ top: 4, right: 4, bottom: 0, left: 0 }}
        aria-label={`${title}, a bar for each of ${days.length} days`}
      >
        <CartesianGrid vertical={false} stroke="var(--line)" />
        <XAxis
          dataKey="day"
          tick={tick}
          tickFormatter={shortDay}
          tickLine={false}
          axisLine={{ stroke: 'var(--line-strong)' }}
          minTickGap={28}
        />
        <YAxis tick={tick} allowDecimals={false} width={32} tickLine={false} axisLine={false} />
        <Tooltip
          isAnimationActive={false}
          cursor={{ fill: 'var(--sunken)', stroke: 'none' }}
          content={({ active, label }) => {
            const day = active && days.find((day) => day.day === label)
            return day && <DayCard day={day} series={series} />
          }}
        />
        {series.map(({ key, name }) => (
          <Bar
            key={key}
            dataKey={key}
            name={name}
            stackId="day"
            className={key}
            isAnimationActive={false}
            maxBarSize={18}
          />
        ))}
      </BarChart>
    </figure>
  )
}

function DayCard({ day, series }: { day: Day; series: Series[] }) {
  return (
    <div className="day-card" role="status">
      <strong>{shortDay(day.day)}</strong>
      {series.map(({ key, name }) => (
        <div key={key}>
          <span className={`swatch ${key}`} />
          {name}
          <b>{day[key]}</b>
        </div>
      ))}
    </div>
  )
}
