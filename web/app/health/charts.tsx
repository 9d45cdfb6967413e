'use client'

import type { ReactNode } from 'react'
import { Bar, BarChart, CartesianGrid, Tooltip, XAxis, YAxis } from 'recharts'
import { pathName } from '@/app/path-name'
import type { Day } from '@/data/health'
import { shortDay } from './short-day'

type Series = { key: Exclude<keyof Day, 'day'>; name: string }

const paths: Series[] = (['webhook', 'page_load', 'reconcile'] as const).map((key) => ({
  key,
  name: pathName[key],
}))
const tick = { fill: 'var(--muted)', fontSize: 12 }
const healed: Series[] = [{ key: 'orphans_healed', name: 'Orphans healed' }]

export function PathsChart({ days }: { days: Day[] }) {
  return (
    <Figure title="Users by path" days={days} series={paths}>
      New users per day, by the path that wrote them first.
    </Figure>
  )
}

export function HealedChart({ days }: { days: Day[] }) {
  return (
    <Figure title="Orphans healed per day" days={days} series={healed}>
      Users of whom no webhook told, and whom another path wrote.
    </Figure>
  )
}

type FigureProps = { title: string; days: Day[]; series: Series[]; children: ReactNode }

/** The bars of a day stand on one another. The table of the days says the same in words. */
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
