import { auth } from '@clerk/nextjs/server'
import type { Metadata } from 'next'
import { readMembers } from '@/data/members'
import { HealWatch } from './heal-watch'
import { LocalClerk } from './local-clerk'
import { MemberTable } from './member-table'
import './members.css'

export const metadata: Metadata = { title: 'Members' }

export default async function MembersPage() {
  const { userId } = await auth.protect()
  const { members, total } = await readMembers()
  const orphans = members.filter(({ state }) => state.is === 'orphan').length
  const isLocal = Boolean(process.env.CLERK_CONTROL_URL)
  return (
    <>
      <div className="page-head">
        <h1>Members</h1>
        <p className="lede">
          Everybody in Clerk, with the state of their row in <code>public.users</code>. A user
          without a row is an orphan. The next page that they open heals them.
        </p>
      </div>
      {isLocal && <LocalClerk />}
      <HealWatch members={members} visitorId={userId} />
      <section className="panel" aria-labelledby="everybody">
        <div className="panel-head">
          <h2 id="everybody">Everybody in Clerk</h2>
          <p className="count">
            {total > members.length && `The newest ${members.length} of `}
            {total} {total === 1 ? 'member' : 'members'}
            {orphans > 0 && (
              <span className="count-orphans">
                {orphans} {orphans === 1 ? 'orphan' : 'orphans'}
              </span>
            )}
          </p>
        </div>
        <MemberTable members={members} visitorId={userId} isLocal={isLocal} />
      </section>
    </>
  )
}
