'use client'

/** The cause is in the server's log: Next.js shows the browser no more than the digest. */
export default function ErrorPage(props: {
  error: Error & { digest?: string }
  retry: () => void
}) {
  const { digest } = props.error
  return (
    <div className="notice-page">
      <h1>This page could not be made</h1>
      <p className="lede">
        Clerk or Supabase did not answer as they should. The server’s log says what it was and what
        to do{digest && ', beside the number '}
        {digest && <code>{digest}</code>}.
      </p>
      <button type="button" className="button" onClick={props.retry}>
        Try again
      </button>
    </div>
  )
}
