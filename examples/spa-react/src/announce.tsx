import { useAuth } from '@tokenjar/client/react'
import { createContext, useContext, useEffect, useState, type ReactNode } from 'react'

// One place on the page says how things went. It is there from the beginning: a screen reader does not notice one that comes later.

const Announce = createContext<(text: string) => void>(() => {})

/** Says something, to those who see and to those who listen. */
export const useAnnounce = () => useContext(Announce)

export function Announcer({ children }: { children: ReactNode }) {
  const auth = useAuth()
  const [text, say] = useState('')
  useEffect(() => {
    // What was said to one user is not for the next.
    let id = auth.getSnapshot().user?.id
    return auth.subscribe(() => {
      const now = auth.getSnapshot().user?.id
      if (now !== id) say('')
      id = now
    })
  }, [auth])
  return (
    <Announce value={say}>
      {children}
      <div className="announcer"><p role="status" className="status">{text}</p></div>
    </Announce>
  )
}
