import { stack } from './stack'

/** What the tests check of a user's row. */
export type Row = { email: string | null; source: string | null; isDeleted: boolean }

/** The user's row, if there is one. */
export async function findRow(id: string): Promise<Row | undefined> {
  const [row] = await request('GET', `users?id=eq.${id}&select=email,deleted_at`)
  if (!row) return undefined
  const confirmations = await request('POST', 'rpc/user_sync_confirmations', { clerk_ids: [id] })
  const source = confirmations[id].confirmed_by
  return { email: row.email, source, isDeleted: row.deleted_at !== null }
}

export type Created = { userId: string; source: string; at: Date }

/** Writes into the ledger that these users were created. */
export async function recordCreated(created: Created[]) {
  const users = created.map(({ userId, source, at }) => ({ user_id: userId, source, at }))
  await request('POST', 'rpc/test_record_created', { users })
}

/** Moves the events of this user to this time, and all webhooks since then to just before it. */
export async function ageEvents(userId: string, at: Date) {
  await request('POST', 'rpc/test_age_events', { aged_user: userId, aged_to: at })
}

/** Calls PostgREST with the key of the service. The functions `test_…` are in `database.sql`. */
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
