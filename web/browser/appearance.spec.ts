import AxeBuilder from '@axe-core/playwright'
import type { Locator, Page } from '@playwright/test'
import { expect, newEmail, signIn, test } from './browser'
import { database, row, setWebhooks, signUp } from './stack'

const devices = {
  desktop: { width: 1280, height: 900 },
  phone: { width: 390, height: 844 },
}

test('signed-out pages, in light and dark, on desktop and phone', async ({ page }) => {
  for (const path of ['/sign-in', '/sign-up']) {
    await page.goto(path)
    await look(page, path.slice(1), page.getByRole('button', { name: 'Continue', exact: true }))
  }
})

test('signed-in pages, in light and dark, on desktop and phone', async ({ page }) => {
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
  await expect.poll(async () => (await row(id))?.synced_by).toBe('page_load')

  const signedIn = page.getByRole('button', { name: 'Sign out' })
  await page.goto('/profile')
  await look(page, 'profile', signedIn, page.getByText('Confirmed by'))
  await page.goto('/health')
  await look(page, 'health', signedIn, page.locator('.recharts-bar').first())
  await page.goto('/members')
  await look(page, 'members', signedIn, page.getByRole('row').filter({ hasText: orphan.email }))
})

test('an orphan is healed before your eyes', async ({ page }) => {
  const email = newEmail()
  await signUp({ email, first_name: 'Ada' })
  await signIn(page, email, '/members')
  const newest = page.getByRole('row').nth(1)
  await page.getByRole('button', { name: 'Sign up a user, webhook delivered' }).click()
  await expect(newest).toContainText('By webhook')
  await page.getByRole('button', { name: 'Sign up a user, webhook lost' }).click()
  await expect(newest).toContainText('not in your table')
  await newest.getByRole('button', { name: /^Open a page as/ }).click()
  await expect(newest).toContainText('By page load')
  await expect(page.getByText(/is healed: in the table by page load/)).toBeAttached()
})

test('a keyboard alone leads past the header and through the pages', async ({ page }) => {
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
  await expect.poll(async () => (await row(id))?.email).toBe(email)
  // An orphan counts after a minute without a webhook.
  const recorded_at = new Date(Date.now() - 61_000).toISOString()
  await database('PATCH', `user_sync_events?user_id=eq.${id}`, { recorded_at })
  await database('PATCH', `user_sync_events?source=eq.webhook&recorded_at=gt.${recorded_at}`, {
    recorded_at: new Date(Date.now() - 62_000).toISOString(),
  })
  await page.reload()
  await look(page, 'health-broken', page.getByText('Webhooks look broken'))
})

/** Shows the page in every way, once all that is to be `ready` is, to axe and to a picture. */
async function look(page: Page, name: string, ...ready: Locator[]) {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    // Clerk's forms take their colours when they load.
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

/** A month of sign-ups, most by webhook, so that the charts have something to show. */
async function fillLedger() {
  const day = 24 * 3_600_000
  const events = Array.from({ length: 29 }, (_, age) => age + 1).flatMap((age) => {
    const created = (source: string, count: number) =>
      Array.from({ length: count }, (_, number) => ({
        user_id: `user_of_${source}_${age}_${number}`,
        source,
        outcome: 'created',
        recorded_at: new Date(Date.now() - age * day).toISOString(),
      }))
    const isOutage = age >= 9 && age <= 11
    return [
      ...created('webhook', isOutage ? 0 : 6 + ((age * 7) % 9)),
      ...created('page_load', isOutage ? 8 + (age % 3) : (age * 5) % 4),
    ]
  })
  await database('POST', 'user_sync_events', events)
}
