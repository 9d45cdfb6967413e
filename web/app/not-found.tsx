import type { Metadata } from 'next'
import Link from 'next/link'

export const metadata: Metadata = { title: 'No such page' }

export default function NotFound() {
  return (
    <div className="notice-page">
      <h1>There is no such page</h1>
      <p className="lede">The address may be mistyped, or the page has moved.</p>
      <Link className="button" href="/members">
        To the members
      </Link>
    </div>
  )
}
