import { ClerkProvider } from '@clerk/nextjs'
import type { Metadata, Viewport } from 'next'
import type { ReactNode } from 'react'
import { LayoutWrapper } from '@/components/layout/layout-wrapper'
import { Header } from './header'
import './globals.css'

export const metadata: Metadata = {
  title: { default: 'Self-healing user sync', template: '%s · Self-healing user sync' },
  description: 'Users of Clerk in a table of Supabase, also where a webhook was lost.',
}

export const viewport: Viewport = { colorScheme: 'light dark' }

/**
 * Clerk's own components take the colours of `globals.css`, and with them light and dark. They have
 * an `--accent` of their own, so ours has another name.
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
