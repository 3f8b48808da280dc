import type { ErrorCode } from './error.js'
import type { User } from './wire.js'

/**
 * Who is here, as far as the page knows. The object stays the same until something in it changes.
 *
 * `unknown` is the beginning: show neither the signed-in nor the signed-out page. `expired` means that the session ended
 * without the user's wish; `user` is who it was, so that the form to sign in can stand in front of the open page.
 */
export type Snapshot =
  | { readonly status: 'unknown' | 'anonymous'; readonly user: null; readonly expiresAt: null; readonly reason: null }
  | {
      readonly status: 'authenticated'
      readonly user: User
      /** When the session ends if it is not used, in milliseconds of this machine's clock. Null when the server does not say. */
      readonly expiresAt: number | null
      readonly reason: null
    }
  | { readonly status: 'expired'; readonly user: User; readonly expiresAt: null; readonly reason: ErrorCode }
