import { useEffect, useRef, useSyncExternalStore } from 'react'
import { AuthError } from '../error.js'
import type { Snapshot } from '../snapshot.js'
import type { Present } from './present.js'
import { useProvided } from './context.js'

export interface SessionOptions {
  /**
   * The component is nothing without a user: `user` is never null, and where nobody is signed in the hook throws
   * `not_authenticated`. Below `<RequireAuth>` that does not happen.
   *
   * @default false
   */
  required?: boolean
  /** Called once when the session has ended without the user's wish. The snapshot says whose it was, and why. */
  onExpired?: (session: Present) => void
}

/** Who is here. The component is drawn anew when that changes. */
export function useSession(options: SessionOptions & { required: true }): Present
export function useSession(options?: SessionOptions): Snapshot
export function useSession({ required, onExpired }: SessionOptions = {}): Snapshot {
  const { auth, first } = useProvided()
  const session = useSyncExternalStore(auth.subscribe, auth.getSnapshot, first)
  // Another function each time, as callbacks are; and an effect that runs twice (StrictMode) tells once.
  const told = useRef<Snapshot>(null)
  useEffect(() => {
    if (session.status === 'expired' && told.current !== session) onExpired?.(session)
    told.current = session
  }, [session, onExpired])
  if (required && !session.user) throw new AuthError('not_authenticated')
  return session
}
