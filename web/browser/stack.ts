import { readFileSync } from 'node:fs'

/** The running stack, as `target/stack.json` describes it. */
export const stack: {
  webUrl: string
  userSyncUrl: string
  supabaseUrl: string
  supabaseSecretKey: string
  clerkControlUrl: string
} = read()

function read() {
  const file = new URL('../../target/stack.json', import.meta.url)
  try {
    const described = JSON.parse(readFileSync(file, 'utf8'))
    return { ...described, webUrl: process.env.WEB_URL ?? described.webUrl }
  } catch (cause) {
    throw new Error('no stack is running: cargo xtask web starts one, and these tests with it', {
      cause,
    })
  }
}

/** What becomes of webhooks from here on. */
export async function setWebhooks(delivery: 'deliver' | 'drop') {
  await control('PUT', '/webhooks', { delivery })
}

const users = new Set<string>()

/** Signs a user up behind the app's back. */
export async function signUp(profile: { email: string; first_name?: string; last_name?: string }) {
  const user = await control('POST', '/users', profile)
  users.add(user.id)
  return user.id as string
}

/** Deletes in Clerk whom `signUp` signed up. */
export async function deleteUsers() {
  for (const id of users) await deleteUser(id)
}

/** Deletes a user in Clerk. */
export async function deleteUser(id: string) {
  users.delete(id)
  await control('DELETE', `/users/${id}`)
}

/** Makes Clerk's Backend API fail until it is told otherwise. */
export async function setClerkFault(fault: 'serverError' | null) {
  await control('PUT', '/fault', { fault })
}

async function control(method: string, path: string, body?: object) {
  const response = await fetch(`${stack.clerkControlUrl}${path}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text ? JSON.parse(text) : null
}

/** A user's row, or nothing. */
export async function row(id: string): Promise<Record<string, unknown> | undefined> {
  const rows = await database('GET', `users?id=eq.${id}`)
  return rows[0]
}

/** Reads or writes through PostgREST, as the service does. */
export async function database(method: string, path: string, body?: object) {
  const response = await fetch(`${stack.supabaseUrl}/rest/v1/${path}`, {
    method,
    headers: { apikey: stack.supabaseSecretKey, 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text ? JSON.parse(text) : null
}
