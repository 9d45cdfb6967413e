import type { NextConfig } from 'next'

/**
 * Forwards the routes of the functions, so that Clerk's session cookie stays first-party. Next.js
 * writes the addresses into the build.
 */
const config: NextConfig = {
  devIndicators: false,
  poweredByHeader: false,

  async redirects() {
    return [
      { source: '/', destination: '/members', permanent: false },
      // A browser asks for this one before it has read which icon the page has.
      { source: '/favicon.ico', destination: '/icon.svg', permanent: false },
    ]
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
      // In development, pages and webhooks then share one address, and so one tunnel.
      rewrites.push({ source: '/api/webhooks/clerk', destination: CLERK_WEBHOOK_URL })
    }
    return rewrites
  },
}

export default config
