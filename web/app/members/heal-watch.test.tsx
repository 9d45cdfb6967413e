import { act, cleanup, render } from '@testing-library/react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Member } from '@/data/members'
import { HealWatch } from './heal-watch'

const { refresh } = vi.hoisted(() => ({ refresh: vi.fn() }))
vi.mock('next/navigation', () => {
  const router = { refresh }
  return { useRouter: () => router }
})

const orphan = (id: string): Member => ({ id, name: id, email: null, state: { is: 'orphan' } })
const deleted = (id: string): Member => ({ ...orphan(id), state: { is: 'deleted', at: '' } })
const watch = (...members: Member[]) => <HealWatch members={members} visitorId="visitor" />

/** The seconds at which the list was refreshed. */
function refreshesIn(seconds: number): number[] {
  const start = Date.now()
  const times: number[] = []
  refresh.mockImplementation(() => times.push((Date.now() - start) / 1_000))
  for (let second = 0; second < seconds; second++) act(() => vi.advanceTimersByTime(1_000))
  return times
}

function setHidden(isHidden: boolean) {
  vi.spyOn(document, 'hidden', 'get').mockReturnValue(isHidden)
  act(() => document.dispatchEvent(new Event('visibilitychange')))
}

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

test('while an orphan stays, the list is read less and less often, down to once a minute', () => {
  render(watch(orphan('ada')))
  expect(refreshesIn(250)).toEqual([2, 6, 14, 30, 62, 122, 182, 242])
})

test('a changed list is read again soon, and an unchanged one is not', () => {
  const { rerender } = render(watch(orphan('ada'), orphan('grace')))
  expect(refreshesIn(20)).toEqual([2, 6, 14])
  rerender(watch(orphan('ada'), orphan('grace')))
  expect(refreshesIn(20)).toEqual([10])
  rerender(watch(orphan('ada'), deleted('grace')))
  expect(refreshesIn(10)).toEqual([2, 6])
})

test('a hidden page does not read the list, and a page that is shown again reads it soon', () => {
  render(watch(orphan('ada')))
  expect(refreshesIn(20)).toEqual([2, 6, 14])
  setHidden(true)
  expect(refreshesIn(120)).toEqual([])
  setHidden(false)
  expect(refreshesIn(10)).toEqual([2, 6])
})

test('a list without orphans is not read again', () => {
  render(watch(deleted('ada')))
  expect(refreshesIn(120)).toEqual([])
})
