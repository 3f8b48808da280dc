import { abortable } from './abortable.js'
import type { Auth } from './auth.js'
import { AuthError } from './error.js'
import type { AuthOptions } from './options.js'
import type { Outcome } from './outcome.js'
import { problemHeader, type Server } from './server.js'
import type { SessionCore } from './session.js'
import type { Store } from './store.js'
import type { Problem } from './wire.js'

/** What happens around a request: the CSRF token, renewal, one more try, and waiting for the user to sign in again. */
export function createGuard(options: AuthOptions, server: Server, session: SessionCore, store: Store): Auth['guard'] {
  const { ledger } = session
  return async ({ url, method = 'GET', replayable = true, park = options.park, passive, signal }, attempt, view) => {
    if (!server.own(url)) return attempt(null)
    const { owner } = ledger
    const parked = () => park && store.get().status === 'expired' && ledger.owner === owner
    // Nothing is sent as somebody else, and no answer given to somebody else.
    const same = () => {
      if (ledger.owner !== owner) throw new AuthError('session_ended')
    }
    if (!passive) session.touch()
    for (let again = true; ; ) {
      if (parked()) {
        await abortable<void>(signal, (done) => store.subscribe(() => parked() || done()))
        again = true
      }
      same()
      const { generation } = ledger
      const result = await server.withToken(method, replayable, (extra) => attempt(passive ? { ...extra, 'X-Passive': '1' } : extra), view)
      same()
      const answer = view(result)
      const code = answer.headers.get(problemHeader) as Problem['code'] | null
      if (answer.status !== 401 || !code || store.get().status === 'anonymous') return result
      const { action } = (await answer.json().catch(() => ({}))) as Partial<Problem>
      let next
      if (action === 'refresh') {
        // A new token that is refused like the old one: another would be as well, so for a while nobody asks for one.
        if (!again) ledger.refused = Date.now() + ledger.grace
        if (Date.now() < ledger.refused) return result
        next = session.renew(generation, true)
      }
      // A sign-in that is too old for one request is no end of the session.
      else if (action === 'login' && code !== 'step_up_required') next = session.check(code)
      else return result
      const outcome = await abortable<Outcome>(signal, (done, fail) => void next.then(done, fail))
      same()
      if (outcome.outcome === 'try_later') throw new AuthError(outcome.code, { retryAfter: outcome.after })
      if (outcome.outcome === 'refreshed' ? !again : !parked()) return result
      if (!replayable) throw new AuthError('body_not_replayable')
      again = false
    }
  }
}
