'use client'

import { useRouter } from 'next/navigation'
import { useEffect, useRef, useState, useTransition } from 'react'
import { pathName } from '@/app/path-name'
import { useUserSync } from '@/components/providers/user-sync-provider'
import type { Member } from '@/data/members'

const FIRST_PAUSE_MS = 2_000
const LONGEST_PAUSE_MS = 60_000

/** Reads the list again while somebody in it is an orphan, and says aloud who was healed. */
export function HealWatch({ members, visitorId }: { members: Member[]; visitorId: string }) {
  const router = useRouter()
  const [isRefreshing, startRefresh] = useTransition()
  const { status } = useUserSync()
  const orphans = members.filter(({ state }) => state.is === 'orphan')
  const hasOrphans = orphans.length > 0
  const isVisitorOrphan = orphans.some(({ id }) => id === visitorId)

  // The visitor's own row is there as soon as the provider says so.
  const isVisitorDone = isVisitorOrphan && (status === 'ready' || status === 'deleted')
  useEffect(() => {
    if (isVisitorDone) startRefresh(() => router.refresh())
  }, [isVisitorDone, router])

  // Other orphans heal elsewhere. One refresh at a time, and none that nobody sees. Each spends of
  // the calls to Clerk by which users heal, so it takes ever longer until something happens.
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

/** Who was an orphan in the list before this one, and is none any more. */
function useAnnouncement(members: Member[]): string {
  const [before, setBefore] = useState(members)
  const [announcement, setAnnouncement] = useState('')
  if (before !== members) {
    const orphans = before.filter(({ state }) => state.is === 'orphan').map(({ id }) => id)
    const healed = members.flatMap(({ id, name, state }) =>
      orphans.includes(id) && state.is === 'synced'
        ? `${name} is healed: in the table by ${pathName[state.by].toLowerCase()}.`
        : [],
    )
    setBefore(members)
    if (healed.length > 0) setAnnouncement(healed.join(' '))
  }
  return announcement
}
