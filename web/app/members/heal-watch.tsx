'use client'

import { useRouter } from 'next/navigation'
import { useEffect, useRef, useState, useTransition } from 'react'
import { sourceName } from '@/app/source-name'
import { useUserSync } from '@/components/providers/user-sync-provider'
import type { Member } from '@/data/members'

const FIRST_PAUSE_MS = 2_000
const LONGEST_PAUSE_MS = 60_000

/** Reads the list again while it has orphans. Screen readers announce who was healed. */
export function HealWatch({ members, visitorId }: { members: Member[]; visitorId: string }) {
  const router = useRouter()
  const [isRefreshing, startRefresh] = useTransition()
  const { status } = useUserSync()
  const orphans = members.filter(({ state }) => state.is === 'orphan')
  const hasOrphans = orphans.length > 0
  const isVisitorOrphan = orphans.some(({ id }) => id === visitorId)

  // The provider knows at once when the visitor's own row is there.
  const isVisitorDone = isVisitorOrphan && (status === 'ready' || status === 'deleted')
  useEffect(() => {
    if (isVisitorDone) startRefresh(() => router.refresh())
  }, [isVisitorDone, router])

  // Other orphans heal elsewhere. One refresh at a time, and none while the page is hidden. Each
  // uses calls to Clerk that healing needs too, so the pause grows until the list changes.
  const states = members.map(({ id, state }) => `${id} ${state.is}`).join()
  const next = useRef({ states, pause: FIRST_PAUSE_MS })
  useEffect(() => {
    if (!hasOrphans || isRefreshing) return
    let timer: ReturnType<typeof setTimeout>
    const wait = (pause: number) => {
      clearTimeout(timer)
      if (document.hidden) return
      timer = setTimeout(() => {
        next.current = { states, pause: Math.min(pause * 2, LONGEST_PAUSE_MS) }
        startRefresh(() => router.refresh())
      }, pause)
    }
    const startOver = () => wait(FIRST_PAUSE_MS)
    wait(next.current.states === states ? next.current.pause : FIRST_PAUSE_MS)
    document.addEventListener('visibilitychange', startOver)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', startOver)
    }
  }, [hasOrphans, isRefreshing, states, router])

  return (
    <p className="visually-hidden" role="status">
      {useAnnouncement(members)}
    </p>
  )
}

/** Says who was an orphan in the previous list and is not one in this list. */
function useAnnouncement(members: Member[]): string {
  const [before, setBefore] = useState(members)
  const [announcement, setAnnouncement] = useState('')
  if (before !== members) {
    const orphans = before.filter(({ state }) => state.is === 'orphan').map(({ id }) => id)
    const healed = members.flatMap(({ id, name, state }) =>
      orphans.includes(id) && state.is === 'synced'
        ? `${name} is healed: added to the table by ${sourceName[state.source].toLowerCase()}.`
        : [],
    )
    setBefore(members)
    if (healed.length > 0) setAnnouncement(healed.join(' '))
  }
  return announcement
}
