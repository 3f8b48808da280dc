import { createContext, useContext, useState, type ReactNode } from 'react'

// One place on the page says how things went. It is there from the beginning: a screen reader does not notice one that comes later.

const Announce = createContext<(text: string) => void>(() => {})

/** Says something, to those who see and to those who listen. */
export const useAnnounce = () => useContext(Announce)

export function Announcer({ children }: { children: ReactNode }) {
  const [text, say] = useState('')
  return (
    <Announce value={say}>
      {children}
      <div className="announcer"><p role="status" className="status">{text}</p></div>
    </Announce>
  )
}
