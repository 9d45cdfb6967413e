import 'server-only'

import { readSupabase, type Source } from './supabase'

/** What the state says about a user. Times are ISO 8601. */
export type Confirmation = {
  /** Whether the user has a row in the app's table. */
  has_row: boolean
  confirmed_at: string | null
  confirmed_by: Source | null
  /** The row may be out of date until it is read again from Clerk. */
  in_doubt: boolean
  /** Not null for a tombstone. */
  deleted_at: string | null
}

/** What the state says about these users, by Clerk id. It has an answer for each of them. */
export function readConfirmations(ids: string[]): Promise<Record<string, Confirmation>> {
  return readSupabase<Record<string, Confirmation>>('rpc/user_sync_confirmations', {
    clerk_ids: ids,
  })
}
