import './globals.css'
import './shared.css'
import { ClerkProvider } from '@clerk/nextjs'
import type { Metadata, Viewport } from 'next'
import type { ReactNode } from 'react'
import { LayoutWrapper } from '@/components/layout/layout-wrapper'
import { Header } from './header'

export const metadata: Metadata = {
  title: { default: 'Self-healing user sync', template: '%s · Self-healing user sync' },
  description: 'Keeps Clerk’s users in a Supabase table, even if a webhook is lost.',
}

export const viewport: Viewport = { colorScheme: 'light dark' }

/**
 * Gives Clerk's components the colours of `globals.css`, in light and dark. They have an `--accent`
 * of their own, so ours is called `--brand`.
 */
const appearance = {
  variables: {
    colorPrimary: 'var(--brand)',
    colorPrimaryForeground: 'var(--on-brand)',
    colorBackground: 'var(--surface)',
    colorForeground: 'var(--text)',
    colorMuted: 'var(--sunken)',
    colorMutedForeground: 'var(--muted)',
    colorInput: 'var(--surface)',
    colorInputForeground: 'var(--text)',
    colorNeutral: 'var(--text)',
    colorBorder: 'var(--line-strong)',
    colorRing: 'var(--brand)',
    colorDanger: 'var(--bad)',
    colorSuccess: 'var(--good)',
    colorWarning: 'var(--warning)',
    fontFamily: 'inherit',
    borderRadius: '0.5rem',
  },
}

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <ClerkProvider
          signInUrl="/sign-in"
          signUpUrl="/sign-up"
          afterSignOutUrl="/sign-in"
          appearance={appearance}
        >
          <LayoutWrapper>
            <a className="skip-link" href="#content">
              Skip to content
            </a>
            <Header />
            <main id="content" tabIndex={-1}>
              {children}
            </main>
          </LayoutWrapper>
        </ClerkProvider>
      </body>
    </html>
  )
}
