import type { Auth } from '../auth.js'
import { useProvided } from './context.js'

/** The client, to call: it never changes and causes no rendering. `useSession` says who is here. */
export function useAuth(): Auth {
  return useProvided().auth
}
