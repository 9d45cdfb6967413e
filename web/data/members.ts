import 'server-only'

import { clerkClient } from '@clerk/nextjs/server'
import { readSupabase, type Source } from './supabase'

export type Member = {
  id: string
  name: string
  email: string | null
  state: MemberState
}

export type MemberState =
  | { is: 'synced'; source: Source; at: string }
  /** The row may be out of date until it is read again from Clerk. */
  | { is: 'in_doubt' }
  /** A tombstone. Clerk may list a deleted user for a moment. */
  | { is: 'deleted'; at: string }
  /** In Clerk, but not in the table. */
  | { is: 'orphan' }

type Row = {
  id: string
  sync_source: Source | null
  synced_at: string | null
  deleted_at: string | null
}

/** The newest users of Clerk, each with the state of their row. `total` counts all users. */
export async function readMembers(): Promise<{ members: Member[]; total: number }> {
  const clerk = await clerkClient()
  const { data, totalCount } = await clerk.users.getUserList({
    limit: 100,
    orderBy: '-created_at',
  })
  const rows = await readRows(data.map(({ id }) => id))
  const members = data.map((user) => {
    const email = user.primaryEmailAddress?.emailAddress ?? null
    const name = user.fullName ?? user.username ?? email ?? user.id
    return { id: user.id, name, email, state: stateOf(rows.get(user.id)) }
  })
  return { members, total: totalCount }
}

async function readRows(ids: string[]): Promise<Map<string, Row>> {
  if (ids.length === 0) return new Map()
  const query = new URLSearchParams({
    id: `in.(${ids.join(',')})`,
    select: 'id,sync_source,synced_at,deleted_at',
  })
  const rows = await readSupabase<Row[]>(`users?${query}`)
  return new Map(rows.map((row) => [row.id, row]))
}

function stateOf(row: Row | undefined): MemberState {
  if (!row) return { is: 'orphan' }
  if (row.deleted_at) return { is: 'deleted', at: row.deleted_at }
  if (!row.synced_at || !row.sync_source) return { is: 'in_doubt' }
  return { is: 'synced', source: row.sync_source, at: row.synced_at }
}
