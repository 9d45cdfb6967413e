'use server'

import { auth } from '@clerk/nextjs/server'
import { refresh } from 'next/cache'
import { notFound } from 'next/navigation'

const firstNames =
  'Ada Alan Barbara Claude Donald Edsger Frances Grace Hedy Joan Katherine Leslie Margaret Niklaus Radia Tim'
const lastNames =
  'Allen Backus Clarke Hamilton Hopper Johnson Kernighan Lamport Liskov Lovelace Milner Naur Perlman Shannon Turing Wirth'

/**
 * Signs somebody up, and says so. Afterwards webhooks are always delivered: the stand-in does not
 * say whether they were before.
 */
export async function signUp(delivery: 'deliver' | 'drop'): Promise<string> {
  await protect()
  // The browser can send anything here, whatever the type says.
  if (delivery !== 'deliver' && delivery !== 'drop') {
    throw new Error('A webhook can only be delivered or dropped.')
  }
  const [first, last] = [oneOf(firstNames), oneOf(lastNames)]
  await control('PUT', '/webhooks', { delivery })
  try {
    await control('POST', '/users', {
      first_name: first,
      last_name: last,
      email: `${first}.${last}@example.com`.toLowerCase(),
    })
  } finally {
    await control('PUT', '/webhooks', { delivery: 'deliver' })
  }
  refresh()
  const fate = delivery === 'deliver' ? 'is on its way' : 'was lost'
  return `${first} ${last} signed up. The webhook ${fate}.`
}

/** Calls `user-sync` as this user's browser would. Returns what went wrong, or nothing. */
export async function openPageAs(userId: string): Promise<string> {
  await protect()
  const session = await control('POST', `/users/${encodeURIComponent(userId)}/session`)
  const response = await fetch(process.env.USER_SYNC_URL ?? '', {
    method: 'POST',
    headers: { Authorization: `Bearer ${await session.text()}` },
  })
  refresh()
  return response.ok ? '' : `user-sync answered ${response.status}`
}

/** Any signed-in user can call an action, even if no page shows its button. */
async function protect(): Promise<void> {
  await auth.protect()
  if (!process.env.CLERK_CONTROL_URL) notFound()
}

async function control(method: string, path: string, body?: object): Promise<Response> {
  const response = await fetch(`${process.env.CLERK_CONTROL_URL}${path}`, {
    method,
    ...(body && {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    }),
  })
  if (response.ok) return response
  throw new Error(`CLERK_CONTROL_URL answered ${response.status} to ${method} ${path}`)
}

function oneOf(names: string): string {
  const all = names.split(' ')
  return all[Math.floor(Math.random() * all.length)] ?? ''
}
