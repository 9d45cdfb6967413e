'use client'

import { useAuth } from '@clerk/nextjs'
import { usePathname } from 'next/navigation'
import type { ReactNode } from 'react'
import { UserSyncProvider } from '../providers/user-sync-provider'

export type LayoutWrapperProps = {
  /** Routes that heal nobody, each with all routes below it. */
  exclude?: readonly string[]
  children: ReactNode
}

/**
 * Heals every visitor, except on the routes in `exclude`. Put it into the root layout. To use it
 * without Next.js, change the two imports.
 */
export function LayoutWrapper({
  exclude = ['/sign-in', '/sign-up'],
  children,
}: LayoutWrapperProps) {
  const auth = useAuth()
  const pathname = usePathname()
  const isExcluded = exclude.some((route) => `${pathname}/`.startsWith(`${route}/`))
  // The provider stays on all routes: if it came and went, React would rebuild the whole page.
  const visitor = isExcluded ? { ...auth, isSignedIn: false } : auth
  return <UserSyncProvider useAuth={() => visitor}>{children}</UserSyncProvider>
}
