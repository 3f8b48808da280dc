import { createElement, useMemo, type ReactNode } from 'react'
import type { Auth } from '../auth.js'
import { AuthContext } from './context.js'

export interface AuthProviderProps {
  /** One client for the page; on a server that renders pages, one for each request. */
  auth: Auth
  children?: ReactNode
}

/** Gives the client to the components below. It neither starts nor closes it: the client lives as long as the page. */
export function AuthProvider({ auth, children }: AuthProviderProps): ReactNode {
  const provided = useMemo(() => {
    // What a server has drawn must be drawn the same the first time here, however late a part of the page wakes up.
    const snapshot = auth.getSnapshot()
    return { auth, first: () => snapshot }
  }, [auth])
  return createElement(AuthContext.Provider, { value: provided }, children)
}
