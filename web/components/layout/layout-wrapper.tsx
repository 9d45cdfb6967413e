'use client'

import { useAuth } from '@clerk/nextjs'
import { usePathname } from 'next/navigation'
import type { ReactNode } from 'react'
import { UserSyncProvider } from '../providers/user-sync-provider'

export type LayoutWrapperProps = {
  /** Routes that go without, each with all that is under it: nobody is signed in there. */
  exclude?: readonly string[]
  children: ReactNode
}

/** Puts the provider around every page but those of `exclude`; for the root layout. */
export function LayoutWrapper({
  exclude = ['/sign-in', '/sign-up'],
  children,
}: LayoutWrapperProps) {
  const pathname = usePathname()
  const isExcluded = exclude.some((route) => `${pathname}/`.startsWith(`${route}/`))
  return isExcluded ? children : <UserSyncProvider useAuth={useAuth}>{children}</UserSyncProvider>
}
