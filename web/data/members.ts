import 'server-only'

import { clerkClient } from '@clerk/nextjs/server'
import { type Confirmation, readConfirmations } from './confirmations'
import type { Source } from './supabase'

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

/** The newest users of Clerk, each with the state of their row. `total` counts all users. */
export async function readMembers(): Promise<{ members: Member[]; total: number }> {
  const clerk = await clerkClient()
  const { data, totalCount } = await clerk.users.getUserList({
    limit: 100,
    orderBy: '-created_at',
  })
  const confirmations = await readConfirmations(data.map(({ id }) => id))
  const members = data.map((user) => {
    const email = user.primaryEmailAddress?.emailAddress ?? null
    const name = user.fullName ?? user.username ?? email ?? user.id
    return { id: user.id, name, email, state: stateOf(confirmations[user.id]) }
  })
  return { members, total: totalCount }
}

function stateOf(known: Confirmation | undefined): MemberState {
  if (known?.deleted_at) return { is: 'deleted', at: known.deleted_at }
  if (!known?.has_row) return { is: 'orphan' }
  if (known.in_doubt || !known.confirmed_at || !known.confirmed_by) return { is: 'in_doubt' }
  return { is: 'synced', source: known.confirmed_by, at: known.confirmed_at }
}
