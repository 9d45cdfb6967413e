'use client'

import { useEffect, useState } from 'react'
import { ago } from './ago'

/** How long ago that was, kept up to date. The title has the exact time. */
export function TimeAgo({ at }: { at: string }) {
  const [now, setNow] = useState<number>()
  useEffect(() => {
    const update = () => setNow(Date.now())
    update()
    const timer = setInterval(update, 10_000)
    return () => clearInterval(timer)
  }, [])
  const exact = `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
  // Time passes between the server's render and the browser's. React would keep the server's text
  // until the browser's text changes, maybe for a day, so the browser makes an element of its own.
  return (
    <time
      key={now === undefined ? 'server' : 'browser'}
      dateTime={at}
      title={exact}
      suppressHydrationWarning
    >
      {ago(at, now)}
    </time>
  )
}
