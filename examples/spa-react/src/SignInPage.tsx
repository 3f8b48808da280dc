import { useSession } from '@tokenjar/client/react'
import { Navigate, useSearchParams } from 'react-router'
import { returnTo } from './returnTo'
import { SignInForm } from './SignInForm'
import { usePageTitle } from './usePageTitle'

export function SignInPage() {
  const { status } = useSession()
  const [search] = useSearchParams()
  const heading = usePageTitle('Sign in')
  if (status === 'authenticated') return <Navigate to={returnTo(search.get('next'))} replace />
  return (
    <section className="card narrow" hidden={status === 'unknown'}>
      <h1 ref={heading} tabIndex={-1}>Sign in</h1>
      <p className="soft">Your session is kept in cookies that no script on this page can read.</p>
      <SignInForm />
    </section>
  )
}
