import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react'
import { type ReactElement, StrictMode, useEffect, useSyncExternalStore } from 'react'
import { renderToString } from 'react-dom/server'
import { rolldown } from 'rolldown'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { UseAuth, UserSyncProviderProps } from './user-sync-provider'

type Page = typeof import('./user-sync-provider')
type Call = RequestInit & { url: string; at: number; signal: AbortSignal }
type Answer = (call: Call) => Response | Promise<Response>

/** A page load or a new tab: a fresh module with the storage and the locks of the others. */
async function load(): Promise<Page> {
  vi.resetModules()
  return import('./user-sync-provider')
}

/** The provider around some text, on a page that is already loaded. */
function show(page: Page, props: Partial<UserSyncProviderProps> = {}) {
  const { children = 'the page', ...rest } = props
  return (
    <page.UserSyncProvider useAuth={useAuth} {...rest}>
      {children}
    </page.UserSyncProvider>
  )
}

/** Loads a page and shows it: the start of most tests. */
async function visit(props: Partial<UserSyncProviderProps> = {}) {
  const page = await load()
  return { page, ...render(show(page, props)) }
}

/** Records each status that the page shows, and has a button for `retry`. */
function Status({ page, seen = [] }: { page: Page; seen?: string[] }) {
  const { status, retry } = page.useUserSync()
  useEffect(() => {
    seen.push(status)
  }, [seen, status])
  return (
    <button type="button" onClick={retry}>
      {status}
    </button>
  )
}

function Child({ onRender }: { onRender: () => void }) {
  onRender()
  return 'the child'
}

const status = () => screen.getByRole('button').textContent

// Clerk: who is signed in, in all tabs, and the token of their session.
const NOBODY = { isSignedIn: false, userId: null, sessionId: null }
const LOADING = { isSignedIn: undefined, userId: undefined, sessionId: undefined }
const getToken = vi.fn<() => Promise<string | null>>()
const clerk = { auth: NOBODY as Partial<ReturnType<UseAuth>>, listeners: new Set<() => void>() }

const useAuth: UseAuth = () => {
  const auth = useSyncExternalStore(
    (listener) => {
      clerk.listeners.add(listener)
      return () => clerk.listeners.delete(listener)
    },
    () => clerk.auth,
    () => clerk.auth,
  )
  return { ...auth, getToken }
}

function become(auth: typeof clerk.auth) {
  act(() => {
    clerk.auth = auth
    for (const listener of clerk.listeners) listener()
  })
}

const signIn = (userId: string, sessionId = `session_of_${userId}`) =>
  become({ isSignedIn: true, userId, sessionId })

// The server: gives its answers in order, and then repeats the last one.
const server = { calls: [] as Call[], answers: [] as Answer[] }

async function fetchFromServer(url: string, init: RequestInit & { signal: AbortSignal }) {
  init.signal.throwIfAborted() // Like the browser's: an aborted call is never sent.
  const call = { ...init, url, at: Date.now() }
  server.calls.push(call)
  const answer = server.answers.length > 1 ? server.answers.shift() : server.answers[0]
  return answer?.(call)
}

const syncs = (userId: string, status = 'created') => Response.json({ status, userId })
const refuses = (status: number, headers = {}) => Response.json({}, { status, headers })
const hangs = ({ signal }: Call) =>
  new Promise<Response>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason)),
  )
const isUnreachable = () => {
  throw new TypeError('Failed to fetch')
}

/** An answer that arrives when the test says so, even if the call was aborted. */
function onItsWay() {
  let arrive: (response: Response) => void = () => {}
  const response = new Promise<Response>((resolve) => {
    arrive = resolve
  })
  return { answer: () => response, arrive: (response: Response) => arrive(response) }
}

/** The milliseconds between one call and the next. */
const pauses = () => server.calls.slice(1).map(({ at }, n) => at - (server.calls[n]?.at ?? 0))

// The browser: idle when the test says so, with one holder for each lock.
const idleTasks = new Set<() => void>()

function requestIdleCallback(begin: () => void, options: { timeout?: number } = {}) {
  const task = () => idleTasks.delete(task) && begin()
  idleTasks.add(task)
  if (options.timeout) setTimeout(task, options.timeout)
}

const pass = (milliseconds: number) =>
  act(async () => {
    await vi.advanceTimersByTimeAsync(milliseconds)
  })

const idle = () =>
  act(async () => {
    await vi.advanceTimersByTimeAsync(0) // First what the page has already started.
    for (const task of idleTasks) task()
    await vi.advanceTimersByTimeAsync(0)
  })

/** The exclusive Web Locks of one browser. jsdom has none. */
class Locks {
  #queues = new Map<string, (() => void)[]>()

  async request<T>(name: string, { signal }: { signal: AbortSignal }, work: () => Promise<T>) {
    signal.throwIfAborted()
    const queue = this.#queues.get(name) ?? []
    this.#queues.set(name, queue)
    await new Promise<void>((grant, reject) => {
      queue.push(grant)
      if (queue.length === 1) grant()
      // The signal ends a wait. It does not take the lock from its holder.
      signal.addEventListener('abort', () => {
        const place = queue.indexOf(grant)
        if (place > 0) queue.splice(place, 1)
        reject(signal.reason)
      })
    })
    try {
      return await work()
    } finally {
      queue.shift()
      queue[0]?.()
    }
  }
}

const withLocks = (locks: unknown) =>
  Object.defineProperty(navigator, 'locks', { configurable: true, value: locks })

/** Ways in which a browser denies a page its storage. */
const STORAGE_THAT_FAILS: [string, () => unknown][] = [
  [
    'is blocked',
    () =>
      vi.spyOn(globalThis, 'localStorage', 'get').mockImplementation(() => {
        throw new DOMException('The operation is insecure.', 'SecurityError')
      }),
  ],
  [
    'cannot be read',
    () =>
      vi.spyOn(Storage.prototype, 'getItem').mockImplementation(() => {
        throw new DOMException('Access is denied.', 'SecurityError')
      }),
  ],
  [
    'is full',
    () =>
      vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
        throw new DOMException('The quota has been exceeded.', 'QuotaExceededError')
      }),
  ],
]

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.stubGlobal('fetch', fetchFromServer)
  vi.stubGlobal('requestIdleCallback', requestIdleCallback)
  vi.spyOn(console, 'error')
  vi.spyOn(console, 'warn')
  vi.spyOn(Math, 'random').mockReturnValue(0)
  withLocks(new Locks())
  localStorage.clear()
  idleTasks.clear()
  clerk.auth = NOBODY
  getToken.mockReset().mockResolvedValue('token')
  server.calls = []
  server.answers = [() => syncs('user_a')]
})

afterEach(() => {
  cleanup()
  expect(console.error).not.toHaveBeenCalled()
  expect(console.warn).not.toHaveBeenCalled()
})

describe('the children', () => {
  test('are in the first render, before anything else happens', async () => {
    signIn('user_a')
    await visit()
    expect(screen.getByText('the page')).toBeDefined()
    expect(server.calls).toHaveLength(0)
  })

  test('are rendered on the server, which makes no call', async () => {
    signIn('user_a')
    const page = await load()
    expect(renderToString(show(page))).toBe('the page')
    await idle()
    expect(server.calls).toHaveLength(0)
  })

  test('are hydrated without a change', async () => {
    signIn('user_a')
    const page = await load()
    const ui = show(page, { children: <Status page={page} /> })
    const container = document.body.appendChild(document.createElement('div'))
    container.innerHTML = renderToString(ui)
    const sent = container.firstChild
    render(ui, { container, hydrate: true })
    await idle()
    expect(container.firstChild).toBe(sent)
    expect(status()).toBe('ready')
  })

  test.each<[string, Answer]>([
    ['syncs', () => syncs('user_a')],
    ['finds the user deleted', () => refuses(410)],
    ['fails', () => refuses(500)],
    ['hangs', hangs],
  ])('are not rendered again when the server %s', async (_, answer) => {
    server.answers = [answer]
    const onRender = vi.fn()
    clerk.auth = LOADING
    await visit({ children: <Child onRender={onRender} /> })
    signIn('user_a')
    await idle()
    await pass(60_000)
    expect(server.calls.length).toBeGreaterThan(0)
    expect(onRender).toHaveBeenCalledTimes(1)
  })

  test('stay mounted when somebody else signs in', async () => {
    signIn('user_a')
    await visit({ children: <main>the page</main> })
    const element = screen.getByRole('main')
    signIn('user_b')
    expect(screen.getByRole('main')).toBe(element)
  })
})

describe('the call', () => {
  test('waits until the browser is idle, and has low priority', async () => {
    signIn('user_a')
    await visit()
    await pass(1_999)
    expect(server.calls).toHaveLength(0)
    await idle()
    expect(server.calls).toMatchObject([{ url: '/api/user/sync', method: 'POST', priority: 'low' }])
  })

  test('waits at most two seconds for a browser that is never idle', async () => {
    signIn('user_a')
    await visit()
    await pass(1_999)
    expect(server.calls).toHaveLength(0)
    await pass(1)
    expect(server.calls).toHaveLength(1)
  })

  test('waits 200 ms in a browser without requestIdleCallback', async () => {
    vi.stubGlobal('requestIdleCallback', undefined)
    signIn('user_a')
    await visit()
    await pass(199)
    expect(server.calls).toHaveLength(0)
    await pass(1)
    expect(server.calls).toHaveLength(1)
  })

  test.each<[string, typeof clerk.auth]>([
    ['nobody is signed in', NOBODY],
    ['Clerk is loading', LOADING],
    ['a sign-in is not complete', { ...NOBODY, userId: 'user_a', sessionId: 'session_of_user_a' }],
    ['there is no session', { isSignedIn: true, userId: 'user_a', sessionId: null }],
    ['there is no user', { isSignedIn: true, userId: null, sessionId: 'session_of_user_a' }],
  ])('is not made while %s, and is made when somebody signs in', async (_, auth) => {
    clerk.auth = auth
    await visit()
    await idle()
    await pass(60_000)
    expect(server.calls).toHaveLength(0)
    signIn('user_a')
    await idle()
    expect(server.calls).toHaveLength(1)
  })

  test.each(['/api/user/sync', 'sync', `${location.origin}/sync`])(
    'to the same origin (%s) has the cookie and no token',
    async (endpoint) => {
      signIn('user_a')
      await visit({ endpoint })
      await idle()
      expect(server.calls).toMatchObject([{ url: endpoint, credentials: 'same-origin' }])
      expect(new Headers(server.calls[0]?.headers).has('Authorization')).toBe(false)
      expect(getToken).not.toHaveBeenCalled()
    },
  )

  test.each(['https://api.example.com/sync', '//example.com/sync', 'http://localhost:1/sync'])(
    'to another origin (%s) has the token and no cookie',
    async (endpoint) => {
      signIn('user_a')
      await visit({ endpoint })
      await idle()
      expect(server.calls).toMatchObject([{ url: endpoint, credentials: 'omit' }])
      expect(new Headers(server.calls[0]?.headers).get('Authorization')).toBe('Bearer token')
    },
  )

  test('has a fresh token each time, because a token lives a minute', async () => {
    getToken.mockResolvedValueOnce('first').mockResolvedValueOnce('second')
    server.answers = [() => refuses(503, { 'Retry-After': '60' }), () => syncs('user_a')]
    signIn('user_a')
    await visit({ endpoint: 'https://api.example.com' })
    await idle()
    await pass(60_000)
    const tokens = server.calls.map(({ headers }) => new Headers(headers).get('Authorization'))
    expect(tokens).toEqual(['Bearer first', 'Bearer second'])
  })
})

describe('a session', () => {
  beforeEach(() => signIn('user_a'))

  test('makes one call when the provider mounts again', async () => {
    const { page, unmount } = await visit()
    await idle()
    unmount()
    render(show(page))
    await idle()
    expect(server.calls).toHaveLength(1)
  })

  test.each<[string, () => void | Promise<void>]>([
    ['before the call', () => {}],
    ['during the call', idle],
  ])('makes one call when fast refresh mounts the provider again %s', async (_, begin) => {
    const { answer, arrive } = onItsWay()
    server.answers = [answer]
    const onSynced = vi.fn()
    const page = await load()
    const ui = (key: string): ReactElement => <div key={key}>{show(page, { onSynced })}</div>
    const { rerender } = render(ui('before'))
    await begin()
    rerender(ui('after'))
    await idle()
    expect(server.calls).toHaveLength(1)
    expect(server.calls[0]?.signal.aborted).toBe(false)
    arrive(syncs('user_a'))
    await pass(0)
    expect(onSynced).toHaveBeenCalledTimes(1)
  })

  test('makes one call in StrictMode, which runs each effect twice', async () => {
    const page = await load()
    render(<StrictMode>{show(page, { children: <Status page={page} /> })}</StrictMode>)
    await idle()
    expect(server.calls).toHaveLength(1)
    expect(status()).toBe('ready')
  })

  test.each<['onSynced' | 'onError', Answer]>([
    ['onSynced', () => syncs('user_a')],
    ['onError', () => refuses(401)],
  ])('makes one call for two providers on a page, and calls %s of both', async (name, answer) => {
    server.answers = [answer]
    const [first, second] = [vi.fn(), vi.fn()]
    const page = await load()
    render(show(page, { [name]: first, children: show(page, { [name]: second }) }))
    await idle()
    expect(server.calls).toHaveLength(1)
    expect(first).toHaveBeenCalledTimes(1)
    expect(second).toHaveBeenCalledTimes(1)
  })

  test('makes one call for two providers on a page, even if one leaves during it', async () => {
    const { answer, arrive } = onItsWay()
    server.answers = [answer]
    const [onSyncedOfFirst, onSyncedOfSecond] = [vi.fn(), vi.fn()]
    const page = await load()
    const first = render(show(page, { onSynced: onSyncedOfFirst }))
    render(show(page, { onSynced: onSyncedOfSecond }))
    await idle()
    first.unmount()
    await pass(0)
    expect(server.calls[0]?.signal.aborted).toBe(false)
    arrive(syncs('user_a'))
    await pass(0)
    expect(onSyncedOfSecond).toHaveBeenCalledTimes(1)
    expect(onSyncedOfFirst).not.toHaveBeenCalled()
    expect(server.calls).toHaveLength(1)
  })

  test('makes one call over a reload', async () => {
    const { unmount } = await visit()
    await idle()
    unmount()
    await visit()
    await idle()
    expect(server.calls).toHaveLength(1)
  })

  test('makes one call over a second tab', async () => {
    await visit()
    await idle()
    await visit()
    await idle()
    expect(server.calls).toHaveLength(1)
  })

  test('makes one call over two tabs at once, and calls onSynced only in its tab', async () => {
    const { answer, arrive } = onItsWay()
    server.answers = [answer]
    const [first, second] = [vi.fn(), vi.fn()]
    await visit({ onSynced: first })
    const page = await load()
    render(show(page, { onSynced: second, children: <Status page={page} /> }))
    await idle()
    expect(status()).toBe('syncing')
    arrive(syncs('user_a'))
    await pass(1_000)
    expect(status()).toBe('ready')
    expect(server.calls).toHaveLength(1)
    expect(first).toHaveBeenCalledTimes(1)
    expect(second).not.toHaveBeenCalled()
  })

  test('makes one call over two tabs at once, even if storage is late in one', async () => {
    let heard = Number.POSITIVE_INFINITY
    const getItem = Storage.prototype.getItem
    vi.spyOn(Storage.prototype, 'setItem').mockImplementationOnce(function (
      this: Storage,
      ...item
    ) {
      heard = Date.now() + 900
      this.setItem(...item)
    })
    vi.spyOn(Storage.prototype, 'getItem').mockImplementation(function (this: Storage, key) {
      return Date.now() < heard ? null : getItem.call(this, key)
    })
    await visit()
    const page = await load()
    render(show(page, { children: <Status page={page} /> }))
    await idle()
    await pass(1_000)
    expect(status()).toBe('ready')
    expect(server.calls).toHaveLength(1)
  })

  test('makes another call in the second tab if the call of the first one failed', async () => {
    server.answers = [() => refuses(401), () => syncs('user_a')]
    await visit()
    await visit()
    await idle()
    expect(server.calls).toHaveLength(2)
  })

  test('makes another call in the second tab if the first one closes during its call', async () => {
    server.answers = [hangs, () => syncs('user_a')]
    const first = await visit()
    await visit()
    await idle()
    expect(server.calls).toHaveLength(1)
    first.unmount()
    await pass(0)
    expect(server.calls).toHaveLength(2)
  })

  test.each<[string, unknown]>([
    ['has no locks', undefined],
    ['grants no locks', { request: () => Promise.reject(new DOMException('', 'SecurityError')) }],
  ])(
    'makes one call per open tab, and none on the next page, in a browser that %s',
    async (_, locks) => {
      withLocks(locks)
      await visit()
      await visit()
      await idle()
      expect(server.calls).toHaveLength(2)
      await visit()
      await idle()
      expect(server.calls).toHaveLength(2)
    },
  )

  test('of another user makes its own call, and a session that comes back makes none', async () => {
    await visit()
    await idle()
    server.answers = [() => syncs('user_b')]
    signIn('user_b')
    await idle()
    expect(server.calls).toHaveLength(2)
    signIn('user_a')
    await idle()
    await visit()
    await idle()
    expect(server.calls).toHaveLength(2)
  })

  test('makes its own call when the same user signs in again', async () => {
    await visit()
    await idle()
    become(NOBODY)
    await idle()
    expect(server.calls).toHaveLength(1)
    signIn('user_a', 'another_session_of_user_a')
    await idle()
    expect(server.calls).toHaveLength(2)
  })

  test('is remembered if it is one of the last ten of the browser', async () => {
    await visit()
    for (let session = 1; session <= 11; session++) {
      signIn('user_a', `session_${session}`)
      await idle()
    }
    server.calls = []
    signIn('user_a', 'session_2')
    await visit()
    await idle()
    expect(server.calls).toHaveLength(0)
    signIn('user_a', 'session_1')
    await visit()
    await idle()
    expect(server.calls).toHaveLength(1)
  })

  test.each(STORAGE_THAT_FAILS)(
    'makes one call per page load where storage %s',
    async (_, fail) => {
      fail()
      const { page, unmount } = await visit()
      await idle()
      signIn('user_b')
      signIn('user_a')
      unmount()
      render(show(page, { children: <Status page={page} /> }))
      await idle()
      expect(status()).toBe('ready')
      expect(server.calls).toHaveLength(1)
      cleanup()
      await visit()
      await idle()
      expect(server.calls).toHaveLength(2)
    },
  )

  test.each<[string, Answer]>([
    ['no network', isUnreachable],
    ['a server error', () => refuses(500)],
    ['no valid session', () => refuses(401)],
    ['a deleted user', () => refuses(410)],
    ['an answer about another user', () => syncs('user_b')],
    ['an answer that is not JSON', () => new Response('<html>')],
  ])('makes another call on the next page load if the first one failed (%s)', async (_, answer) => {
    server.answers = [answer]
    const { unmount } = await visit()
    await idle()
    await pass(60_000)
    unmount()
    server.answers = [() => syncs('user_a')]
    server.calls = []
    await visit()
    await idle()
    expect(server.calls).toHaveLength(1)
  })
})

describe('another user who signs in', () => {
  test.each<[string, Response]>([
    ['success', syncs('user_a')],
    ['failure', refuses(401)],
    ['deletion', refuses(410)],
  ])("aborts the call in flight, and does not get the first user's %s", async (_, late) => {
    const [first, second] = [onItsWay(), onItsWay()]
    server.answers = [first.answer, second.answer]
    const [onSynced, onError, seen] = [vi.fn(), vi.fn(), []]
    const page = await load()
    render(show(page, { onSynced, onError, children: <Status page={page} seen={seen} /> }))
    signIn('user_a')
    await idle()
    signIn('user_b')
    await idle()
    expect(server.calls[0]?.signal.aborted).toBe(true)
    first.arrive(late)
    await pass(0)
    expect(status()).toBe('syncing')
    expect(onSynced).not.toHaveBeenCalled()
    second.arrive(syncs('user_b', 'present'))
    await pass(60_000)
    expect(status()).toBe('ready')
    expect(onSynced.mock.calls).toEqual([[{ status: 'present', userId: 'user_b' }]])
    expect(onError).not.toHaveBeenCalled()
    expect(server.calls).toHaveLength(2)
    expect(seen).toEqual(['idle', 'syncing', 'idle', 'syncing', 'ready'])
  })

  test('aborts the call in flight, and the first user gets a new one on coming back', async () => {
    server.answers = [hangs, hangs, () => syncs('user_a')]
    const page = await load()
    render(show(page, { children: <Status page={page} /> }))
    for (const userId of ['user_a', 'user_b', 'user_a']) {
      signIn(userId)
      await idle()
    }
    expect(server.calls).toHaveLength(3)
    expect(server.calls[0]?.signal.aborted).toBe(true)
    expect(server.calls[1]?.signal.aborted).toBe(true)
    expect(status()).toBe('ready')
  })

  test('in another tab owns the cookie, so an answer about them is not accepted', async () => {
    server.answers = [() => syncs('user_b')]
    const [onSynced, onError] = [vi.fn(), vi.fn()]
    signIn('user_a')
    const page = await load()
    render(show(page, { onSynced, onError, children: <Status page={page} /> }))
    await idle()
    await pass(60_000)
    expect(status()).toBe('failed')
    expect(server.calls).toHaveLength(1)
    expect(onSynced).not.toHaveBeenCalled()
    expect(onError.mock.calls).toMatchObject([[{ status: 200 }]])
  })
})

describe('an attempt', () => {
  beforeEach(() => signIn('user_a'))

  test('is aborted after ten seconds', async () => {
    server.answers = [hangs]
    const onError = vi.fn()
    await visit({ onError })
    await idle()
    await pass(9_999)
    expect(server.calls[0]?.signal.aborted).toBe(false)
    await pass(1)
    expect(server.calls[0]?.signal.aborted).toBe(true)
    await pass(60_000)
    expect(server.calls.map(({ signal }) => signal.aborted)).toEqual([true, true, true])
    expect(pauses()).toEqual([11_000, 12_000])
    expect(onError.mock.calls).toMatchObject([[{ status: 0 }]])
  })

  test('has ten seconds for the whole answer, not only for its beginning', async () => {
    server.answers = [() => new Response(new ReadableStream()), () => syncs('user_a')]
    const onSynced = vi.fn()
    await visit({ onSynced })
    await idle()
    await pass(11_000)
    expect(server.calls).toHaveLength(2)
    expect(onSynced).toHaveBeenCalledTimes(1)
  })

  test('has ten seconds for the token too, and does not use a token that comes later', async () => {
    getToken.mockImplementation(
      () => new Promise((resolve) => setTimeout(() => resolve('late'), 10_001)),
    )
    const onError = vi.fn()
    await visit({ onError, endpoint: 'https://api.example.com' })
    await idle()
    await pass(60_000)
    expect(getToken).toHaveBeenCalledTimes(3)
    expect(onError).toHaveBeenCalledTimes(1)
    expect(server.calls).toHaveLength(0)
  })

  test('ends if the token never comes', async () => {
    getToken.mockReturnValue(new Promise(() => {}))
    const onError = vi.fn()
    await visit({ onError, endpoint: 'https://api.example.com' })
    await idle()
    await pass(32_999)
    expect(onError).not.toHaveBeenCalled()
    await pass(1)
    expect(onError.mock.calls).toMatchObject([[{ status: 0, retryAfter: 0 }]])
  })

  test('fails if Clerk cannot give a token, and is made again', async () => {
    getToken.mockRejectedValueOnce(new Error('Clerk is offline'))
    const onSynced = vi.fn()
    await visit({ onSynced, endpoint: 'https://api.example.com' })
    await idle()
    expect(server.calls).toHaveLength(0)
    await pass(1_000)
    expect(onSynced).toHaveBeenCalledTimes(1)
  })
})

describe.each<[string, (page: { unmount: () => void }) => void]>([
  ['leaving the page', ({ unmount }) => unmount()],
  ['signing out', () => become(NOBODY)],
])('%s', (_, leave) => {
  const callbacks = { onSynced: vi.fn(), onError: vi.fn() }

  beforeEach(() => {
    callbacks.onSynced.mockReset()
    callbacks.onError.mockReset()
    signIn('user_a')
  })

  /** Waits longer than all attempts together take. */
  async function expectNothingMore(calls: number) {
    await pass(0)
    expect(server.calls.every(({ signal }) => signal.aborted)).toBe(true)
    await idle()
    await pass(120_000)
    expect(server.calls).toHaveLength(calls)
    expect(callbacks.onSynced).not.toHaveBeenCalled()
    expect(callbacks.onError).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
  }

  test('before the browser is idle prevents the call', async () => {
    leave(await visit(callbacks))
    await expectNothingMore(0)
  })

  test('aborts the call', async () => {
    server.answers = [hangs]
    const page = await visit(callbacks)
    await idle()
    expect(server.calls[0]?.signal.aborted).toBe(false)
    leave(page)
    await expectNothingMore(1)
  })

  test('ignores an answer that still arrives', async () => {
    const { answer, arrive } = onItsWay()
    server.answers = [answer]
    const page = await visit(callbacks)
    await idle()
    leave(page)
    await pass(0)
    arrive(syncs('user_a'))
    await expectNothingMore(1)
  })

  test('ends the pause between two attempts', async () => {
    server.answers = [() => refuses(503, { 'Retry-After': '60' })]
    const page = await visit(callbacks)
    await idle()
    await pass(500)
    expect(vi.getTimerCount()).toBeGreaterThan(0)
    leave(page)
    await pass(0)
    await pass(10_000)
    expect(vi.getTimerCount()).toBe(0)
    await expectNothingMore(1)
  })

  test('ends the wait for a token', async () => {
    let give: (token: string) => void = () => {}
    getToken.mockReturnValue(
      new Promise((resolve) => {
        give = resolve
      }),
    )
    const page = await visit({ ...callbacks, endpoint: 'https://api.example.com' })
    await idle()
    expect(getToken).toHaveBeenCalledTimes(1)
    leave(page)
    await pass(0)
    give('token')
    await expectNothingMore(0)
    expect(getToken).toHaveBeenCalledTimes(1)
  })

  test('gives up the place in the queue of tabs, and coming back gets a new one', async () => {
    const lock = 'user-sync:session_of_user_a'
    let release: (value?: unknown) => void = () => {}
    const held = new Promise((resolve) => {
      release = resolve
    })
    const { signal } = new AbortController()
    const otherTab = navigator.locks.request(lock, { signal }, () => held)
    const { page, ...rendered } = await visit(callbacks)
    await idle()
    leave(rendered)
    await pass(0)
    release()
    await otherTab
    await expectNothingMore(0)
    cleanup()
    signIn('user_a')
    render(show(page, callbacks))
    await idle()
    expect(server.calls).toHaveLength(1)
    expect(callbacks.onSynced).toHaveBeenCalledTimes(1)
  })
})

describe('a failure', () => {
  beforeEach(() => signIn('user_a'))

  test.each<[string, number, number[], Answer]>([
    ['no network', 0, [1_000, 2_000], isUnreachable],
    ['no network', 1, [1_500, 3_000], isUnreachable],
    ['a 500', 0, [1_000, 2_000], () => refuses(500)],
    ['a 502', 1, [1_500, 3_000], () => refuses(502)],
    ['a 503', 0.5, [1_250, 2_500], () => refuses(503)],
    ['a 599', 0, [1_000, 2_000], () => refuses(599)],
  ])('(%s) is retried twice: with the random number %s after %j ms', async (...row) => {
    const [, random, expected, answer] = row
    vi.mocked(Math.random).mockReturnValue(random)
    server.answers = [answer]
    const onError = vi.fn()
    await visit({ onError })
    await idle()
    await pass(120_000)
    expect(pauses()).toEqual(expected)
    expect(onError).toHaveBeenCalledTimes(1)
  })

  test.each([1, 2])('is not reported if retry %s succeeds', async (failures) => {
    server.answers = [...Array(failures).fill(isUnreachable), () => syncs('user_a')]
    const [onSynced, onError] = [vi.fn(), vi.fn()]
    await visit({ onSynced, onError })
    await idle()
    await pass(120_000)
    expect(server.calls).toHaveLength(failures + 1)
    expect(onSynced).toHaveBeenCalledTimes(1)
    expect(onError).not.toHaveBeenCalled()
  })

  test.each([
    ['7', 7_000],
    ['0', 1_000],
    ['-5', 1_000],
    ['soon', 1_000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 23:59:00 GMT', 1_000],
  ])('with `Retry-After: %s` is retried after %s ms', async (retryAfter, expected) => {
    vi.setSystemTime('2026-01-01T00:00:00Z')
    server.answers = [() => refuses(503, { 'Retry-After': retryAfter }), () => syncs('user_a')]
    await visit()
    await idle()
    await pass(expected - 1)
    expect(server.calls).toHaveLength(1)
    await pass(1)
    expect(server.calls).toHaveLength(2)
  })

  test('with `Retry-After` is retried with jitter after that time, never before it', async () => {
    vi.mocked(Math.random).mockReturnValue(1)
    server.answers = [() => refuses(503, { 'Retry-After': '10' })]
    await visit()
    await idle()
    await pass(60_000)
    expect(pauses()).toEqual([15_000, 15_000])
  })

  test.each([
    ['60', 2],
    ['61', 1],
    ['1e999', 1],
  ])(
    'with `Retry-After: %s` makes %s call(s): it waits at most a minute',
    async (retryAfter, calls) => {
      server.answers = [() => refuses(503, { 'Retry-After': retryAfter }), () => syncs('user_a')]
      await visit()
      await idle()
      await pass(90_000)
      expect(server.calls).toHaveLength(calls)
    },
  )

  test.each([400, 401, 403, 404, 405, 408, 410, 422, 425, 429, 499])(
    'with status %s is not retried',
    async (code) => {
      server.answers = [() => refuses(code, { 'Retry-After': '1' })]
      const onError = vi.fn()
      const page = await load()
      render(show(page, { onError, children: <Status page={page} /> }))
      await idle()
      await pass(60_000)
      expect(server.calls).toHaveLength(1)
      expect(onError.mock.calls).toMatchObject([[{ status: code, retryAfter: 1 }]])
      expect(status()).toBe(code === 410 ? 'deleted' : 'failed')
    },
  )

  test.each([
    ['HTML', '<html>'],
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
  ])('to answer with JSON (%s) is not retried', async (_, body) => {
    server.answers = [() => new Response(body)]
    const onError = vi.fn()
    await visit({ onError })
    await idle()
    await pass(60_000)
    expect(server.calls).toHaveLength(1)
    expect(onError.mock.calls).toMatchObject([[{ status: 200 }]])
  })

  test('of the connection during the answer is retried', async () => {
    const broken = () =>
      new ReadableStream({ start: (body) => body.error(new TypeError('network error')) })
    server.answers = [() => new Response(broken()), () => syncs('user_a')]
    const onSynced = vi.fn()
    await visit({ onSynced })
    await idle()
    await pass(1_000)
    expect(onSynced).toHaveBeenCalledTimes(1)
  })

  test('caused by an endpoint that is not a URL is reported like any other', async () => {
    const onError = vi.fn()
    await visit({ onError, endpoint: 'https://' })
    await idle()
    await pass(60_000)
    expect(onError.mock.calls).toMatchObject([[{ status: 0 }]])
  })
})

describe('the callbacks', () => {
  beforeEach(() => signIn('user_a'))

  test.each(['present', 'created', 'refreshed'])('`onSynced` gets "%s" once', async (answer) => {
    server.answers = [() => syncs('user_a', answer)]
    const [onSynced, onError] = [vi.fn(), vi.fn()]
    const { unmount } = await visit({ onSynced, onError })
    await idle()
    unmount()
    await visit({ onSynced, onError })
    await idle()
    expect(onSynced.mock.calls).toEqual([[{ status: answer, userId: 'user_a' }]])
    expect(onError).not.toHaveBeenCalled()
  })

  test('`onError` gets an error once, with the status and the time to wait', async () => {
    server.answers = [() => refuses(503, { 'Retry-After': '2' })]
    const onError = vi.fn()
    await visit({ onError })
    await idle()
    await pass(60_000)
    expect(onError).toHaveBeenCalledTimes(1)
    const error = onError.mock.calls[0]?.[0]
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      message: 'user-sync: answered 503',
      status: 503,
      retryAfter: 2,
    })
  })

  test('`onError` gets the message of the network error', async () => {
    server.answers = [isUnreachable]
    const onError = vi.fn()
    await visit({ onError })
    await idle()
    await pass(60_000)
    expect(onError.mock.calls).toMatchObject([
      [{ message: 'user-sync: TypeError: Failed to fetch', status: 0, retryAfter: 0 }],
    ])
  })

  test.each<['onSynced' | 'onError', Response]>([
    ['onSynced', syncs('user_a')],
    ['onError', refuses(401)],
  ])('are the ones of the latest render (%s)', async (name, response) => {
    const { answer, arrive } = onItsWay()
    server.answers = [answer]
    const [earlier, latest] = [vi.fn(), vi.fn()]
    const { page, rerender } = await visit({ [name]: earlier })
    await idle()
    rerender(show(page, { [name]: latest }))
    arrive(response)
    await pass(0)
    expect(latest).toHaveBeenCalledTimes(1)
    expect(earlier).not.toHaveBeenCalled()
    expect(server.calls).toHaveLength(1)
  })

  test.each<['onSynced' | 'onError', Response, string]>([
    ['onSynced', syncs('user_a'), 'ready'],
    ['onError', refuses(401), 'failed'],
  ])('break nothing when they throw (%s)', async (name, response, expected) => {
    const reported: unknown[] = []
    // Like the browser: it reports the error and goes on.
    vi.stubGlobal('queueMicrotask', (task: () => void) =>
      Promise.resolve()
        .then(task)
        .catch((error) => reported.push(error)),
    )
    server.answers = [() => response]
    const mistake = new Error('a mistake of the page')
    const other = vi.fn()
    const page = await load()
    const inner = show(page, { [name]: other, children: <Status page={page} /> })
    const outer = {
      [name]: () => {
        throw mistake
      },
      children: inner,
    }
    render(show(page, outer))
    await idle()
    expect(reported).toEqual([mistake])
    expect(other).toHaveBeenCalledTimes(1)
    expect(status()).toBe(expected)
    expect(server.calls).toHaveLength(1)
  })
})

describe('useUserSync', () => {
  test.each<[string, Answer]>([
    ['ready', () => syncs('user_a')],
    ['failed', () => refuses(500)],
    ['deleted', () => refuses(410)],
  ])('goes from idle to syncing to %s', async (outcome, answer) => {
    server.answers = [answer]
    signIn('user_a')
    const seen: string[] = []
    const page = await load()
    render(show(page, { children: <Status page={page} seen={seen} /> }))
    await idle()
    await pass(60_000)
    expect(seen).toEqual(['idle', 'syncing', outcome])
  })

  test('is ready without a call if an earlier page of the session made it', async () => {
    signIn('user_a')
    await visit()
    await idle()
    cleanup()
    const seen: string[] = []
    const page = await load()
    render(show(page, { children: <Status page={page} seen={seen} /> }))
    expect(seen).toEqual(['idle', 'ready'])
  })

  test('is idle again after the user signs out', async () => {
    signIn('user_a')
    const page = await load()
    render(show(page, { children: <Status page={page} /> }))
    await idle()
    expect(status()).toBe('ready')
    become(NOBODY)
    expect(status()).toBe('idle')
  })

  test('makes the call again after it failed', async () => {
    server.answers = [() => refuses(401), () => syncs('user_a')]
    signIn('user_a')
    const [onSynced, onError, seen] = [vi.fn(), vi.fn(), []]
    const page = await load()
    render(show(page, { onSynced, onError, children: <Status page={page} seen={seen} /> }))
    await idle()
    fireEvent.click(screen.getByRole('button'))
    await idle()
    expect(seen).toEqual(['idle', 'syncing', 'failed', 'syncing', 'ready'])
    expect(server.calls).toHaveLength(2)
    expect(onError).toHaveBeenCalledTimes(1)
    expect(onSynced).toHaveBeenCalledTimes(1)
  })

  test.each<[string, Answer]>([
    ['syncing', hangs],
    ['ready', () => syncs('user_a')],
    ['deleted', () => refuses(410)],
  ])('does not make the call again while it is %s', async (outcome, answer) => {
    server.answers = [answer]
    signIn('user_a')
    const page = await load()
    render(show(page, { children: <Status page={page} /> }))
    await idle()
    expect(status()).toBe(outcome)
    fireEvent.click(screen.getByRole('button'))
    await idle()
    expect(status()).toBe(outcome)
    expect(server.calls).toHaveLength(1)
  })

  test('is idle while nobody is signed in, and has nothing to retry', async () => {
    const page = await load()
    render(show(page, { children: <Status page={page} /> }))
    fireEvent.click(screen.getByRole('button'))
    await idle()
    expect(status()).toBe('idle')
    expect(server.calls).toHaveLength(0)
  })
})

describe('without a provider', () => {
  const warn = vi.fn()

  beforeEach(() => {
    warn.mockReset()
    vi.mocked(console.warn).mockImplementation(warn)
  })

  afterEach(() => {
    vi.mocked(console.warn).mockClear()
  })

  /** Both exports that need a provider, twice. */
  async function visitWithout() {
    const page = await load()
    const users = (
      <>
        <Status page={page} />
        <page.WhenSynced fallback="a moment">the profile</page.WhenSynced>
      </>
    )
    const { unmount } = render(users)
    unmount()
    render(users)
  }

  test('one warning in development says what to do', async () => {
    await visitWithout()
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/<UserSyncProvider>.* root layout/)]])
  })

  test('a production build does not warn', async () => {
    vi.stubEnv('NODE_ENV', 'production')
    await visitWithout()
    expect(warn).not.toHaveBeenCalled()
  })

  test('a browser that has no `process` does not warn, and shows the page', async () => {
    const page = await load()
    vi.stubGlobal('process', undefined)
    render(<Status page={page} />)
    vi.unstubAllGlobals()
    expect(status()).toBe('idle')
    expect(warn).not.toHaveBeenCalled()
  })

  test('the status is idle, and there is nothing to retry', async () => {
    const page = await load()
    render(<Status page={page} />)
    fireEvent.click(screen.getByRole('button'))
    await idle()
    expect(status()).toBe('idle')
    expect(server.calls).toHaveLength(0)
  })

  test('WhenSynced shows its children after the timeout', async () => {
    const page = await load()
    render(<page.WhenSynced fallback="a moment">the profile</page.WhenSynced>)
    expect(document.body.textContent).toBe('a moment')
    await pass(5_000)
    expect(document.body.textContent).toBe('the profile')
  })
})

describe('WhenSynced', () => {
  const shown = () => document.body.textContent

  async function wait(timeout?: number) {
    const page = await load()
    const props = timeout === undefined ? {} : { timeout }
    const children = (
      <page.WhenSynced fallback="a moment" {...props}>
        the profile
      </page.WhenSynced>
    )
    return { page, children, ...render(show(page, { children })) }
  }

  test.each<[string, Answer]>([
    ['has a row', () => syncs('user_a')],
    ['has no row because the call failed', () => refuses(401)],
    ['is deleted', () => refuses(410)],
  ])('shows the fallback until the user %s', async (_, answer) => {
    server.answers = [answer]
    signIn('user_a')
    await wait()
    expect(shown()).toBe('a moment')
    await idle()
    expect(shown()).toBe('the profile')
  })

  test.each([
    ['five seconds', undefined, 5_000],
    ['its `timeout`', 300, 300],
  ])('shows the fallback for at most %s', async (_, timeout, expected) => {
    server.answers = [hangs]
    signIn('user_a')
    await wait(timeout)
    await idle()
    await pass(expected - 1)
    expect(shown()).toBe('a moment')
    await pass(1)
    expect(shown()).toBe('the profile')
  })

  test('shows the children after the timeout if nobody is signed in', async () => {
    await wait()
    expect(shown()).toBe('a moment')
    await pass(5_000)
    expect(shown()).toBe('the profile')
  })

  test('shows nothing while it waits without a fallback', async () => {
    const page = await load()
    signIn('user_a')
    render(show(page, { children: <page.WhenSynced>the profile</page.WhenSynced> }))
    expect(shown()).toBe('')
    await idle()
    expect(shown()).toBe('the profile')
  })

  test('shows the children at once if the user already had a row', async () => {
    signIn('user_a')
    await visit()
    await idle()
    cleanup()
    await wait()
    expect(shown()).toBe('the profile')
  })

  test('waits again for the next user, however long the page was open', async () => {
    signIn('user_a')
    await wait()
    await idle()
    await pass(60_000)
    server.answers = [hangs]
    signIn('user_b')
    await idle()
    expect(shown()).toBe('a moment')
    await pass(5_000)
    expect(shown()).toBe('the profile')
  })

  test.each([
    ['while the call of the previous one hangs', [hangs, hangs]],
    ['soon after the previous one was ready', [() => syncs('user_a'), hangs]],
  ])('waits again for the next user, %s', async (_, answers) => {
    server.answers = answers
    signIn('user_a')
    await wait()
    await idle()
    await pass(6_000)
    expect(shown()).toBe('the profile')
    signIn('user_b')
    await pass(0)
    expect(shown()).toBe('a moment')
  })

  test('waits for a user who signs in later', async () => {
    become(NOBODY)
    server.answers = [hangs]
    await wait()
    await pass(5_000)
    expect(shown()).toBe('the profile')
    signIn('user_a')
    await pass(0)
    expect(shown()).toBe('a moment')
  })

  test('keeps the children while Clerk switches the session', async () => {
    signIn('user_a')
    await wait()
    await idle()
    await pass(6_000)
    become(LOADING)
    expect(shown()).toBe('the profile')
  })

  test('does not hide the children again if Clerk was slow to load', async () => {
    clerk.auth = LOADING
    server.answers = [hangs]
    await wait()
    await pass(5_000)
    signIn('user_a')
    await idle()
    expect(server.calls).toHaveLength(1)
    expect(shown()).toBe('the profile')
  })

  test('shows the fallback on the server', async () => {
    signIn('user_a')
    const { page, children } = await wait()
    expect(renderToString(show(page, { children }))).toBe('a moment')
  })
})

test('the file has at most 220 lines, and less than 2 kB as a page loads it', async () => {
  const input = `${import.meta.dirname}/user-sync-provider.tsx`
  expect((await readFile(input, 'utf8')).trimEnd().split('\n').length).toBeLessThanOrEqual(220)
  const bundle = await rolldown({ input, external: /^react/, logLevel: 'silent' })
  const { output } = await bundle.generate({ minify: true })
  expect(gzipSync(output[0].code).length).toBeLessThan(2_048)
  expect(output[0].code).not.toContain('root layout') // The warning is for development.
})
