import { cleanup, render, screen } from '@testing-library/react'
import { renderToString } from 'react-dom/server'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { useUserSync } from '../providers/user-sync-provider'
import { LayoutWrapper, type LayoutWrapperProps } from './layout-wrapper'

const { usePathname, useAuth } = vi.hoisted(() => ({ usePathname: vi.fn(), useAuth: vi.fn() }))
vi.mock('next/navigation', () => ({ usePathname }))
vi.mock('@clerk/nextjs', () => ({ useAuth }))

/** Shows `syncing` if the visitor counts as signed in. */
function Page() {
  return <main>{useUserSync().status}</main>
}

function page(pathname: string, props: Partial<LayoutWrapperProps> = {}) {
  usePathname.mockReturnValue(pathname)
  return (
    <LayoutWrapper {...props}>
      <Page />
    </LayoutWrapper>
  )
}

const isHealing = () => screen.getByRole('main').textContent === 'syncing'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.spyOn(console, 'error')
  const getToken = async () => 'token'
  useAuth
    .mockReset()
    .mockReturnValue({ isSignedIn: true, userId: 'user', sessionId: 'session', getToken })
})

afterEach(() => {
  cleanup()
  expect(console.error).not.toHaveBeenCalled()
})

test.each(['/', '/members', '/members/sign-in', '/profile/sign-up/', '/sync'])(
  '%s heals its visitor',
  (pathname) => {
    render(page(pathname))
    expect(isHealing()).toBe(true)
  },
)

test.each([
  '/sign-in',
  '/sign-in/',
  '/sign-in/factor-one',
  '/sign-in/sso-callback/',
  '/sign-up',
  '/sign-up/',
  '/sign-up/verify-email-address',
])('%s does not heal its visitor', (pathname) => {
  render(page(pathname))
  expect(screen.getByRole('main')).toBeDefined()
  expect(isHealing()).toBe(false)
})

test.each(['/sign-input', '/sign-in-help', '/sign-ins/1', '/sign-up-sheet', '/sign', '/signin'])(
  '%s heals its visitor: it only begins like an excluded route',
  (pathname) => {
    render(page(pathname))
    expect(isHealing()).toBe(true)
  },
)

test.each([
  ['/login', ['/login', '/join'], false],
  ['/join/now', ['/login', '/join'], false],
  ['/sign-in', ['/login', '/join'], true],
  ['/login', ['/account/login'], true],
  ['/account/login/now', ['/account/login'], false],
  ['/account', ['/account/login'], true],
  ['/sign-in', [], true],
])('whether %s heals its visitor, with %j excluded: %s', (pathname, exclude, expected) => {
  render(page(pathname, { exclude }))
  expect(isHealing()).toBe(expected)
})

test('the route decides whether it heals, and the page is not rebuilt', () => {
  const { rerender } = render(page('/sign-in'))
  const main = screen.getByRole('main')
  expect(isHealing()).toBe(false)
  rerender(page('/members'))
  expect(isHealing()).toBe(true)
  rerender(page('/sign-in'))
  expect(isHealing()).toBe(false)
  expect(screen.getByRole('main')).toBe(main)
})

test.each(['/members', '/sign-in'])('%s renders its children on the server', (pathname) => {
  expect(renderToString(page(pathname))).toBe('<main>idle</main>')
})
