// What the types promise. Compiled, never run: a line after @ts-expect-error has to be a mistake.

import { account, AuthError, createAuth, type ErrorCode, type Outcome, type Snapshot, type User } from '@tokenjar/client'

const auth = createAuth()

export function name(snapshot: Snapshot): string {
  if (snapshot.status === 'authenticated' || snapshot.status === 'expired') return snapshot.user.username
  // @ts-expect-error nobody is here
  return snapshot.user.username
}

export function advice(error: unknown): string {
  if (!(error instanceof AuthError)) return ''
  switch (error.code) {
    case 'network':
    case 'session_ended':
      return error.code
    // @ts-expect-error there is no such code
    case 'no_such_code':
      return ''
    default:
      return error.problem?.action ?? ''
  }
}

export function wait(outcome: Outcome): number | ErrorCode {
  switch (outcome.outcome) {
    case 'refreshed':
      return 0
    case 'session_ended':
      return outcome.reason
    case 'try_later':
      return outcome.after
  }
}

export const user: Promise<User> = auth.login({ email: 'ada@example.com', password: 'x' })

// @ts-expect-error a password is needed
void auth.login({ username: 'ada' })
// @ts-expect-error a snapshot is read only
auth.getSnapshot().status = 'anonymous'

export const polled = account(auth).sessions.list({ passive: true })

auth.hydrate(null)
export const plain: Promise<Response> = auth.fetch('/api/orders', null)
