import type { ReactNode } from 'react'
import './entrance.css'

/** The page around Clerk's card for signing in or up. It says what this demo shows. */
export function Entrance({ children }: { children: ReactNode }) {
  return (
    <div className="entrance">
      <div className="entrance-text">
        <h1>A user table that heals itself</h1>
        <p className="lede">
          Clerk signs you in, and a webhook adds you to the table. If that webhook is lost, the
          first page that you open adds you.
        </p>
      </div>
      <div className="entrance-card">{children}</div>
    </div>
  )
}
