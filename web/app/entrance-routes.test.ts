import { expect, test } from 'vitest'
import { isEntrance } from './entrance-routes'

test.each(['/sign-in', '/sign-in/', '/sign-in/factor-one', '/sign-up', '/sign-up/verify'])(
  '%s is an entrance',
  (pathname) => expect(isEntrance(pathname)).toBe(true),
)

test.each(['/', '/sign', '/sign-input', '/sign-ups', '/sign-in-help/', '/signin', '/me/sign-in'])(
  '%s is not an entrance',
  (pathname) => expect(isEntrance(pathname)).toBe(false),
)
