import type { ErrorCode } from './error.js'

/** How a look at the session ended. Nothing but `session_ended` means that nobody is signed in. */
export type Outcome =
  | { readonly outcome: 'refreshed' }
  | { readonly outcome: 'session_ended'; readonly reason: ErrorCode }
  | {
      readonly outcome: 'try_later'
      /** Seconds until another try makes sense. */
      readonly after: number
      readonly code: ErrorCode
    }

export const refreshed: Outcome = { outcome: 'refreshed' }
