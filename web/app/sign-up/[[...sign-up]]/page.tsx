import { SignUp } from '@clerk/nextjs'
import type { Metadata } from 'next'
import { Entrance } from '@/app/entrance'

export const metadata: Metadata = { title: 'Sign up' }

export default function SignUpPage() {
  return (
    <Entrance>
      <SignUp fallback={<div className="skeleton" />} />
    </Entrance>
  )
}
