import { expect, expectRemembered, newEmail, signIn, signOut, test, type Watch } from './browser'
import { deleteUser, row, setClerkFault, setWebhooks, signUp } from './stack'

test('who signs up while webhooks are down has a row after their first page', async ({
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

test('one call a session, over five page loads, a reload and a second tab', async ({
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
  expect((await row(id))?.id).toBe(id)
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
  watch.noise.length = 0 // The browser itself tells of each call that it was made to abort.

  const tabs = await Promise.all([context.newPage(), context.newPage(), context.newPage()])
  await Promise.all(tabs.map((tab) => tab.goto('/profile', { waitUntil: 'networkidle' })))
  for (const tab of tabs) {
    await expectRemembered(tab)
    // A tab whose turn it is next has its turn.
    await tab.waitForFunction(async () => {
      const { held = [], pending = [] } = await navigator.locks.query()
      return held.length + pending.length === 0
    })
  }
  expect(watch.syncs).toHaveLength(1)
})

test('signing in as somebody else makes one more call', async ({ page, watch }) => {
  await setWebhooks('drop')
  for (const [calls, name] of ['ada', 'grace'].entries()) {
    const email = newEmail(name)
    const id = await signUp({ email })
    await signIn(page, email)
    await expectRemembered(page, calls + 1)
    expect((await row(id))?.email).toBe(email)
    await page.reload({ waitUntil: 'networkidle' })
    expect(watch.syncs).toHaveLength(calls + 1)
    await signOut(page)
  }
})

test('who comes back when their session token is gone is healed at the same page load', async ({
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
  watch.noise.length = 0 // The browser itself tells of the calls that it was made to abort.

  // Clerk's server library fetches another token on the way, by a redirect.
  await page.goto('/profile')
  await expect(page.getByText('Confirmed by')).toBeVisible()
  expect((await row(id))?.email).toBe(email)
})

test('where it fails the page is whole, and the next page load tries again', async ({
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
  expect(await row(id)).toBeUndefined()
  await expect.poll(() => watch.noise.length).toBe(3)
  expectAnswers(watch, 502, 3)

  await setClerkFault(null)
  await page.reload()
  await expect.poll(async () => (await row(id))?.email).toBe(email)
  expect(watch.syncs).toHaveLength(4)
})

test('a deleted user stays deleted, and their page is whole', async ({ page, watch }) => {
  const email = newEmail()
  const id = await signUp({ email })
  await page.route('**/api/user/sync', (route) => route.abort())
  await signIn(page, email)
  await deleteUser(id)
  await expect.poll(async () => (await row(id))?.deleted_at).toBeTruthy()
  // Clerk's script has not heard of it yet, and the session token is good for some seconds more.
  await page.goto('about:blank')
  await page.route('**/__clerk/v1/client**', () => {})
  await page.unroute('**/api/user/sync')
  watch.noise.length = 0

  const answered = page.waitForResponse('**/api/user/sync')
  await page.goto('/profile')
  expect((await answered).status()).toBe(410)
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible()
  await expect(page.getByText('A tombstone')).toBeVisible()
  expect((await row(id))?.email).toBeNull()
  await expect.poll(() => watch.noise.length).toBe(1)
  expectAnswers(watch, 410, 1)
})

test('on a slow network the page comes first', async ({ page, watch }) => {
  test.setTimeout(180_000)
  await setWebhooks('drop')
  const email = newEmail()
  const id = await signUp({ email })
  await page.route('**/api/user/sync', (route) => route.abort())
  await signIn(page, email)
  await expect.poll(() => watch.syncs.length).toBeGreaterThan(0)
  await page.unroute('**/api/user/sync')
  const tools = await page.context().newCDPSession(page)
  // What Chromium's own tools call slow 3G.
  const slow3g = { latency: 2_000, downloadThroughput: 50_000, uploadThroughput: 50_000 }
  await tools.send('Network.emulateNetworkConditions', { offline: false, ...slow3g })
  await page.goto('about:blank')
  watch.syncs.length = 0
  watch.noise.length = 0 // The browser itself tells of the calls that it was made to abort.

  const answered = page.waitForResponse('**/api/user/sync', { timeout: 150_000 })
  await page.goto('/profile', { waitUntil: 'commit', timeout: 120_000 })
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible({ timeout: 60_000 })
  await (await answered).finished()
  expect((await row(id))?.email).toBe(email)
  const [painted, called] = await page.evaluate(() => [
    performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    performance.getEntriesByName(new URL('/api/user/sync', location.href).href)[0]?.startTime,
  ])
  expect(called).toBeGreaterThan(painted as number)
  expect(watch.syncs).toHaveLength(1)
})

/** The browser writes a line of its own for each answer of this kind. Nobody else may write. */
function expectAnswers(watch: Watch, status: number, count: number) {
  const lines = watch.noise.splice(0)
  expect(lines).toHaveLength(count)
  for (const line of lines) {
    expect(line).toContain(`the server responded with a status of ${status}`)
    expect(line).toContain('/api/user/sync')
  }
}
