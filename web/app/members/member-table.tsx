import type { CSSProperties } from 'react'
import { Glyph, type Tone } from '@/app/glyph'
import { sourceName } from '@/app/source-name'
import { TimeAgo } from '@/app/time-ago'
import type { Member, MemberState } from '@/data/members'
import { OpenPageAs } from './local-clerk'
import { MemberRow } from './member-row'

type MemberTableProps = { members: Member[]; visitorId: string; isLocal: boolean }

export function MemberTable({ members, visitorId, isLocal }: MemberTableProps) {
  if (members.length === 0) return <p className="empty">Nobody has signed up yet.</p>
  return (
    <table className="members">
      <thead>
        <tr>
          <th scope="col">Member</th>
          <th scope="col">State</th>
          <th scope="col">Row</th>
        </tr>
      </thead>
      <tbody>
        {members.map((member) => (
          <MemberRow key={member.id} isOrphan={member.state.is === 'orphan'}>
            <th scope="row">
              <Who member={member} isVisitor={member.id === visitorId} />
            </th>
            <td>
              <StateBadge state={member.state} />
            </td>
            <td className="row-note">
              <RowNote state={member.state} />
              {isLocal && member.state.is === 'orphan' && member.id !== visitorId && (
                <OpenPageAs id={member.id} name={member.name} />
              )}
            </td>
          </MemberRow>
        ))}
      </tbody>
    </table>
  )
}

function Who({ member, isVisitor }: { member: Member; isVisitor: boolean }) {
  const { id, name, email } = member
  return (
    <div className="who">
      <span className="avatar" style={{ '--hue': hueOf(id) } as CSSProperties} aria-hidden="true">
        {initialsOf(name)}
      </span>
      <span className="who-text">
        <span className="who-name">
          {name}
          {isVisitor && <span className="you">You</span>}
        </span>
        {email && email !== name && <span className="who-email">{email}</span>}
      </span>
    </div>
  )
}

const badges: Record<MemberState['is'], { tone: Tone; text: string }> = {
  synced: { tone: 'good', text: 'In sync' },
  in_doubt: { tone: 'neutral', text: 'In doubt' },
  deleted: { tone: 'neutral', text: 'Deleted' },
  orphan: { tone: 'warning', text: 'Orphan' },
}

function StateBadge({ state }: { state: MemberState }) {
  const { tone, text } = badges[state.is]
  return (
    <span className={`badge ${tone}`}>
      <Glyph tone={tone} />
      {text}
    </span>
  )
}

function RowNote({ state }: { state: MemberState }) {
  switch (state.is) {
    case 'synced':
      return (
        <span>
          By {sourceName[state.source].toLowerCase()}, <TimeAgo at={state.at} />
        </span>
      )
    case 'in_doubt':
      return <span>Their next page load reads it again from Clerk</span>
    case 'deleted':
      return (
        <span>
          A tombstone, <TimeAgo at={state.at} />
        </span>
      )
    case 'orphan':
      return <span>In Clerk, not in your table</span>
  }
}

/** The first letters of the first and the last word. */
function initialsOf(name: string): string {
  const words = name.split(/\s+/)
  const [first = '', last = ''] = [words[0], words.length > 1 ? words.at(-1) : '']
  return [first, last].map((word) => [...word][0]?.toUpperCase() ?? '').join('')
}

/** The same user always has the same colour. */
function hueOf(id: string): number {
  let hash = 0
  for (const character of id) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 360
  return hash
}
