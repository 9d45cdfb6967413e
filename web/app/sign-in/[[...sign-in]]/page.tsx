import { SignIn } from '@clerk/nextjs'
import type { Metadata } from 'next'
import { Entrance } from '@/app/entrance'

export const metadata: Metadata = { title: 'Sign in' }

export default function SignInPage() {
  return (
    <Entrance>
      <SignIn fallback={<div className="skeleton" />} />
    </Entrance>
  )
}
