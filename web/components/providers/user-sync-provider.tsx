'use client'

import type { ReactNode } from 'react'
import { createContext, useContext, useEffect, useRef, useState, useSyncExternalStore } from 'react'

/** What the provider needs of Clerk's `useAuth`: the hook of every Clerk package fits. */
export type UseAuth = () => {
  isSignedIn?: boolean | undefined
  userId?: string | null | undefined
  sessionId?: string | null | undefined
  getToken: () => Promise<string | null>
}

/** The answer of `POST /api/user/sync`: the user has a row, and what it took. */
export type UserSyncAnswer = { status: 'present' | 'created' | 'refreshed'; userId: string }

/** Why a user may still have no row. Both numbers come from the answer; 0 where there was none. */
export type UserSyncError = Error & { status: number; retryAfter: number }

/** `idle`: nobody is signed in. `failed`: the next page load tries again. */
export type UserSyncStatus = 'idle' | 'syncing' | 'ready' | 'failed' | 'deleted'

export type UserSyncProviderProps = {
  useAuth: UseAuth
  /** The URL of `user-sync`. On another origin it gets the session token as a Bearer token. */
  endpoint?: string
  /** Called when a call gave the user a row. Only one page of a session makes that call. */
  onSynced?: (answer: UserSyncAnswer) => void
  /** Called when the call failed for good. The user sees nothing of it. */
  onError?: (error: UserSyncError) => void
  children: ReactNode
}

/** Who has the page open: not known until Clerk has loaded, nobody, or a session. */
type Visitor = 'unknown' | 'signed out' | Session['id']
type Provider = { current: Omit<UserSyncProviderProps, 'children'> & ReturnType<UseAuth> }

/** A Clerk session as this page knows it. All providers of a page share it. */
type Session = {
  id: string
  userId: string
  status: UserSyncStatus
  providers: Set<Provider>
  run?: AbortController
}

const VisitorContext = createContext<Visitor | 'no provider'>('no provider')

/** Gives the signed-in user a row, once per session, in the background. The children never wait. */
export function UserSyncProvider({ children, ...props }: UserSyncProviderProps) {
  const latest = { ...props, ...props.useAuth() }
  const provider = useRef(latest)
  useEffect(() => {
    provider.current = latest
  })
  const { isSignedIn, sessionId, userId } = latest
  const id = isSignedIn && userId && sessionId ? sessionId : undefined
  useEffect(() => (id && userId ? join(id, userId, provider) : undefined), [id, userId])
  const visitor: Visitor = id ?? (isSignedIn === false ? 'signed out' : 'unknown')
  return <VisitorContext.Provider value={visitor}>{children}</VisitorContext.Provider>
}

/** Says whether the user has a row. `retry` makes the call again where it failed. */
export function useUserSync(): { status: UserSyncStatus; retry: () => void } {
  const visitor = useContext(VisitorContext)
  if (visitor === 'no provider') warnOnce()
  const status = () => sessions.get(visitor)?.status ?? 'idle'
  const retry = () => start(sessions.get(visitor))
  return { status: useSyncExternalStore(listen, status, () => 'idle' as const), retry }
}

/** Shows the fallback until the user has a row, the call fails, or `timeout` ms have passed. */
export function WhenSynced(props: { children: ReactNode; fallback?: ReactNode; timeout?: number }) {
  const { children, fallback = null, timeout = 5_000 } = props
  const visitor = useContext(VisitorContext)
  const isWaiting = ['idle', 'syncing'].includes(useUserSync().status)
  const [late, setLate] = useState<typeof visitor>()
  useEffect(() => {
    const timer = setTimeout(() => setLate(visitor), timeout)
    return () => clearTimeout(timer)
  }, [timeout, visitor])
  // The next user gets a wait of their own. While Clerk loads, it is still the same user.
  const isNext = late !== visitor && late !== 'unknown' && visitor !== 'unknown'
  return isWaiting && (!late || isNext) ? fallback : children
}

declare const process: { env: { NODE_ENV?: string } }
let hasWarned = false
function warnOnce() {
  try {
    if (hasWarned || process.env.NODE_ENV === 'production') return
    hasWarned = true
    console.warn('user-sync: found no <UserSyncProvider>. Put one in your root layout.')
  } catch {} // A browser has no `process` where no bundler replaces it.
}

const sessions = new Map<string, Session>()
const listeners = new Set<() => void>()

function listen(listener: () => void) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function settle(session: Session, status: UserSyncStatus) {
  session.status = status
  for (const listener of listeners) listener()
}

/** The first provider of a session starts the call. The last one to leave aborts it. */
function join(id: string, userId: string, provider: Provider) {
  const session: Session = sessions.get(id) ?? { id, userId, status: 'idle', providers: new Set() }
  sessions.set(id, session)
  if (session.providers.add(provider).size === 1) start(session)
  return () => {
    session.providers.delete(provider)
    // Not at once: with StrictMode and fast refresh, a provider leaves and comes straight back.
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
  if (syncedSessions().includes(session.id)) return settle(session, 'ready')
  session.run = new AbortController()
  const { signal } = session.run
  settle(session, 'syncing')
  const whenIdle = window.requestIdleCallback ?? ((begin) => setTimeout(begin, 200)) // For Safari.
  whenIdle(() => signal.aborted || sync(session, provider, signal), { timeout: 2_000 })
}

async function sync(session: Session, provider: Provider, signal: AbortSignal) {
  await withTabLock(session.id, signal, async () => {
    if (syncedSessions().includes(session.id)) return settle(session, 'ready') // By another tab.
    const outcome = await postWithRetries(session.userId, provider, signal)
    const [answer, error] = outcome instanceof Error ? [null, outcome] : [outcome, null]
    if (answer) rememberSynced(session.id)
    if (signal.aborted) return
    settle(session, answer ? 'ready' : error?.status === 410 ? 'deleted' : 'failed')
    // In a microtask, a callback that throws is an error of the page and stops nothing here.
    for (const { current } of session.providers) {
      queueMicrotask(() => (answer ? current.onSynced?.(answer) : current.onError?.(error)))
    }
    if (answer) await pause(1_000, signal) // Other tabs see a change of storage a little later.
  })
}

/** One tab at a time. Where the browser grants no locks, each tab makes its own call. */
async function withTabLock(id: string, signal: AbortSignal, work: () => Promise<void>) {
  const request = async () => navigator.locks.request(`${STORAGE_KEY}:${id}`, { signal }, work)
  return request().catch(() => (signal.aborted ? undefined : work()))
}

async function postWithRetries(userId: string, provider: Provider, signal: AbortSignal) {
  for (let attempt = 1; ; attempt++) {
    const limit = new AbortController()
    const late = pause(10_000, signal).then(() => fail('no answer in 10 s'))
    const outcome = await Promise.race([post(userId, provider, limit.signal).catch(fail), late])
    limit.abort()
    const mayPass = outcome instanceof Error && (outcome.status === 0 || outcome.status >= 500)
    if (!mayPass || attempt === 3 || signal.aborted) return outcome
    if (outcome.retryAfter > 60) return outcome // Too long: other tabs wait for this one.
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
  // The cookie is another user's where that user has signed in meanwhile, in another tab.
  return answer?.userId === userId ? answer : fail('the answer is not about this user', status)
}

// A body that is not JSON is an answer too, and the next one would be the same.
const fail = (cause: unknown, status = cause instanceof SyntaxError ? 200 : 0, retryAfter = 0) =>
  Object.assign(new Error(`user-sync: ${cause}`, { cause }), { status, retryAfter })

/** `Retry-After` is a number of seconds, or a date. */
const seconds = (text: string) =>
  Math.max(0, Number(text) || (Date.parse(text) - Date.now()) / 1_000 || 0)

/** Ends after this time, or at once when the signal aborts. */
const pause = (milliseconds: number, signal: AbortSignal) =>
  new Promise<void>((end) => {
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', () => end(clearTimeout(timer)))
  })

const STORAGE_KEY = 'user-sync'

/** The latest sessions of this browser whose users have a row, newest first. */
function syncedSessions(): string[] {
  try {
    return (localStorage.getItem(STORAGE_KEY) ?? '').split(' ')
  } catch {
    return [] // Storage is blocked. This page still knows its own sessions.
  }
}

function rememberSynced(id: string) {
  try {
    localStorage.setItem(STORAGE_KEY, [id, ...syncedSessions().slice(0, 9)].join(' '))
  } catch {} // Storage is blocked or full.
}
