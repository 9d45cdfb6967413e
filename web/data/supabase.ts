import 'server-only'

/** What writes a user: the type `user_sync.source`. */
export type Source = 'webhook' | 'page_load' | 'reconcile'

const TIME_TO_ANSWER_MS = 8_000

/**
 * Reads a path below `/rest/v1/` of PostgREST, or calls a function with `body`.
 *
 * supabase-js could do this too, but its current release needs Node 22.
 */
export async function readSupabase<Answer>(path: string, body?: object): Promise<Answer> {
  const url = new URL(`/rest/v1/${path}`, variable('SUPABASE_URL', 'https://….supabase.co'))
  // Never as a Bearer token: the key is not a token, and Supabase would answer 401.
  const headers = new Headers({ apikey: variable('SUPABASE_SECRET_KEY', 'sb_secret_…') })
  if (body) headers.set('Content-Type', 'application/json')
  const response = await fetch(url, {
    headers,
    cache: 'no-store',
    signal: AbortSignal.timeout(TIME_TO_ANSWER_MS),
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
  }).catch((cause) => {
    throw new Error(`SUPABASE_URL does not answer (${url.origin}). Check it.`, { cause })
  })
  if (response.ok) return response.json()
  throw new Error(
    `Supabase answered ${response.status} to ${url.pathname}: ${await response.text()} ` +
      hint(response.status),
  )
}

function hint(status: number): string {
  switch (status) {
    case 401:
    case 403:
      return 'Check SUPABASE_SECRET_KEY: it is the secret key of this project, sb_secret_….'
    case 404:
      return 'Run the files in supabase/migrations on this project, in order.'
    default:
      return 'Check that the project is running, and its logs.'
  }
}

function variable(name: string, example: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: ${example} (see .env.example).`)
  return value
}
