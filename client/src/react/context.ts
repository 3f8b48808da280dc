import { createContext, useContext } from 'react'
import type { Auth } from '../auth.js'
import type { Snapshot } from '../snapshot.js'

/** What the provider hands down: the client, and what the page was first drawn with. */
export interface Provided {
  readonly auth: Auth
  readonly first: () => Snapshot
}

export const AuthContext = createContext<Provided | null>(null)

export function useProvided(): Provided {
  const provided = useContext(AuthContext)
  if (!provided) throw new Error('There is no <AuthProvider> above this component.')
  return provided
}
