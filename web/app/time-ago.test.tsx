import { cleanup, render, screen } from '@testing-library/react'
import { renderToString } from 'react-dom/server'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TimeAgo } from './time-ago'

const at = '2026-11-24T10:00:00.000Z'

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at) })
})

afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

test('after hydration the browser replaces the text of the server', () => {
  const container = document.body.appendChild(document.createElement('div'))
  container.innerHTML = renderToString(<TimeAgo at={at} />)
  expect(container.textContent).toBe('now')

  const error = vi.spyOn(console, 'error')
  vi.setSystemTime(Date.parse(at) + 3_600_000)
  render(<TimeAgo at={at} />, { container, hydrate: true })
  expect(screen.getByRole('time').textContent).toBe('1 hour ago')
  expect(error).not.toHaveBeenCalled()
})
