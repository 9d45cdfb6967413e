import type { Source } from '@/data/supabase'

/** The sources of a row, as people read them. */
export const sourceName: Record<Source, string> = {
  webhook: 'Webhook',
  page_load: 'Page load',
  reconcile: 'Reconcile',
}
