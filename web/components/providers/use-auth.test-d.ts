import type { useAuth as useAuthOfClerkReact } from '@clerk/clerk-react'
import type { useAuth as useAuthOfNextjs } from '@clerk/nextjs'
import type { useAuth as useAuthOfReact } from '@clerk/react'
import type { UseAuth } from './user-sync-provider'

// The compiler is the test: `npx tsc --noEmit` fails when a hook no longer fits.
type Fits<Hook extends UseAuth> = Hook

export type HooksThatFit = [
  Fits<typeof useAuthOfNextjs>,
  Fits<typeof useAuthOfReact>,
  Fits<typeof useAuthOfClerkReact>,
  Fits<() => { getToken: () => Promise<null> }>,
]

export type HooksThatDoNot = [
  // @ts-expect-error: A call to another origin needs a token.
  Fits<() => { isSignedIn: boolean; userId: string; sessionId: string }>,
  // @ts-expect-error: An id is a string.
  Fits<() => { userId: number; getToken: () => Promise<string> }>,
]
