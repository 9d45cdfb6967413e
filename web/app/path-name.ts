import type { SyncPath } from '@/data/supabase'

/** The paths by which a user comes into the table, as people read them. */
export const pathName: Record<SyncPath, string> = {
  webhook: 'Webhook',
  page_load: 'Page load',
  reconcile: 'Reconcile',
}
