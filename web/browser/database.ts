import { stack } from './stack'

/** What the tests check of a user's row. */
export type Row = { email: string | null; source: string | null; isDeleted: boolean }

/** The user's row, if there is one. */
export async function findRow(id: string): Promise<Row | undefined> {
  const [row] = await request('GET', `users?id=eq.${id}&select=email,sync_source,deleted_at`)
  return row && { email: row.email, source: row.sync_source, isDeleted: row.deleted_at !== null }
}

export type Created = { userId: string; source: string; at: Date }

/** Writes into the ledger that these users were created. */
export async function recordCreated(users: Created[]) {
  const events = users.map(({ userId, source, at }) => ({
    user_id: userId,
    source,
    outcome: 'created',
    recorded_at: at,
  }))
  await request('POST', 'user_sync_events', events)
}

/** Moves the events of this user to this time, and all webhooks since then to just before it. */
export async function ageEvents(userId: string, at: Date) {
  await request('PATCH', `user_sync_events?user_id=eq.${userId}`, { recorded_at: at })
  const webhooks = `user_sync_events?source=eq.webhook&recorded_at=gt.${at.toISOString()}`
  await request('PATCH', webhooks, { recorded_at: new Date(at.getTime() - 1_000) })
}

/** Calls PostgREST with the key of the service. */
async function request(method: string, path: string, body?: object) {
  const response = await fetch(`${stack.supabaseUrl}/rest/v1/${path}`, {
    method,
    headers: { apikey: stack.supabaseSecretKey, 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text ? JSON.parse(text) : null
}
