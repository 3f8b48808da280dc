import { onExpiring } from '@tokenjar/client'
import { useAuth, useSession } from '@tokenjar/client/react'
import { useEffect, useState } from 'react'
import { useAnnounce } from './announce'
import { explain } from './explain'

/** Says, a minute before, that the session is about to end because nobody uses it. */
export function IdleWarning() {
  const auth = useAuth()
  const announce = useAnnounce()
  const { expiresAt } = useSession()
  const [warned, setWarned] = useState<number | null>(null)
  useEffect(() => onExpiring(auth, setWarned), [auth])
  // Another tab may have said that somebody is here: then the end has moved.
  const shown = warned !== null && warned === expiresAt
  const stay = async () => {
    const result = await auth.extend()
    announce(result.outcome === 'refreshed' ? 'You stay signed in.' : 'That did not work. Try again in a moment.')
  }
  return (
    <div role="alert">
      {shown && (
        <div className="warning">
          <p>You have not done anything for a while. Your session ends at {new Date(warned).toLocaleTimeString()}.</p>
          <button type="button" className="button" onClick={() => void stay().catch((error) => announce(explain(error)))}>Stay signed in</button>
        </div>
      )}
    </div>
  )
}
