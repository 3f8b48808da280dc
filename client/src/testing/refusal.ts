import type { Problem } from '../wire.js'

type Code = Problem['code']

// What the fake server refuses, as the real one does (docs/reference/errors.md).
const table: Partial<Record<Code, [status: number, action: Problem['action'], detail: string]>> = {
  invalid_credentials: [401, 'fix_request', 'The user name or the password is not right.'],
  not_authenticated: [401, 'login', 'This needs a signed-in user.'],
  token_expired: [401, 'refresh', "The token's time is over."],
  refresh_missing: [401, 'login', 'There is no refresh token to renew the session with. Sign in.'],
  session_ended: [401, 'login', 'The session has ended. Sign in again.'],
  session_reused: [401, 'login', "A copy of this session's refresh token was used, so the session was ended."],
  token_revoked: [401, 'login', 'The session this token belongs to has ended. Sign in again.'],
  step_up_required: [401, 'login', 'This needs a sign-in that is more recent. Sign in again.'],
  csrf_failed: [403, 'fix_request', "The X-CSRFToken header is missing or not this session's."],
  rate_limited: [429, 'retry', 'Too many requests. Wait and try again.'],
  validation_failed: [422, 'fix_request', 'The request cannot be taken as it is.'],
  not_found: [404, 'fix_request', 'There is nothing here.'],
  store_unavailable: [503, 'retry', 'The store does not answer. Nothing was changed and nobody is signed out. Try again.'],
}

/** Answers with the problem document of a code. */
export function refusal(code: Code, retryAfter = 0): Response {
  const [status, action, detail] = table[code] ?? [500, 'retry', 'Something went wrong here.']
  const problem: Problem = {
    type: 'urn:problem-type:tokenjar:' + code,
    title: code.replaceAll('_', ' '),
    status,
    detail,
    code,
    action,
    request_id: 'FAKE',
  }
  const headers: Record<string, string> = { 'Content-Type': 'application/problem+json', 'X-Tokenjar-Problem': code }
  if (retryAfter) headers['Retry-After'] = String(retryAfter)
  return new Response(JSON.stringify(problem), { status, headers })
}
