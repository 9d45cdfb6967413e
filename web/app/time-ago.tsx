'use client'

import { useEffect, useState } from 'react'
import { ago } from './ago'

/** How long ago that was, kept up to date, with the exact time in its title. */
export function TimeAgo({ at }: { at: string }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 10_000)
    return () => clearInterval(timer)
  }, [])
  const exact = `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
  // Between the server and the browser a second may pass.
  return (
    <time dateTime={at} title={exact} suppressHydrationWarning>
      {ago(at, now)}
    </time>
  )
}
