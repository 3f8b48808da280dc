import { useSession } from '@tokenjar/client/react'
import { Navigate, useLocation } from 'react-router'
import { returnPath } from './returnPath'
import { SignInForm } from './SignInForm'
import { usePageTitle } from './usePageTitle'

export function SignInPage() {
  const { status } = useSession()
  const { search } = useLocation()
  const heading = usePageTitle('Sign in')
  if (status === 'authenticated') return <Navigate to={returnPath(search)} replace />
  return (
    <section className="card narrow" hidden={status === 'unknown'}>
      <h1 ref={heading} tabIndex={-1}>Sign in</h1>
      <p className="soft">Your session is kept in cookies that no script on this page can read.</p>
      <SignInForm />
    </section>
  )
}
