import { clerkMiddleware } from '@clerk/nextjs/server'
import { isEntrance } from '@/app/entrance-routes'

/** Every page except the entrance is for signed-in users. Each page checks that itself, too. */
export default clerkMiddleware(
  async (auth, request) => {
    if (!isEntrance(request.nextUrl.pathname)) await auth.protect()
  },
  {
    signInUrl: '/sign-in',
    signUpUrl: '/sign-up',
    ...(process.env.CLERK_JWT_KEY && { jwtKey: process.env.CLERK_JWT_KEY }),
    // In the local stack, `/__clerk` leads to the stand-in at CLERK_FAPI_URL.
    ...(process.env.NEXT_PUBLIC_CLERK_PROXY_URL && { frontendApiProxy: { enabled: true } }),
  },
)

export const config = {
  matcher: [
    // The functions verify sessions themselves, and a webhook has none.
    '/((?!_next/|api/user/sync$|api/webhooks/clerk$|icon.svg$).*)',
  ],
}
