'use client'

import { SignOutButton, useUser } from '@clerk/nextjs'
import Link from 'next/link'
import { usePathname } from 'next/navigation'
import { isEntrance } from './entrance-routes'
import { Mark } from './glyph'

const pages = [
  { href: '/members', name: 'Members' },
  { href: '/profile', name: 'Profile' },
  { href: '/health', name: 'Sync health' },
]

/** Signed-out visitors see the name alone: no other page is open to them. */
export function Header() {
  const pathname = usePathname()
  return (
    <header className="header">
      <Link className="brand" href="/members" prefetch={false}>
        <Mark />
        Self-healing user sync
      </Link>
      {!isEntrance(pathname) && (
        <>
          <nav aria-label="Pages">
            {pages.map(({ href, name }) => (
              <Link
                key={href}
                href={href}
                // Each refresh of the member list would fetch the other pages anew.
                prefetch={false}
                aria-current={pathname === href ? 'page' : undefined}
              >
                {name}
              </Link>
            ))}
          </nav>
          <Account />
        </>
      )}
    </header>
  )
}

function Account() {
  const { user } = useUser()
  return (
    <div className="account">
      {user && (
        <>
          <span className="account-name">
            <span className="visually-hidden">Signed in as </span>
            {user.fullName || user.primaryEmailAddress?.emailAddress || user.id}
          </span>
          <SignOutButton redirectUrl="/sign-in">
            <button type="button" className="button">
              Sign out
            </button>
          </SignOutButton>
        </>
      )}
    </div>
  )
}
