'use client'

import { useAuth } from '@clerk/nextjs'
import type { ReactNode } from 'react'
import { UserSyncProvider, useUserSync } from '@/components/providers/user-sync-provider'

/** What a provider must never do: the page waits for the call. The tests must notice it. */
export function LayoutWrapper({ children }: { children: ReactNode }) {
  return (
    <UserSyncProvider useAuth={useAuth}>
      <Waiting>{children}</Waiting>
    </UserSyncProvider>
  )
}

function Waiting({ children }: { children: ReactNode }) {
  return useUserSync().status === 'syncing' ? null : children
}
