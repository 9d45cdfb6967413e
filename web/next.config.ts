import type { NextConfig } from 'next'

/**
 * This origin passes the functions' routes on, so that Clerk's session cookie stays first-party.
 * Next.js writes the addresses into the build.
 */
const config: NextConfig = {
  devIndicators: false,
  poweredByHeader: false,

  async redirects() {
    return [{ source: '/', destination: '/members', permanent: false }]
  },

  async rewrites() {
    const { USER_SYNC_URL, CLERK_WEBHOOK_URL } = process.env
    if (!USER_SYNC_URL) {
      throw new Error(
        'USER_SYNC_URL is not set. It is the full URL of the user-sync function, such as ' +
          'https://functions.example.vercel.app/api/user/sync (see .env.example).',
      )
    }
    const rewrites = [{ source: '/api/user/sync', destination: USER_SYNC_URL }]
    if (CLERK_WEBHOOK_URL) {
      // One address, and so one tunnel, for the pages and the webhooks while developing.
      rewrites.push({ source: '/api/webhooks/clerk', destination: CLERK_WEBHOOK_URL })
    }
    return rewrites
  },
}

export default config
