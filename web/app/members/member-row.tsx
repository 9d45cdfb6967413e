'use client'

import { type ReactNode, useState } from 'react'

/** A row that is highlighted for a moment when its user is healed. */
export function MemberRow({ isOrphan, children }: { isOrphan: boolean; children: ReactNode }) {
  const [wasOrphan, setWasOrphan] = useState(isOrphan)
  const [isHealed, setIsHealed] = useState(false)
  if (wasOrphan !== isOrphan) {
    setWasOrphan(isOrphan)
    setIsHealed(wasOrphan)
  }
  return <tr className={isOrphan ? 'orphan' : isHealed ? 'healed' : undefined}>{children}</tr>
}
