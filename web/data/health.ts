import 'server-only'

import { readSupabase, type Source } from './supabase'

/** What `user_sync_health()` answers. Times are ISO 8601. */
export type Health = {
  verdict: 'working' | 'leaking' | 'silent' | 'quiet'
  /** Webhooks that were accepted in the last 24 hours. */
  arrived: number
  /** Users who were healed in the last 24 hours, and whose webhook has not arrived. */
  lost: number
  /** Events that were rejected in the last 24 hours. */
  rejected: number
  lost_since_last_webhook: number
  last_webhook_at: string | null
  sources: { source: Source; last_event_at: string | null }[]
  /** The last 30 days, oldest first. */
  days: Day[]
}

/** Users of a day, by the source that wrote them first, and how many of them were healed. */
export type Day = Record<Source, number> & {
  /** `2026-11-24` */
  day: string
  orphans_healed: number
}

export function readHealth(): Promise<Health> {
  return readSupabase<Health>('rpc/user_sync_health', {})
}
