import { createElement, Fragment, type ReactNode } from 'react'
import { useSession } from './use-session.js'

export interface RequireAuthProps {
  /** Shown in place of the children while nobody is signed in. */
  fallback: ReactNode
  /** Shown while it is not known whether somebody is: neither page, so that none flashes. @default nothing */
  pending?: ReactNode
  /**
   * Shown beside the children when the session has ended without the user's wish: a dialog to sign in again, with the open page
   * behind it and everything typed still there. Without it the fallback takes the page's place.
   */
  expired?: ReactNode
  children?: ReactNode
}

/**
 * Shows its children to whoever is signed in. They begin anew when another user signs in, so that nothing one user has typed or
 * loaded is shown to the next.
 *
 * What may be seen is decided by the server: this keeps a page from being drawn, and no secret.
 */
export function RequireAuth({ fallback, pending, expired, children }: RequireAuthProps): ReactNode {
  const { status, user } = useSession()
  if (status === 'unknown') return pending
  if (!user || (status === 'expired' && !expired)) return fallback
  return createElement(Fragment, null, createElement(Fragment, { key: user.id }, children), status === 'expired' && expired)
}
