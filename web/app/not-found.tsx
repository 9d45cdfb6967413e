import type { Metadata } from 'next'
import Link from 'next/link'

export const metadata: Metadata = { title: 'Page not found' }

export default function NotFound() {
  return (
    <div className="notice-page">
      <h1>Page not found</h1>
      <p className="lede">The address may be wrong, or the page has moved.</p>
      <Link className="button" href="/members">
        Go to members
      </Link>
    </div>
  )
}
