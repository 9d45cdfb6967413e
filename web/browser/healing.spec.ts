import { expect, expectRemembered, newEmail, signIn, signOut, test, type Watch } from './browser'
import { findRow } from './database'
import { deleteUser, setClerkFault, setWebhooks, signUp } from './stack'

test('a user who signs up while webhooks are down has a row after their first page', async ({
  page,
  watch,
}) => {
  await setWebhooks('drop')
  const email = newEmail()
  await page.goto('/sign-up')
  await page.getByLabel('Email address').fill(email)
  await page.getByLabel('Password', { exact: true }).fill('a password of some length')
  await page.getByRole('button', { name: 'Continue', exact: true }).click()
  await page.waitForURL('**/members')

  const own = page.getByRole('row').filter({ hasText: email })
  await expect(own).toContainText('page load')
  expect(watch.syncs).toHaveLength(1)
  expect(await (await watch.syncs[0]?.response())?.json()).toMatchObject({ status: 'created' })
})

test('a session makes one call over five page loads, a reload and a second tab', async ({
  page,
  context,
  watch,
}) => {
  const email = newEmail()
  const id = await signUp({ email })
  await signIn(page, email)
  await expectRemembered(page)
  for (const path of ['/members', '/profile', '/health', '/members', '/profile']) {
    await page.goto(path, { waitUntil: 'networkidle' })
  }
  await page.reload({ waitUntil: 'networkidle' })
  const second = await context.newPage()
  await second.goto('/profile', { waitUntil: 'networkidle' })
  expect(watch.syncs).toHaveLength(1)
  expect(await findRow(id)).toBeDefined()
})

test('two tabs that open at once make one call', async ({ page, context, watch }) => {
  const email = newEmail()
  await signUp({ email })
  await context.route('**/api/user/sync', (route) => route.abort())
  await signIn(page, email)
  await expect.poll(() => watch.syncs.length).toBeGreaterThan(0)
  await page.close()
  await context.unroute('**/api/user/sync')
  watch.syncs.length = 0
  watch.noise.length = 0 // The browser logs each call that was aborted here.

  const tabs = await Promise.all([context.newPage(), context.newPage(), context.newPage()])
  await Promise.all(tabs.map((tab) => tab.goto('/profile', { waitUntil: 'networkidle' })))
  for (const tab of tabs) {
    await expectRemembered(tab)
    // Waits until every tab had its turn.
    await tab.waitForFunction(async () => {
      const { held = [], pending = [] } = await navigator.locks.query()
      return held.length + pending.length === 0
    })
  }
  expect(watch.syncs).toHaveLength(1)
})

test('signing in as another user makes another call', async ({ page, watch }) => {
  await setWebhooks('drop')
  for (const [calls, name] of ['ada', 'grace'].entries()) {
    const email = newEmail(name)
    const id = await signUp({ email })
    await signIn(page, email)
    await expectRemembered(page, calls + 1)
    expect((await findRow(id))?.email).toBe(email)
    await page.reload({ waitUntil: 'networkidle' })
    expect(watch.syncs).toHaveLength(calls + 1)
    await signOut(page)
  }
})

test('a user who comes back without a session token is healed by the same page load', async ({
  page,
  context,
  watch,
}) => {
  await setWebhooks('drop')
  const email = newEmail()
  const id = await signUp({ email })
  await page.route('**/api/user/sync', (route) => route.abort())
  await signIn(page, email)
  await page.goto('about:blank')
  await context.clearCookies({ name: /^__session/ })
  await page.unroute('**/api/user/sync')
  watch.noise.length = 0 // The browser logs the calls that were aborted here.

  // Clerk's server library redirects once, to get another token.
  await page.goto('/profile')
  await expect(page.getByText('Confirmed by')).toBeVisible()
  expect((await findRow(id))?.email).toBe(email)
})

test('when the call fails the page still works, and the next page load tries again', async ({
  page,
  watch,
}) => {
  await setWebhooks('drop')
  const email = newEmail()
  const id = await signUp({ email })
  await setClerkFault('serverError')
  await signIn(page, email, '/health')
  await expect.poll(() => watch.syncs.length, { timeout: 30_000 }).toBe(3)
  await expect(page.getByRole('heading', { name: 'Sync health' })).toBeVisible()
  await page.getByRole('link', { name: 'Profile' }).focus()
  expect(await findRow(id)).toBeUndefined()
  await expect.poll(() => watch.noise.length).toBe(3)
  expectAnswers(watch, 502, 3)

  await setClerkFault(null)
  await page.reload()
  await expect.poll(async () => (await findRow(id))?.email).toBe(email)
  expect(watch.syncs).toHaveLength(4)
})

test('a deleted user stays deleted, and their page still works', async ({ page, watch }) => {
  const email = newEmail()
  const id = await signUp({ email })
  await page.route('**/api/user/sync', (route) => route.abort())
  await signIn(page, email)
  await deleteUser(id)
  await expect.poll(async () => (await findRow(id))?.isDeleted).toBe(true)
  // Clerk's script does not know it yet, and the session token is valid for some seconds more.
  await page.goto('about:blank')
  await page.route('**/__clerk/v1/client**', () => {})
  await page.unroute('**/api/user/sync')
  watch.noise.length = 0

  const answered = page.waitForResponse('**/api/user/sync')
  await page.goto('/profile')
  expect((await answered).status()).toBe(410)
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible()
  await expect(page.getByText('A tombstone')).toBeVisible()
  expect((await findRow(id))?.email).toBeNull()
  await expect.poll(() => watch.noise.length).toBe(1)
  expectAnswers(watch, 410, 1)
})

test('on a slow network the page comes before the call', async ({ page, watch }) => {
  test.setTimeout(180_000)
  await setWebhooks('drop')
  const email = newEmail()
  const id = await signUp({ email })
  await page.route('**/api/user/sync', (route) => route.abort())
  await signIn(page, email)
  await expect.poll(() => watch.syncs.length).toBeGreaterThan(0)
  await page.unroute('**/api/user/sync')
  const tools = await page.context().newCDPSession(page)
  // The same as "slow 3G" in Chromium's own tools.
  const slow3g = { latency: 2_000, downloadThroughput: 50_000, uploadThroughput: 50_000 }
  await tools.send('Network.emulateNetworkConditions', { offline: false, ...slow3g })
  await page.goto('about:blank')
  watch.syncs.length = 0
  watch.noise.length = 0 // The browser logs the calls that were aborted here.

  const answered = page.waitForResponse('**/api/user/sync', { timeout: 150_000 })
  await page.goto('/profile', { waitUntil: 'commit', timeout: 120_000 })
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible({ timeout: 60_000 })
  await (await answered).finished()
  expect((await findRow(id))?.email).toBe(email)
  const [painted, called] = await page.evaluate(() => [
    performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    performance.getEntriesByName(new URL('/api/user/sync', location.href).href)[0]?.startTime,
  ])
  expect(called).toBeGreaterThan(painted as number)
  expect(watch.syncs).toHaveLength(1)
})

/** The browser itself logs one line for each such answer. There must be no other line. */
function expectAnswers(watch: Watch, status: number, count: number) {
  const lines = watch.noise.splice(0)
  expect(lines).toHaveLength(count)
  for (const line of lines) {
    expect(line).toContain(`the server responded with a status of ${status}`)
    expect(line).toContain('/api/user/sync')
  }
}
