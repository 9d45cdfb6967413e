'use client'

import { useActionState } from 'react'
import { openPageAs, signUp } from './local-clerk-actions'
import './local-clerk.css'

/**
 * Signs users up in the local stack's stand-in for Clerk. Only for `cargo xtask dev`: without
 * CLERK_CONTROL_URL nothing renders this, and the actions, which every build has, answer 404.
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
        A stand-in for Clerk that runs only on this machine. Sign somebody up, and see what happens
        when a webhook is lost.
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

/** Does what the orphan's next page load would do. */
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
