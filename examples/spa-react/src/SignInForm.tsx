import { useAuth } from '@tokenjar/client/react'
import { useId, useState, type FormEvent, type ReactNode } from 'react'
import { explain } from './explain'

/** The form to sign in; for a given user it asks for the password alone. */
export function SignInForm({ username, children }: { username?: string; children?: ReactNode }) {
  const auth = useAuth()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  const id = useId()

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    if (busy) return
    const form = event.currentTarget
    const data = new FormData(form)
    setBusy(true)
    setProblem('')
    try {
      await auth.login({ username: String(data.get('username')), password: String(data.get('password')) })
    } catch (error) {
      setProblem(explain(error))
      const password = form.elements.namedItem('password') as HTMLInputElement
      password.value = ''
      password.focus()
    } finally {
      setBusy(false)
    }
  }

  return (
    <form onSubmit={signIn}>
      <label className="field" hidden={!!username}>
        Name
        <input name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} defaultValue={username} required autoFocus={!username} />
      </label>
      <label className="field">
        Password
        <input name="password" type="password" autoComplete="current-password" required autoFocus={!!username} aria-describedby={problem ? id : undefined} aria-invalid={!!problem} />
      </label>
      <div role="alert">{problem && <p className="problem" id={id}>{problem}</p>}</div>
      <div className="actions">
        <button className="button primary" aria-disabled={busy}>Sign in</button>
        {children}
      </div>
    </form>
  )
}
