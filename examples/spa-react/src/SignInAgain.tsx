import { useAuth, useSession } from '@tokenjar/client/react'
import { useEffect, useRef } from 'react'
import { useAnnounce } from './announce'
import { explain } from './explain'
import { SignInForm } from './SignInForm'

/** The form to sign in, in front of the page whose session has ended. What was typed and sent waits behind it. */
export function SignInAgain() {
  const auth = useAuth()
  const announce = useAnnounce()
  const { user } = useSession({ required: true })
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const element = dialog.current!
    const before = document.activeElement
    const open = () => {
      if (element.open) return
      element.showModal()
      element.querySelector<HTMLInputElement>('[name=password]')?.focus()
    }
    open()
    // A browser closes a dialog whatever the page says of it, if it is asked often enough. What waits behind this one needs it.
    element.addEventListener('close', open)
    return () => {
      element.removeEventListener('close', open)
      element.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  // What waits behind the form is given up then, and says so.
  const leave = () => auth.logout().catch((error) => announce(explain(error)))
  return (
    <dialog ref={dialog} aria-labelledby="again" aria-describedby="again-why" onCancel={(event) => event.preventDefault()}>
      <div className="card">
        <h2 id="again">Sign in again</h2>
        <p className="soft" id="again-why">Your session has ended, {user.username}. Nothing is lost: what you were doing goes on afterwards.</p>
        <SignInForm username={user.username}>
          <button type="button" className="button" onClick={leave}>Leave instead</button>
        </SignInForm>
      </div>
    </dialog>
  )
}
