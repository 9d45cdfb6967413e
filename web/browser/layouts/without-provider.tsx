import type { ReactNode } from 'react'

/** The app is measured against this one, which heals nobody. */
export function LayoutWrapper({ children }: { children: ReactNode }) {
  return children
}
