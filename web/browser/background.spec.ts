import type { Browser, Page } from '@playwright/test'
import { expect, newEmail, signIn, test } from './browser'
import { setWebhooks, signUp, stack } from './stack'

/** How often each app is loaded. The median counts. */
const LOADS = 15

test('a call that hangs for a minute does not change the page', async ({ page, watch }) => {
  await setWebhooks('drop')
  const email = newEmail()
  await signUp({ email })
  await page.context().route('**/api/user/sync', () => {}) // No answer comes.
  await signIn(page, email)
  await page.goto('about:blank')
  watch.syncs.length = 0
  await page.goto('/profile')
  await expect.poll(() => watch.syncs.length).toBeGreaterThan(0)
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible()
  await page.getByRole('link', { name: 'Members' }).click()
  await expect(page.getByRole('heading', { name: 'Members', exact: true })).toBeVisible()
  await expect(page.getByRole('row').filter({ hasText: email })).toContainText('not in your table')
})

test('first paint and interactivity are as fast as without a provider', async ({
  page,
  browser,
}) => {
  test.setTimeout(240_000)
  const without = process.env.WITHOUT_PROVIDER_URL
  if (!without)
    throw new Error('WITHOUT_PROVIDER_URL is not set: run these tests with cargo xtask web')
  await setWebhooks('drop')
  const email = newEmail()
  await signUp({ email })
  await page.context().route('**/api/user/sync', () => {})
  await signIn(page, email)
  const state = await page.context().storageState()
  // A token lives a minute. Without one, every load fetches its own, not only some of them.
  state.cookies = state.cookies.filter(({ name }) => !name.startsWith('__session'))
  await page.close()

  const apps = [
    { url: stack.webUrl, loads: [] as Load[] },
    { url: without, loads: [] as Load[] },
  ] as const
  for (let load = 0; load < LOADS; load++) {
    for (const { url, loads } of load % 2 ? apps : apps.toReversed()) {
      loads.push(await time(browser, state, url))
    }
  }
  for (const what of ['painted', 'interactive'] as const) {
    const [provider, none] = apps.map(({ loads }) => median(loads, what)) as [number, number]
    console.log(`${what}: ${provider} ms with a hanging call, ${none} ms without a provider`)
    expect(provider, what).toBeLessThan(none * 1.15 + 50)
  }
})

type Load = { painted: number; interactive: number }
type State = Awaited<ReturnType<ReturnType<Page['context']>['storageState']>>

/** Loads the profile in a fresh browser context. Its calls to user-sync get no answer. */
async function time(browser: Browser, storageState: State, url: string): Promise<Load> {
  const context = await browser.newContext({ storageState })
  await context.route('**/api/user/sync', () => {})
  const page = await context.newPage()
  await page.addInitScript(() => {
    const look = () => {
      // React puts its properties on an element when it hydrates it.
      const link = document.querySelector('nav a')
      const isHydrated = link && Object.keys(link).some((name) => name.startsWith('__reactProps'))
      if (isHydrated) performance.mark('interactive')
      else requestAnimationFrame(look)
    }
    look()
  })
  await page.goto(`${url}/profile`)
  const times = await page.waitForFunction(() => {
    const [painted, interactive] = ['first-contentful-paint', 'interactive'].map(
      (name) => performance.getEntriesByName(name)[0]?.startTime,
    )
    return painted && interactive && { painted, interactive }
  })
  const load = (await times.jsonValue()) as Load
  await context.close()
  return load
}

function median(loads: Load[], what: keyof Load): number {
  const sorted = loads.map((load) => load[what]).sort((one, other) => one - other)
  return Math.round(sorted[Math.floor(sorted.length / 2)] as number)
}
