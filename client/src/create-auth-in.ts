import { abortable } from './abortable.js'
import type { Auth, CallOptions } from './auth.js'
import { AuthError } from './error.js'
import { createGuard } from './guard.js'
import type { Host } from './host.js'
import type { AuthOptions } from './options.js'
import { refreshed, type Outcome } from './outcome.js'
import { createSchedule, ownRenewal } from './schedule.js'
import { createServer, viewResponse, type Call } from './server.js'
import { createSession } from './session.js'
import { createStore } from './store.js'

/** Makes the client for a given page or worker. This is where the parts meet. */
export function createAuthIn(host: Host, options: AuthOptions): Auth {
  const store = createStore()
  const signedIn = () => store.get().status === 'authenticated'
  const server = createServer(host, options, signedIn)
  const session = createSession(host, options, server, store, () => schedule.plan())
  const schedule = createSchedule(host, options, server, session, store)
  const guard = createGuard(options, server, session, store)
  const { ledger } = session

  const fetch: Auth['fetch'] = (input, { park, passive, ...init } = {}) => {
    const request = input instanceof Request ? input : undefined
    const url = request?.url ?? String(input)
    const method = init.method ?? request?.method
    const { body } = init
    // A Request is kept until its answer is there. A stream is not: it may be larger than the memory.
    const replayable = !(body && typeof body === 'object' && ('getReader' in body || Symbol.asyncIterator in body))
    const signal = init.signal ?? request?.signal
    return guard(
      { url, method, park, passive, signal, replayable },
      (extra) => {
        const own = server.own(url)
        return extra && own ? server.send(own, request?.clone() ?? own, init, extra) : server.pass(input, init)
      },
      viewResponse,
    )
  }

  const call = (method: string, path: string, options: Call = {}) => server.call(method, path, { via: fetch, ...options })

  const wait = (work: Promise<Outcome>, { signal }: CallOptions) => abortable<Outcome>(signal, (done, fail) => void work.then(done, fail))

  const ensure = async () => {
    const outcome = signedIn() ? undefined : await session.check()
    if (outcome && outcome.outcome !== 'refreshed') return outcome
    return Date.now() < ledger.access - ownRenewal ? refreshed : session.renew()
  }

  const extend = async () => {
    session.touch()
    const outcome = await session.renew(undefined, ledger.passive)
    // One that was under way already may have been passive.
    return outcome.outcome === 'refreshed' && ledger.passive ? session.renew(undefined, true) : outcome
  }

  const sessionPath = (id: string) => '/sessions/' + encodeURIComponent(id)

  return {
    fetch,
    guard,

    async login(body, { signal } = {}) {
      const answer = await server.call('POST', '/login', { body, signal })
      ledger.era++ // what was asked before knows less
      server.csrf.keep('')
      session.learn(answer, true)
      session.enter(answer.user)
      session.tell({ kind: 'signed-in' })
      return answer.user
    },

    async logout({ signal, everywhere } = {}) {
      await server.call('POST', '/logout' + (everywhere ? '?all=true' : ''), { signal })
      session.leave()
      session.tell({ kind: 'signed-out' })
    },

    async load(options = {}) {
      const outcome = await wait(session.check(), options)
      if (outcome.outcome === 'try_later') throw new AuthError(outcome.code, { retryAfter: outcome.after })
      return store.get()
    },

    hydrate(state) {
      if (state.authenticated) {
        session.learn(state, false)
        session.enter(state.user!)
      } else session.leave()
    },

    refresh: (options = {}) => wait(session.renew(), options),

    ensure: (options = {}) => wait(ensure(), options),

    extend: (options = {}) => wait(extend(), options),

    onExpiring: schedule.onExpiring,

    subscribe(listener) {
      if (store.get().status === 'unknown') {
        ledger.stale = true
        schedule.plan()
      }
      return store.subscribe(listener)
    },

    getSnapshot: store.get,

    sessions: {
      list: async (options) => (await call('GET', '/sessions', options)).sessions,
      async name(id, name, options) {
        await call('PATCH', sessionPath(id), { ...options, body: { name } })
      },
      async end(id, options) {
        await call('DELETE', sessionPath(id), options)
        await session.check() // it may have been this one
      },
      endOthers: async (options) => (await call('DELETE', '/sessions', options)).ended,
    },

    async changePassword(old_password, new_password, options) {
      const times = await call('POST', '/password/change', { ...options, body: { old_password, new_password } })
      if (times.access_expires_in === null) await session.check()
      else session.learn(times, true)
      session.tell({ kind: 'user-changed' })
    },

    async updateUser(body, options) {
      const user = await call('PATCH', '/user', { ...options, body })
      session.enter(user)
      session.tell({ kind: 'user-changed' })
      return user
    },

    close() {
      schedule.close()
      session.close()
      ledger.owner++
      store.rouse()
    },
  }
}
