'use client'

import { useActionState } from 'react'
import { openPageAs, signUp } from './local-clerk-actions'

/**
 * What a person does in Clerk's pages, done to the local stack's stand-in for Clerk. It is there for
 * `cargo xtask dev` alone: where CLERK_CONTROL_URL is not set nothing renders this, and the actions,
 * which are part of every build, answer that there is no such page.
 */
export function LocalClerk() {
  const [message, act, isPending] = useActionState(
    (_: string, form: FormData) => signUp(form.get('delivery') === 'deliver' ? 'deliver' : 'drop'),
    '',
  )
  return (
    <section className="panel local" aria-labelledby="local-clerk">
      <h2 id="local-clerk">Local Clerk</h2>
      <p>
        A stand-in for Clerk, on this machine alone. Sign somebody up, and see what a lost webhook
        does.
      </p>
      <form action={act} className="actions">
        <button
          type="submit"
          className="button"
          name="delivery"
          value="deliver"
          disabled={isPending}
        >
          Sign up a user, webhook delivered
        </button>
        <button type="submit" className="button" name="delivery" value="drop" disabled={isPending}>
          Sign up a user, webhook lost
        </button>
      </form>
      <p className="status" role="status">
        {message}
      </p>
    </section>
  )
}

/** Does what the next page load of an orphan does. */
export function OpenPageAs({ id, name }: { id: string; name: string }) {
  const [message, act, isPending] = useActionState(() => openPageAs(id), '')
  return (
    <form action={act} className="open-page-as">
      <button type="submit" className="button small" disabled={isPending}>
        Open a page as {name.split(/[ @]/)[0]}
      </button>
      <span className="status" role="status">
        {message}
      </span>
    </form>
  )
}
