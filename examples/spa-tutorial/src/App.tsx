import { account, AuthError, type Session } from '@tokenjar/client'
import { RequireAuth, useAuth, useSession } from '@tokenjar/client/react'
import { useEffect, useState, type FormEvent } from 'react'

export default function App() {
  return (
    <RequireAuth fallback={<SignIn />}>
      <Home />
    </RequireAuth>
  )
}

function SignIn() {
  const auth = useAuth()
  const [problem, setProblem] = useState('')

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    try {
      await auth.login({ username: String(data.get('username')), password: String(data.get('password')) })
    } catch (error) {
      setProblem(error instanceof AuthError ? error.message : 'Something went wrong.')
    }
  }

  return (
    <form onSubmit={signIn}>
      <h1>Sign in</h1>
      <p><label>Name <input name="username" autoComplete="username" required /></label></p>
      <p><label>Password <input name="password" type="password" autoComplete="current-password" required /></label></p>
      <p role="alert">{problem}</p>
      <button>Sign in</button>
    </form>
  )
}

function Home() {
  const auth = useAuth()
  const { user } = useSession({ required: true })
  const [sessions, setSessions] = useState<Session[]>([])

  useEffect(() => {
    account(auth).sessions.list().then(setSessions, console.error)
  }, [auth])

  return (
    <main>
      <h1>Hello {user.username}</h1>
      <p>You are signed in with:</p>
      <ul>{sessions.map((session) => <li key={session.id}>{session.user_agent}</li>)}</ul>
      <button onClick={() => auth.logout().catch(console.error)}>Sign out</button>
    </main>
  )
}
