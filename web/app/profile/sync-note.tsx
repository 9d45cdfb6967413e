'use client'

import { useRouter } from 'next/navigation'
import { type ReactNode, startTransition, useEffect, useState } from 'react'
import { Glyph } from '@/app/glyph'
import { useUserSync } from '@/components/providers/user-sync-provider'

/** Says why the row may be missing. Usually there is nothing to say. */
export function SyncNote() {
  const { status, retry } = useUserSync()
  return (
    <div className="status" role="status">
      {status === 'failed' && (
        <p className="note">
          <Glyph tone="warning" />
          <span>
            Your row could not be confirmed just now. The next page that you open tries again.
          </span>
          <button type="button" className="button small" onClick={retry}>
            Try again
          </button>
        </p>
      )}
      {status === 'deleted' && (
        <p className="note">
          <Glyph tone="neutral" />
          <span>Your account is deleted. This session ends within a minute.</span>
        </p>
      )}
    </div>
  )
}

/** For a page that was rendered without the row: reloads it once, when the row is there. */
export function RefreshOnceSynced(props: { fallback: ReactNode; children: ReactNode }) {
  const router = useRouter()
  const { status } = useUserSync()
  const [isRefreshed, setIsRefreshed] = useState(false)
  useEffect(() => {
    if (status !== 'ready') return
    startTransition(() => {
      router.refresh()
      setIsRefreshed(true)
    })
  }, [status, router])
  return status === 'ready' && !isRefreshed ? props.fallback : props.children
}
