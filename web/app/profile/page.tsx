import { auth } from '@clerk/nextjs/server'
import type { Metadata } from 'next'
import { sourceName } from '@/app/source-name'
import { TimeAgo } from '@/app/time-ago'
import { WhenSynced } from '@/components/providers/user-sync-provider'
import type { Confirmation } from '@/data/confirmations'
import { type Facts, readProfile } from '@/data/profile'
import { RefreshOnceSynced, SyncNote } from './sync-note'
import './profile.css'

export const metadata: Metadata = { title: 'Profile' }

export default async function ProfilePage() {
  const { userId } = await auth.protect()
  const { clerk, row, confirmation } = await readProfile(userId)
  return (
    <>
      <div className="page-head">
        <h1>Profile</h1>
        <p className="lede">What Clerk knows about you, and what your row says.</p>
      </div>
      <SyncNote />
      <div className="sides">
        <section className="panel" aria-labelledby="clerk">
          <div className="panel-head">
            <h2 id="clerk">Clerk says</h2>
          </div>
          {clerk ? <FactList facts={clerk} /> : <p className="empty">Clerk no longer knows you.</p>}
        </section>
        <section className="panel" aria-labelledby="row">
          <div className="panel-head">
            <h2 id="row">
              <code>public.users</code> says
            </h2>
          </div>
          {confirmation?.deleted_at ? (
            <p className="empty">
              A tombstone: you were deleted <TimeAgo at={confirmation.deleted_at} />. No personal
              data is left.
            </p>
          ) : row ? (
            <RowFacts row={row} confirmation={confirmation} />
          ) : (
            <WhenSynced fallback={<RowSkeleton />}>
              <RefreshOnceSynced fallback={<RowSkeleton />}>
                <p className="empty">You have no row.</p>
              </RefreshOnceSynced>
            </WhenSynced>
          )}
        </section>
      </div>
    </>
  )
}

function RowFacts({ row, confirmation }: { row: Facts; confirmation: Confirmation | undefined }) {
  const { confirmed_at: at, confirmed_by: source, in_doubt } = confirmation ?? {}
  return (
    <>
      <FactList facts={row} />
      <p className="panel-foot">
        {at && source && !in_doubt ? (
          <>
            Confirmed by {sourceName[source].toLowerCase()}, <TimeAgo at={at} />
          </>
        ) : (
          'In doubt: your next page load reads it again from Clerk'
        )}
      </p>
    </>
  )
}

const labels: Record<keyof Facts, string> = {
  id: 'Id',
  firstName: 'First name',
  lastName: 'Last name',
  email: 'Email',
  phoneNumber: 'Phone',
  username: 'Username',
  createdAt: 'Signed up',
  updatedAt: 'Changed',
}
const fields = Object.keys(labels) as (keyof Facts)[]

function FactList({ facts }: { facts: Facts }) {
  return (
    <dl className="facts">
      {fields.map((field) => (
        <div key={field}>
          <dt>{labels[field]}</dt>
          <dd>
            <Fact field={field} value={facts[field]} />
          </dd>
        </div>
      ))}
    </dl>
  )
}

function Fact({ field, value }: { field: keyof Facts; value: string | null }) {
  if (value === null) return <span className="none">none</span>
  return field === 'createdAt' || field === 'updatedAt' ? <TimeAgo at={value} /> : value
}

function RowSkeleton() {
  return (
    <div className="facts" role="status">
      <span className="visually-hidden">Your row is being created</span>
      {fields.map((field) => (
        <div key={field} aria-hidden="true">
          <span className="skeleton" />
          <span className="skeleton" />
        </div>
      ))}
    </div>
  )
}
