import { AuthError } from '@tokenjar/client'

/** What to tell the user of an error. Decided by the code; the server's own sentence is the fallback. */
export function explain(error: unknown): string {
  if (!(error instanceof AuthError)) return 'Something went wrong here. Try again.'
  switch (error.code) {
    case 'network':
      return 'The server does not answer. Nothing is lost: try again in a moment.'
    case 'invalid_credentials':
      return 'The name or the password is not right.'
    case 'rate_limited':
      return `That was too often. Try again in ${Math.ceil(error.retryAfter)} seconds.`
    case 'session_ended':
      return 'Somebody else is signed in now, so this was not sent.'
    default:
      return error.message
  }
}
