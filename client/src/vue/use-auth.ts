import { inject, type InjectionKey, type ShallowRef } from 'vue'
import type { Auth } from '../auth.js'
import type { Snapshot } from '../snapshot.js'

/** What {@link useAuth} returns. */
export interface AuthState {
  /** The client, to call. */
  readonly auth: Auth
  /** Who is here. */
  readonly session: Readonly<ShallowRef<Snapshot>>
}

export const authKey: InjectionKey<AuthState> = Symbol('tokenjar')

/** The client, and who is here as a ref: `const { auth, session } = useAuth()`. */
export function useAuth(): AuthState {
  const state = inject(authKey, null)
  if (!state) throw new Error('The application does not use createAuthPlugin(auth).')
  return state
}
