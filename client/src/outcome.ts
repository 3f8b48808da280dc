import { AuthError, type ErrorCode } from './error.js'
import type { Problem } from './wire.js'

/** How a look at the session ended. Nothing but `session_ended` means that nobody is signed in. */
export type Outcome =
  | { readonly outcome: 'refreshed' }
  | { readonly outcome: 'session_ended'; readonly reason: ErrorCode }
  | {
      readonly outcome: 'try_later'
      /** Seconds until another try makes sense. */
      readonly after: number
      readonly code: ErrorCode
      /** What the server said, where it did. */
      readonly problem: Problem | undefined
    }

/** The only outcome of its kind, so that it can be recognised by `===`. */
export const refreshed: Outcome = { outcome: 'refreshed' }

/** Throws what is not known, and returns the outcome when something is. */
export function known(outcome: Outcome): Outcome {
  if (outcome.outcome === 'try_later') throw new AuthError(outcome.code, outcome.after, outcome.problem)
  return outcome
}
