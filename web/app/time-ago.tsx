'use client'

import { useEffect, useState } from 'react'
import { ago } from './ago'

/** How long ago that was, kept up to date, with the exact time in its title. */
export function TimeAgo({ at }: { at: string }) {
  const [now, setNow] = useState<number>()
  useEffect(() => {
    const tell = () => setNow(Date.now())
    tell()
    const timer = setInterval(tell, 10_000)
    return () => clearInterval(timer)
  }, [])
  const exact = `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
  // Between the server and the browser time passes. React leaves the server's text in place until
  // the browser's changes, which may take a day, so the browser makes an element of its own.
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
