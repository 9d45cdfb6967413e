'use client'

import { useAuth } from '@clerk/nextjs'
import type { ReactNode } from 'react'
import { UserSyncProvider, WhenSynced } from '@/components/providers/user-sync-provider'

/** What no provider may do: the page waits for the call. The tests must notice. */
export function LayoutWrapper({ children }: { children: ReactNode }) {
  return (
    <UserSyncProvider useAuth={useAuth}>
      <WhenSynced timeout={60_000}>{children}</WhenSynced>
    </UserSyncProvider>
  )
}
