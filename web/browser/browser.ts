import {
  type BrowserContext,
  test as base,
  expect,
  type Page,
  type Request,
} from '@playwright/test'
import { deleteUsers, setClerkFault, setWebhooks, stack } from './stack'

/** What all pages of a test did. */
export interface Watch {
  /** The calls of `POST /api/user/sync`. */
  syncs: Request[]
  /** Errors and console messages. A test takes out the ones that it expects. */
  noise: string[]
}

/**
 * A test with real pages. They may not call another machine, throw, or write to the console. After
 * each test the stack works as before.
 */
export const test = base.extend<{ watch: Watch }>({
  watch: [
    async ({ context }, use) => {
      const strays: string[] = []
      const watch = watchContext(context, strays)
      await use(watch)
      await setClerkFault(null)
      await setWebhooks('deliver')
      await deleteUsers()
      expect(strays, 'requests to other machines').toEqual([])
      expect(watch.noise, 'errors and console messages').toEqual([])
    },
    { auto: true },
  ],
})

function watchContext(context: BrowserContext, strays: string[]): Watch {
  const watch: Watch = { syncs: [], noise: [] }
  context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.pathname === '/api/user/sync') watch.syncs.push(request)
    const isHere = ['localhost', '127.0.0.1'].includes(url.hostname)
    if (!isHere && url.protocol.startsWith('http')) strays.push(request.url())
  })
  context.on('console', (message) => {
    // Chromium gives advice on forms, and hides it in its own console.
    const isAdvice = (message.type() as string) === 'verbose'
    if (!isAdvice) watch.noise.push(`${message.text()} (${message.location().url})`)
  })
  context.on('weberror', (error) => watch.noise.push(`thrown: ${error.error()}`))
  return watch
}

/** Signs in with Clerk's own form, and ends at `path`. */
export async function signIn(page: Page, email: string, path = '/profile') {
  const target = new URL(path, stack.webUrl)
  await page.goto(`/sign-in?redirect_url=${encodeURIComponent(target.href)}`)
  await page.getByLabel('Email address').fill(email)
  await page.getByRole('button', { name: 'Continue', exact: true }).click()
  await page.getByLabel('Password', { exact: true }).fill('any password fits')
  await page.getByRole('button', { name: 'Continue', exact: true }).click()
  await page.waitForURL(target.href)
}

/** Waits until the browser remembers this many synced sessions. */
export async function expectRemembered(page: Page, sessions = 1) {
  const remembered = () => localStorage.getItem('user-sync')?.trim().split(' ').length ?? 0
  await expect.poll(() => page.evaluate(remembered)).toBe(sessions)
}

/** Signs out with the app's own button. */
export async function signOut(page: Page) {
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.waitForURL(/\/sign-in/)
}

/** An e-mail address that no other test uses. */
export function newEmail(name = 'ada') {
  return `${name}-${Math.random().toString(36).slice(2, 10)}@example.com`
}

export { expect }
