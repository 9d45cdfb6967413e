import type { ReactNode } from 'react'

/** What the app is measured against: nothing heals. */
export function LayoutWrapper({ children }: { children: ReactNode }) {
  return children
}
