import { expect, test } from 'vitest'
import { ago } from './ago'

const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000]

test.each([
  [-hour, 'now'],
  [-1, 'now'],
  [0, 'now'],
  [second - 1, 'now'],
  [second, '1 second ago'],
  [59 * second, '59 seconds ago'],
  [minute - 1, '59 seconds ago'],
  [minute, '1 minute ago'],
  [hour - 1, '59 minutes ago'],
  [hour, '1 hour ago'],
  [23 * hour + 59 * minute, '23 hours ago'],
  [day - 1, '23 hours ago'],
  [day, 'yesterday'],
  [2 * day, '2 days ago'],
  [400 * day, '400 days ago'],
])('after %d ms it says "%s"', (milliseconds, text) => {
  const at = '2026-11-24T10:00:00.000Z'
  expect(ago(at, Date.parse(at) + milliseconds)).toBe(text)
})
