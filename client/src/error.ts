import type { Problem } from './wire.js'

/**
 * The codes of the server (docs/reference/errors.md), and two of our own: `network`, nobody of ours answered, so nothing is
 * known; `body_not_replayable`, the request has to be sent once more and its body is a stream that has been read.
 */
export type ErrorCode = Problem['code'] | 'network' | 'body_not_replayable'

/** A refusal of the server, or the lack of an answer. Decide by `code`; the message is for people. */
export class AuthError extends Error {
  declare readonly name: 'AuthError'
  declare readonly code: ErrorCode
  /** Seconds to wait before the next try, 0 where none are named. */
  declare readonly retryAfter: number
  /** What the server said, where it did: what to do next, which members of the body are wrong, the request's name in its log. */
  declare readonly problem: Problem | undefined

  constructor(code: ErrorCode, retryAfter = 0, problem?: Problem, cause?: unknown) {
    super(problem?.detail ?? code)
    Object.assign(this, { name: 'AuthError', code, retryAfter, problem, cause })
  }
}
