import type { ReactNode } from 'react'

/** What a visitor sees before they are signed in: what this demo shows, and Clerk's card. */
export function Entrance({ children }: { children: ReactNode }) {
  return (
    <div className="entrance">
      <div className="entrance-text">
        <h1>A user table that heals itself</h1>
        <p className="lede">
          Clerk signs you in, and a webhook tells the table of you. If that webhook is lost, the
          first page that you open puts you there.
        </p>
      </div>
      <div className="entrance-card">{children}</div>
    </div>
  )
}
