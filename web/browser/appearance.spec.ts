import AxeBuilder from '@axe-core/playwright'
import type { Locator, Page } from '@playwright/test'
import { expect, newEmail, signIn, test } from './browser'
import { ageEvents, findRow, recordCreated } from './database'
import { setWebhooks, signUp } from './stack'

const devices = {
  desktop: { width: 1280, height: 900 },
  phone: { width: 390, height: 844 },
}

test('signed-out pages look right in light and dark, on desktop and phone', async ({ page }) => {
  for (const path of ['/sign-in', '/sign-up']) {
    await page.goto(path)
    await look(page, path.slice(1), page.getByRole('button', { name: 'Continue', exact: true }))
  }
})

test('signed-in pages look right in light and dark, on desktop and phone', async ({ page }) => {
  test.setTimeout(120_000)
  await fillLedger()
  for (const [first_name, last_name] of [
    ['Grace', 'Hopper'],
    ['Katherine', 'Johnson'],
    ['Hedy', 'Lamarr'],
    ['Radia', 'Perlman'],
  ] as const) {
    await signUp({ email: newEmail(first_name.toLowerCase()), first_name, last_name })
  }
  await setWebhooks('drop')
  const orphan = { email: newEmail('barbara'), first_name: 'Barbara', last_name: 'Liskov' }
  await signUp(orphan)
  const email = newEmail()
  const id = await signUp({ email, first_name: 'Ada', last_name: 'Lovelace' })
  await signIn(page, email)
  await expect.poll(async () => (await findRow(id))?.source).toBe('page_load')

  const signedIn = page.getByRole('button', { name: 'Sign out' })
  await page.goto('/profile')
  await look(page, 'profile', signedIn, page.getByText('Confirmed by'))
  await page.goto('/health')
  await look(page, 'health', signedIn, page.locator('.recharts-bar').first())
  await page.goto('/members')
  await look(page, 'members', signedIn, page.getByRole('row').filter({ hasText: orphan.email }))
})

test('the member list shows how an orphan is healed', async ({ page }) => {
  const email = newEmail()
  await signUp({ email, first_name: 'Ada' })
  await signIn(page, email, '/members')
  const signUpOnPage = async (webhook: 'delivered' | 'lost', fate: string) => {
    await page.getByRole('button', { name: `Sign up a user, webhook ${webhook}` }).click()
    const message = await page.getByText(`signed up. The webhook ${fate}.`).textContent()
    const name = message?.split(' signed up.')[0] ?? ''
    return page.getByRole('row').filter({ hasText: name }).first()
  }
  await expect(await signUpOnPage('delivered', 'is on its way')).toContainText('By webhook')
  const orphan = await signUpOnPage('lost', 'was lost')
  await expect(orphan).toContainText('not in your table')
  await orphan.getByRole('button', { name: /^Open a page as/ }).click()
  await expect(orphan).toContainText('By page load')
  await expect(page.getByText(/is healed: added to the table by page load/)).toBeAttached()
})

test('the keyboard can skip the header and reach every page', async ({ page }) => {
  const email = newEmail()
  await signUp({ email })
  await signIn(page, email)
  await page.reload()
  await expect(page.getByRole('button', { name: 'Sign out' })).toBeVisible()
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.locator('#content')).toBeFocused()
  await page.getByRole('link', { name: 'Skip to content' }).focus()
  for (const name of ['Self-healing user sync', 'Members', 'Profile', 'Sync health']) {
    await page.keyboard.press('Tab')
    await expect(page.getByRole('link', { name, exact: true })).toBeFocused()
  }
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { name: 'Sync health' })).toBeVisible()
})

test('the health page says when webhooks look broken', async ({ page, watch }) => {
  await setWebhooks('drop')
  const email = newEmail()
  const id = await signUp({ email })
  await signIn(page, email, '/health')
  await expect.poll(() => watch.syncs.length).toBe(1)
  await expect.poll(async () => (await findRow(id))?.email).toBe(email)
  // An orphan counts after a minute without a webhook.
  await ageEvents(id, new Date(Date.now() - 61_000))
  await page.reload()
  await look(page, 'health-broken', page.getByText('Webhooks look broken'))
})

/** When `ready` is visible: checks the page with axe and takes its picture, in every way. */
async function look(page: Page, name: string, ...ready: Locator[]) {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    // Clerk's forms read their colours only when they load.
    await page.reload()
    for (const [device, size] of Object.entries(devices)) {
      await page.setViewportSize(size)
      for (const part of ready) await expect(part).toBeVisible()
      const way = `${name}-${colorScheme}-${device}`
      await page.screenshot({ path: `../target/screenshots/${way}.png`, fullPage: true })
      const { violations } = await new AxeBuilder({ page }).analyze()
      const found = violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])
      expect(found, way).toEqual([])
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      )
      expect(overflow, `${way} scrolls sideways`).toBeLessThanOrEqual(0)
    }
  }
}

/** A month of sign-ups, most by webhook, so that the charts show something. */
async function fillLedger() {
  const day = 24 * 3_600_000
  const users = Array.from({ length: 29 }, (_, age) => age + 1).flatMap((age) => {
    const created = (source: string, count: number) =>
      Array.from({ length: count }, (_, number) => ({
        userId: `user_of_${source}_${age}_${number}`,
        source,
        at: new Date(Date.now() - age * day),
      }))
    const isOutage = age >= 9 && age <= 11
    return [
      ...created('webhook', isOutage ? 0 : 6 + ((age * 7) % 9)),
      ...created('page_load', isOutage ? 8 + (age % 3) : (age * 5) % 4),
    ]
  })
  await recordCreated(users)
}
