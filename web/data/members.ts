import 'server-only'

import { clerkClient } from '@clerk/nextjs/server'
import { readSupabase, type SyncPath } from './supabase'

export type Member = {
  id: string
  name: string
  email: string | null
  state: MemberState
}

export type MemberState =
  | { is: 'synced'; by: SyncPath; at: string }
  /** The row is there, but may be out of date until Clerk is asked again. */
  | { is: 'unconfirmed' }
  /** A tombstone, of a user whom Clerk still lists for a moment. */
  | { is: 'deleted'; at: string }
  /** In Clerk, and not in the table. */
  | { is: 'orphan' }

type Row = {
  id: string
  synced_by: SyncPath | null
  synced_at: string | null
  deleted_at: string | null
}

/** The newest users of Clerk, each with how it stands with their row; `total` counts them all. */
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
    select: 'id,synced_by,synced_at,deleted_at',
  })
  const rows = await readSupabase<Row[]>(`users?${query}`)
  return new Map(rows.map((row) => [row.id, row]))
}

function stateOf(row: Row | undefined): MemberState {
  if (!row) return { is: 'orphan' }
  if (row.deleted_at) return { is: 'deleted', at: row.deleted_at }
  if (!row.synced_at || !row.synced_by) return { is: 'unconfirmed' }
  return { is: 'synced', by: row.synced_by, at: row.synced_at }
}
