import { beforeEach, expect, test, vi } from 'vitest'
import { openPageAs, signUp } from './local-clerk-actions'

const { protect } = vi.hoisted(() => ({ protect: vi.fn() }))
vi.mock('@clerk/nextjs/server', () => ({ auth: { protect } }))
vi.mock('next/cache', () => ({ refresh: vi.fn() }))
vi.mock('next/navigation', () => ({
  notFound: () => {
    throw new Error('not found')
  },
}))

const calls: string[] = []

beforeEach(() => {
  calls.length = 0
  protect.mockReset()
  vi.stubEnv('CLERK_CONTROL_URL', 'http://control')
  vi.stubGlobal('fetch', async (url: string, { method, body }: RequestInit) => {
    calls.push(`${method} ${url} ${body}`)
    return new Response(null, { status: url.endsWith('/users') ? 500 : 204 })
  })
})

const actions = {
  signUp: () => signUp('drop'),
  openPageAs: () => openPageAs('user_1'),
}

test.each(Object.entries(actions))('%s is not found without the stand-in', async (_, act) => {
  vi.stubEnv('CLERK_CONTROL_URL', undefined)
  await expect(act()).rejects.toThrow('not found')
  expect(protect).toHaveBeenCalledOnce()
  expect(calls).toEqual([])
})

test.each(Object.entries(actions))('%s is only for signed-in users', async (_, act) => {
  protect.mockRejectedValue(new Error('signed out'))
  await expect(act()).rejects.toThrow('signed out')
  expect(calls).toEqual([])
})

test.each(['hold', '', undefined])(
  'signing up with the delivery "%s" is refused',
  async (delivery) => {
    await expect(signUp(delivery as 'drop')).rejects.toThrow('delivered or dropped')
    expect(calls).toEqual([])
  },
)

test('webhooks are delivered again even if the sign-up fails', async () => {
  await expect(signUp('drop')).rejects.toThrow('answered 500 to POST /users')
  expect(calls[0]).toBe('PUT http://control/webhooks {"delivery":"drop"}')
  expect(calls.at(-1)).toBe('PUT http://control/webhooks {"delivery":"deliver"}')
})
