'use client'

import type { ReactNode } from 'react'
import { createContext, useContext, useEffect, useRef, useState, useSyncExternalStore } from 'react'

/** What is needed of Clerk's `useAuth`, so that the one of any Clerk package fits. */
export type UseAuth = () => {
  isSignedIn?: boolean | undefined
  userId?: string | null | undefined
  sessionId?: string | null | undefined
  getToken: () => Promise<string | null>
}

/** The answer of `POST /api/user/sync`: the user has a row, and what that took. */
export type UserSyncAnswer = { status: 'present' | 'created' | 'refreshed'; userId: string }

/** Why a user may still lack a row. The numbers are the answer's; 0 where it had none. */
export type UserSyncError = Error & { status: number; retryAfter: number }

/** `idle`: nobody is signed in. `failed`: the next page load tries again. */
export type UserSyncStatus = 'idle' | 'syncing' | 'ready' | 'failed' | 'deleted'

export type UserSyncProviderProps = {
  useAuth: UseAuth
  /** Where `user-sync` answers. One of another origin gets the session token as a Bearer. */
  endpoint?: string
  /** Called where a call was made, once the user has a row: on one page of the session. */
  onSynced?: (answer: UserSyncAnswer) => void
  /** Called where the call failed for good. The user sees nothing of it. */
  onError?: (error: UserSyncError) => void
  children: ReactNode
}

type Provider = { current: Omit<UserSyncProviderProps, 'children'> & ReturnType<UseAuth> }

/** A Clerk session as this page knows it. All providers of a page share it. */
type Session = {
  id: string
  userId: string
  status: UserSyncStatus
  providers: Set<Provider>
  run?: AbortController
}

const STORAGE_KEY = 'user-sync'
const sessions = new Map<string, Session>()
const listeners = new Set<() => void>()
const SessionId = createContext('')

/** Gives the signed-in user a row, once a session, in the background; the children never wait. */
export function UserSyncProvider({ children, ...props }: UserSyncProviderProps) {
  const latest = { ...props, ...props.useAuth() }
  const provider = useRef(latest)
  useEffect(() => {
    provider.current = latest
  })
  const userId = latest.userId ?? ''
  const sessionId = (latest.isSignedIn && userId && latest.sessionId) || ''
  useEffect(() => (sessionId ? join(sessionId, userId, provider) : undefined), [sessionId, userId])
  const id = latest.isSignedIn === false ? '-' : sessionId // Nobody, and not: not known yet.
  return <SessionId.Provider value={id}>{children}</SessionId.Provider>
}

/** How it stands with the user's row, and a way to try again where that `failed`. */
export function useUserSync(): { status: UserSyncStatus; retry: () => void } {
  const sessionId = useContext(SessionId)
  const status = () => sessions.get(sessionId)?.status ?? 'idle'
  const retry = () => start(sessions.get(sessionId))
  return { status: useSyncExternalStore(listen, status, () => 'idle' as const), retry }
}

/** Shows the fallback until the user has a row, or that failed, or takes over `timeout` ms. */
export function WhenSynced(props: { children: ReactNode; fallback?: ReactNode; timeout?: number }) {
  const { children, fallback = null, timeout = 5_000 } = props
  const id = useContext(SessionId)
  const isWaiting = ['idle', 'syncing'].includes(useUserSync().status)
  const [late, setLate] = useState<string>()
  useEffect(() => {
    const timer = setTimeout(() => setLate(id), timeout) // The next user waits anew.
    return () => clearTimeout(timer)
  }, [timeout, id])
  return isWaiting && (late === undefined || (late && id && late !== id)) ? fallback : children
}

function listen(listener: () => void) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function settle(session: Session, status: UserSyncStatus) {
  session.status = status
  for (const listener of listeners) listener()
}

/** The first provider of a session starts the call; the last one to leave aborts it. */
function join(id: string, userId: string, provider: Provider) {
  const session: Session = sessions.get(id) ?? { id, userId, status: 'idle', providers: new Set() }
  sessions.set(id, session)
  if (session.providers.add(provider).size === 1) start(session)
  return () => {
    session.providers.delete(provider)
    // Not at once: StrictMode and fast refresh leave only to come back.
    queueMicrotask(() => {
      if (session.providers.size > 0) return
      session.run?.abort()
      if (session.status === 'syncing') settle(session, 'idle')
    })
  }
}

function start(session: Session | undefined) {
  const [provider] = session?.providers ?? []
  if (!session || !provider || !['idle', 'failed'].includes(session.status)) return
  if (answered().includes(session.id)) return settle(session, 'ready')
  session.run = new AbortController()
  const { signal } = session.run
  settle(session, 'syncing')
  const whenIdle = window.requestIdleCallback ?? ((begin) => setTimeout(begin, 200)) // For Safari.
  whenIdle(() => signal.aborted || sync(session, provider, signal), { timeout: 2_000 })
}

async function sync(session: Session, provider: Provider, signal: AbortSignal) {
  await alone(session.id, signal, async () => {
    if (answered().includes(session.id)) return settle(session, 'ready') // Another tab was faster.
    const outcome = await ask(session.userId, provider, signal)
    const [answer, error] = outcome instanceof Error ? [null, outcome] : [outcome, null]
    if (answer) answered(session.id)
    if (signal.aborted) return
    settle(session, answer ? 'ready' : error?.status === 410 ? 'deleted' : 'failed')
    // What a callback throws is an error of the page as any other, and stops nothing here.
    for (const { current } of session.providers) {
      queueMicrotask(() => (answer ? current.onSynced?.(answer) : current.onError?.(error)))
    }
    if (answer) await pause(1_000, signal) // Storage is a little late to tell other tabs.
  })
}

/** One tab at a time. Where the browser grants no locks, each tab makes its own call. */
async function alone(id: string, signal: AbortSignal, work: () => Promise<void>) {
  const request = async () => navigator.locks.request(`${STORAGE_KEY}:${id}`, { signal }, work)
  return request().catch(() => (signal.aborted ? undefined : work()))
}

async function ask(userId: string, provider: Provider, signal: AbortSignal) {
  for (let attempt = 1; ; attempt++) {
    const limit = new AbortController()
    const late = pause(10_000, signal).then(() => fail('no answer in 10 s'))
    const outcome = await Promise.race([post(userId, provider, limit.signal).catch(fail), late])
    limit.abort()
    const mayPass = outcome instanceof Error && (outcome.status === 0 || outcome.status >= 500)
    if (!mayPass || attempt === 3 || signal.aborted) return outcome
    if (outcome.retryAfter > 60) return outcome // Other tabs wait too. The next page load will do.
    await pause(Math.max(outcome.retryAfter, attempt) * 1_000 * (1 + Math.random() / 2), signal)
    if (signal.aborted) return outcome
  }
}

async function post(userId: string, { current }: Provider, signal: AbortSignal) {
  const { endpoint = '/api/user/sync', getToken } = current
  const isForeign = new URL(endpoint, location.href).origin !== location.origin
  const response = await fetch(endpoint, {
    method: 'POST',
    priority: 'low',
    credentials: isForeign ? 'omit' : 'same-origin',
    headers: isForeign ? { Authorization: `Bearer ${await getToken()}` } : {},
    signal,
  })
  const { ok, status, headers } = response
  if (!ok) return fail(`answered ${status}`, status, seconds(headers.get('Retry-After') ?? ''))
  const answer: UserSyncAnswer | null = await response.json()
  // In another tab, somebody else may have signed in with this cookie.
  return answer?.userId === userId ? answer : fail('answered nothing about this user', status)
}

// What is not JSON was an answer still, and would be none the next time either.
const fail = (cause: unknown, status = cause instanceof SyntaxError ? 200 : 0, retryAfter = 0) =>
  Object.assign(new Error(`user-sync: ${cause}`, { cause }), { status, retryAfter })

/** `Retry-After` is a number of seconds, or a date. */
const seconds = (text: string) =>
  Math.max(0, Number(text) || (Date.parse(text) - Date.now()) / 1_000 || 0)

/** Ends when the time is over, or at once with the signal. */
const pause = (milliseconds: number, signal: AbortSignal) =>
  new Promise<void>((end) => {
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', () => end(clearTimeout(timer)))
  })

/** The latest sessions of this browser whose users have their rows; `id` joins them. */
function answered(id?: string): string[] {
  try {
    const ids = (localStorage.getItem(STORAGE_KEY) ?? '').split(' ')
    if (id) localStorage.setItem(STORAGE_KEY, [id, ...ids.slice(0, 9)].join(' '))
    return ids
  } catch {
    return [] // Storage is blocked or full. This page knows by the status.
  }
}
