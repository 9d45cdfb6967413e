'use client'

import { SignOutButton, useUser } from '@clerk/nextjs'
import Link from 'next/link'
import { usePathname } from 'next/navigation'
import { isEntrance } from './entrance-routes'
import { Mark } from './glyph'
import './header.css'

const pages = [
  { href: '/members', name: 'Members' },
  { href: '/profile', name: 'Profile' },
  { href: '/health', name: 'Sync health' },
]

/** At the entrance it shows only the name: signed-out visitors can open no other page. */
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
                // Each refresh of the member list would fetch the other pages again.
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
