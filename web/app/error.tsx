'use client'

/** The cause is in the server's log. Next.js gives the browser only the digest. */
export default function ErrorPage(props: {
  error: Error & { digest?: string }
  retry: () => void
}) {
  const { digest } = props.error
  return (
    <div className="notice-page">
      <h1>This page could not be loaded</h1>
      <p className="lede">
        Clerk or Supabase did not answer as expected. The server’s log says what happened and what
        to do{digest && ', next to the number '}
        {digest && <code>{digest}</code>}.
      </p>
      <button type="button" className="button" onClick={props.retry}>
        Try again
      </button>
    </div>
  )
}
