import 'server-only'

import { isClerkAPIResponseError } from '@clerk/nextjs/errors'
import { clerkClient } from '@clerk/nextjs/server'
import { type Confirmation, readConfirmations } from './confirmations'
import { readSupabase } from './supabase'

/** What both Clerk and the table know about a user. */
export type Facts = {
  id: string
  firstName: string | null
  lastName: string | null
  email: string | null
  phoneNumber: string | null
  username: string | null
  createdAt: string | null
  updatedAt: string | null
}

/** `clerk` is null if Clerk does not know the user, `row` if the table has none. */
export type Profile = {
  clerk: Facts | null
  row: Facts | null
  confirmation: Confirmation | undefined
}

/** PostgREST renames these columns. */
const COLUMNS =
  'id,firstName:first_name,lastName:last_name,email,phoneNumber:phone_number,username,' +
  'createdAt:created_at,updatedAt:updated_at'

export async function readProfile(userId: string): Promise<Profile> {
  const query = new URLSearchParams({ id: `eq.${userId}`, select: COLUMNS })
  const [clerk, rows, confirmations] = await Promise.all([
    readClerk(userId),
    readSupabase<Facts[]>(`users?${query}`),
    readConfirmations([userId]),
  ])
  return { clerk, row: rows[0] ?? null, confirmation: confirmations[userId] }
}

async function readClerk(userId: string): Promise<Facts | null> {
  const clerk = await clerkClient()
  const user = await clerk.users.getUser(userId).catch((error: unknown) => {
    // The session of a deleted user stays valid for up to a minute.
    if (isClerkAPIResponseError(error) && error.status === 404) return null
    throw error
  })
  return (
    user && {
      id: user.id,
      firstName: user.firstName,
      lastName: user.lastName,
      email: user.primaryEmailAddress?.emailAddress ?? null,
      phoneNumber: user.primaryPhoneNumber?.phoneNumber ?? null,
      username: user.username,
      createdAt: new Date(user.createdAt).toISOString(),
      updatedAt: new Date(user.updatedAt).toISOString(),
    }
  )
}
