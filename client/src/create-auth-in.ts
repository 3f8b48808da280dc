import { abortable } from './abortable.js'
import { createAddress } from './address.js'
import type { Auth, CallOptions } from './auth.js'
import { createCsrf } from './csrf.js'
import type { Host } from './host.js'
import { createHttp } from './http.js'
import type { AuthOptions } from './options.js'
import { known } from './outcome.js'
import { createSession, type SessionCore } from './session.js'
import { createStore } from './store.js'

/** Makes the client for a given page or worker. This is where the parts meet. */
export function createAuthIn(place: Host, options: AuthOptions): Auth {
  // A server that renders pages has neither tabs nor a place to come back to.
  const host: Host = place.location ? place : { fetch: (...args) => place.fetch(...args) }
  const store = createStore()
  const address = createAddress(host, options)
  // What cookies the page has says nothing about a server of another origin.
  const csrf = createCsrf(address.home && host, options.csrfCookie)
  const session: SessionCore = createSession(host, options, 'tokenjar:' + address.root, csrf, store, (...args) => http.call(...args))
  const http = createHttp(host, options, address, csrf, session, store)

  const waiting =
    <T>(start: () => Promise<T>) =>
    (options?: CallOptions) =>
      abortable(start(), options?.signal)

  return {
    ...http,

    async login(credentials, options) {
      await abortable(session.settled(), options?.signal) // cookies of a renewal must not come after those of the sign-in
      const answer = await http.call('POST', '/login', { ...options, body: credentials, plain: true })
      session.hydrate(answer, true)
      session.tell('changed')
      return answer.user
    },

    async logout(options) {
      await http.call('POST', '/logout' + (options?.everywhere ? '?all=true' : ''), { ...options, plain: true })
      session.leave()
      session.tell('signed-out')
    },

    load: waiting(async () => {
      known(await session.check())
      return store.get()
    }),

    hydrate(state) {
      if (state?.authenticated) session.hydrate(state)
      else if (state) session.leave()
    },

    refresh: waiting(() => session.renew()),
    ensure: waiting(session.ensure),
    extend: waiting(session.extend),

    subscribe(listener) {
      if (store.is('unknown')) session.doubt()
      return store.subscribe(listener)
    },

    getSnapshot: store.get,

    async call(method, path, options) {
      const answer = await http.call(method, path, options)
      if (method !== 'GET') await session.changed()
      return answer
    },

    close: session.close,
  }
}
