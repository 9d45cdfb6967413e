'use client'

import { useAuth } from '@clerk/nextjs'
import { usePathname } from 'next/navigation'
import type { ReactNode } from 'react'
import { UserSyncProvider } from '../providers/user-sync-provider'

export type LayoutWrapperProps = {
  /** Routes where nobody counts as signed in, each with all that is under it. */
  exclude?: readonly string[]
  children: ReactNode
}

/**
 * Heals whoever opens a page, save those of `exclude`; for the root layout. To take it elsewhere
 * than to Next.js and Clerk's package for it, change the two imports.
 */
export function LayoutWrapper({
  exclude = ['/sign-in', '/sign-up'],
  children,
}: LayoutWrapperProps) {
  const auth = useAuth()
  const pathname = usePathname()
  const isExcluded = exclude.some((route) => `${pathname}/`.startsWith(`${route}/`))
  // The provider stays where it is: without it, React would build the whole page anew.
  const visitor = isExcluded ? { ...auth, isSignedIn: false } : auth
  return <UserSyncProvider useAuth={() => visitor}>{children}</UserSyncProvider>
}
