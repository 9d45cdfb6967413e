import { auth } from '@clerk/nextjs/server'
import type { Metadata } from 'next'
import { sourceName } from '@/app/source-name'
import { TimeAgo } from '@/app/time-ago'
import { WhenSynced } from '@/components/providers/user-sync-provider'
import { type Facts, type Row, readProfile } from '@/data/profile'
import { RefreshOnceSynced, SyncNote } from './sync-note'
import './profile.css'

export const metadata: Metadata = { title: 'Profile' }

export default async function ProfilePage() {
  const { userId } = await auth.protect()
  const { clerk, row } = await readProfile(userId)
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
          {row ? (
            <RowFacts row={row} />
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

function RowFacts({ row }: { row: Row }) {
  if (row.deletedAt) {
    return (
      <p className="empty">
        A tombstone: you were deleted <TimeAgo at={row.deletedAt} />. No personal data is left.
      </p>
    )
  }
  return (
    <>
      <FactList facts={row} />
      <p className="panel-foot">
        {row.syncedAt && row.syncSource ? (
          <>
            Confirmed by {sourceName[row.syncSource].toLowerCase()}, <TimeAgo at={row.syncedAt} />
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
