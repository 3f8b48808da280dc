import type { Field, Problem } from './wire.js'

/**
 * The codes of the server (docs/reference/errors.md), and two of our own: `network`, nobody of ours answered, so nothing is
 * known; `body_not_replayable`, the request has to be sent once more and its body is a stream that has been read.
 */
export type ErrorCode = Problem['code'] | 'network' | 'body_not_replayable'

/** What an {@link AuthError} knows beside its code. */
export interface ErrorFacts {
  /** The problem document, where the server sent one. */
  problem?: Problem | undefined
  /** Seconds to wait before the next try. */
  retryAfter?: number | undefined
  cause?: unknown
}

/** A refusal of the server, or the lack of an answer. Decide by `code`; the message is for people. */
export class AuthError extends Error {
  override readonly name = 'AuthError'
  readonly code: ErrorCode
  /** What to do next, in the server's words. */
  readonly action: Problem['action']
  /** Seconds to wait before the next try, 0 where the server names none. */
  readonly retryAfter: number
  /** Names the request in the server's log. */
  readonly requestId: string
  /** The members of the body that cannot be taken. */
  readonly fields: readonly Field[]

  constructor(code: ErrorCode, { problem, retryAfter = 0, cause }: ErrorFacts = {}) {
    super(problem?.detail || code, { cause })
    this.code = code
    this.action = problem?.action ?? (code === 'session_ended' ? 'login' : code === 'body_not_replayable' ? 'fix_request' : 'retry')
    this.retryAfter = retryAfter
    this.requestId = problem?.request_id ?? ''
    this.fields = problem?.errors ?? []
  }
}
