import { readFileSync } from 'node:fs'

/** The running stack, from `target/stack.json`. */
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
    throw new Error('no stack is running: cargo xtask web starts one, and runs these tests', {
      cause,
    })
  }
}

/** Delivers or drops all webhooks from now on. */
export async function setWebhooks(delivery: 'deliver' | 'drop') {
  await control('PUT', '/webhooks', { delivery })
}

const users = new Set<string>()

/** Signs a user up in Clerk, without the app. */
export async function signUp(profile: { email: string; first_name?: string; last_name?: string }) {
  const user = await control('POST', '/users', profile)
  users.add(user.id)
  return user.id as string
}

/** Deletes all users of `signUp` in Clerk. */
export async function deleteUsers() {
  for (const id of users) await deleteUser(id)
}

/** Deletes a user in Clerk. */
export async function deleteUser(id: string) {
  users.delete(id)
  await control('DELETE', `/users/${id}`)
}

/** Makes Clerk's Backend API fail until this is set back to null. */
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
