import type { Csrf } from './csrf.js'
import { AuthError, type ErrorCode } from './error.js'
import { exclusive } from './exclusive.js'
import type { Host, PageEvent } from './host.js'
import type { Http } from './http.js'
import type { AuthOptions } from './options.js'
import { refreshed, type Outcome } from './outcome.js'
import type { Store } from './store.js'
import { connect, type Tabs } from './tabs.js'
import type { SessionState, User } from './wire.js'

// What is known of the session, how that changes, and what is done about it without being asked. Rules kept here:
//
//   - Nobody is signed out but by their own wish, or because the server says so of the cookies there are now: what a 401 says
//     is confirmed by GET /session, since it may speak of a session that another tab has replaced.
//   - An answer that was asked for before somebody signed in or out is dropped.
//   - One renewal for one generation, for all callers here and, where there are locks, in all tabs.
//   - Only a page that is seen and online renews by itself. Timers sleep with the page and with the machine, and the server
//     renews on the way of requests without our hearing of it: after a pause the page asks before it acts.

/** So long before its end an access token is renewed, in milliseconds; at most a quarter of its life. */
const early = 60_000

/** The server renews by itself in the last seconds of an access token. */
const ownRenewal = 10_000

/** A page that comes back asks who is here, unless it has asked so lately. */
const lately = 10_000

/** Seconds on the wire are whole. */
const rounding = 1500

/** Timers count 31 bits of milliseconds; sessions may live longer. */
const furthest = 2e9

const past = (time: number) => Date.now() >= time

type Times = Pick<SessionState, 'access_expiration' | 'access_expires_in' | 'refresh_expiration'>

export interface SessionCore extends Tabs {
  /** Moves with every renewal. */
  generation: number
  /** Moves when requests of one user must not be sent, or answered, as another's. */
  owner: number
  /** Milliseconds for which a new token is left alone. */
  readonly grace: number
  /** Takes over who is signed in, and until when; after a sign-in these are other people or other times than before. */
  hydrate(state: Partial<SessionState>, signIn?: boolean): void
  /** Nobody is signed in any more: for a reason, or because the user wanted it. */
  leave(reason?: ErrorCode): void
  /** Asks the server who is here. */
  check(reason?: ErrorCode): Promise<Outcome>
  /** Asks the server who is here, soon. */
  doubt(): void
  /** Renews, unless that has happened since the given generation, or the token is young and there is no force behind it. */
  renew(from?: number, force?: boolean): Promise<Outcome>
  /** Renews what has run out or is about to. */
  ensure(): Promise<Outcome>
  /** The user has done something, so the next renewal keeps the session from going idle. */
  touch(): void
  /** Renews now, for the user's sake. */
  extend(): Promise<Outcome>
}

export function createSession(host: Host, options: AuthOptions, name: string, csrf: Csrf, store: Store, call: Http['call']): SessionCore {
  const { proactive = true } = options
  const jitter = 1 + Math.random() / 5 // so that tabs and browsers do not come all at once

  let known = '' // access_expiration of the newest token: names it without being it
  let access = 0 // when the access token runs out, 0 when there is none and the next request renews
  let full = 0 // how long it lived in all
  let expires = 0 // when the session ends if it is not used, 0 when that is not known
  let ahead = 0 // the server's clock minus ours
  let era = 0 // moves whenever somebody signs in or out
  let whose = '' // the user that requests under way are for
  let active = false // the user has done something since the last renewal
  let passive = false // which was made for nobody's sake

  let stale = false // what is shown may be out of date
  let looked = 0 // when the server last said who is here
  let failures = 0
  let refusing = false // the last failure was that of a renewal, which no other answer makes good
  let notBefore = 0 // until then nothing is tried again by itself
  let last: Partial<AuthError> // why, when something failed
  let timer: ReturnType<typeof setTimeout> | undefined
  let cookie = '' // the CSRF cookie of the session that is shown

  let asked = 0 // the era of the question under way
  let checking: Promise<Outcome> | undefined
  let renewing: Promise<Outcome> | undefined

  // What the tabs say.

  const tabs = connect(host, name, (kind, news) => {
    if (kind === 'active') active = true
    else if (kind === 'refreshed' && store.is('authenticated')) {
      ;({ access, full, expires } = news)
      renewed(news.passive)
      enter(store.get().user!)
    } else {
      if (kind === 'signed-out') leave()
      era++ // what was asked before may be answered by what was true before
      doubt()
    }
  })

  // What is known.

  const learn = ({ access_expiration, access_expires_in, refresh_expiration }: Times, fresh: boolean) => {
    access = 0
    if (access_expiration) {
      // The remaining seconds count: this machine's clock may be wrong by any amount.
      const left = access_expires_in! * 1000
      access = Date.now() + left
      ahead = Date.parse(access_expiration) - access
      full = fresh ? left : Math.max(full, left)
      if (fresh || known !== access_expiration) core.generation++
      known = access_expiration
    }
    const end = refresh_expiration ? Date.parse(refresh_expiration) - ahead : 0
    if (Math.abs(end - expires) > rounding) expires = end
  }

  const enter = (user: User) => {
    if (whose !== user.id) {
      era++
      if (whose) core.owner++
      whose = user.id
    }
    cookie = csrf.cookie()
    store.set('authenticated', user, expires || null)
    plan()
  }

  const leave = (reason?: ErrorCode) => {
    const { user } = store.get()
    era++
    access = expires = 0
    if (reason) store.set('expired', user, null, reason)
    else {
      if (whose) core.owner++
      whose = ''
      store.set('anonymous')
    }
    plan()
  }

  const renewed = (forNobody: boolean) => {
    core.generation++
    refusing = false
    failures = notBefore = 0
    passive = forNobody
    if (!passive) active = false
  }

  const standing = (): Outcome | Promise<Outcome> => {
    if (store.is('unknown')) return check()
    return store.is('authenticated') ? refreshed : { outcome: 'session_ended', reason: store.get().reason ?? 'not_authenticated' }
  }

  const later = (): Outcome => ({ outcome: 'try_later', code: last.code ?? 'network', after: (notBefore - Date.now()) / 1000, problem: last.problem })

  const failed = (error: unknown, renewal = false) => {
    refusing = renewal
    last = error as Partial<AuthError>
    notBefore = Date.now() + 1000 * jitter * Math.max(last.retryAfter ?? 0, Math.min(60, 2 ** failures++))
    plan()
    return later()
  }

  // What the server is asked.

  const check = (reason?: ErrorCode): Promise<Outcome> => {
    const turn = era
    if (asked === turn && checking) return checking
    asked = turn
    return (checking = look(turn, reason).finally(() => {
      if (asked === turn) checking = undefined
    }))
  }

  const look = async (turn: number, reason: ErrorCode = 'session_ended', sure?: boolean): Promise<Outcome> => {
    const { generation } = core
    try {
      const state: SessionState = await call('GET', '/session', { plain: true })
      if (turn !== era) return check(reason)
      if (state.authenticated) {
        if (generation === core.generation) learn(state, false)
        enter(state.user!)
      } else if (state.authenticated !== false) throw 0
      else if (store.is('authenticated')) {
        // The question may have gone with cookies that other tabs have renewed twice while it was on its way.
        if (!sure) return look(turn, reason, true)
        leave(reason)
        tabs.tell('changed')
      } else if (!store.is('expired')) leave()
      stale = false
      looked = Date.now()
      if (!refusing) failures = notBefore = 0
      plan()
      return standing()
    } catch (error) {
      return failed(error)
    }
  }

  /** Until when the token is new, however short its life. */
  const ripe = () => access + Math.min(0, core.grace - full)

  /** A new token is left alone, unless it was made for nobody's sake and now somebody is here. A clock may have been put back. */
  const young = () => past(access - full) && !past(ripe()) && !(active && passive)

  const renew = async (from = core.generation, force?: boolean): Promise<Outcome> => {
    if (renewing) return renewing
    if (from !== core.generation || (!force && young())) return standing()
    if (!past(notBefore)) return later()
    return (renewing = exclusive(host, name, async (waited) => {
      if (waited && from === core.generation) {
        const outcome = await check()
        if (outcome !== refreshed) return outcome
      }
      return from === core.generation ? spend(true) : standing()
    }).finally(() => (renewing = undefined)))
  }

  /** Spends the refresh token. When the answer is lost, the same may be asked again: the server gives the same successor. */
  const spend = async (again: boolean): Promise<Outcome> => {
    const turn = era
    const { generation } = core
    const forNobody = !active
    try {
      const times: Times = await call('POST', '/token/refresh', { plain: true, passive: forNobody })
      if (!times.access_expires_in) throw 0
      if (turn !== era) return standing()
      learn(times, true)
      renewed(forNobody)
      tabs.tell('refreshed', { access, full, expires, passive })
      if (!store.is('authenticated')) return check()
      enter(store.get().user!)
      return refreshed
    } catch (error) {
      const { problem, code = 'network' } = error as Partial<AuthError>
      if (problem?.action === 'login' || code === 'csrf_failed') {
        const outcome = await check(code)
        if (outcome !== refreshed || generation !== core.generation) return outcome
      } else if (code === 'network' && again) return spend(false)
      return failed(error, true)
    }
  }

  // What is done without being asked.

  const awake = () => !host.document?.hidden && host.navigator?.onLine !== false

  /** When to renew. */
  const due = () =>
    access
      ? Math.max(access - Math.min(early, full / 4) * jitter, ripe())
      : looked + 5000 * jitter // it has run out; a request of the page's renews it on the way, most likely

  const plan = () => {
    clearTimeout(timer)
    if (!host.location || !awake()) return
    let next = stale ? 0 : Infinity
    if (store.is('authenticated')) {
      if (proactive) next = Math.min(next, due())
      if (expires >= looked) next = Math.min(next, expires + rounding)
    }
    if (next < Infinity) timer = setTimeout(tick, Math.min(Math.max(next, notBefore) - Date.now(), furthest))
  }

  const tick = async () => {
    if (stale || past(access - ownRenewal) || (expires && past(expires))) await check()
    if (store.is('authenticated') && awake() && proactive && (!access || past(due()))) await renew()
    plan()
  }

  const doubt = () => {
    stale = true
    plan()
  }

  const wake = ({ type, persisted }: PageEvent) => {
    if (type === 'online') notBefore = 0
    if (persisted) {
      // A pageshow out of the back/forward cache. Unless the cookie says that it is the same session, nobody's data is shown before the
      // server has said whose page it is.
      era++
      looked = 0
      if (!cookie || cookie !== csrf.cookie()) store.set('unknown')
    }
    if (Date.now() - looked > lately) stale = true
    plan()
  }

  const gone = new AbortController()
  for (const type of ['visibilitychange', 'online', 'pageshow']) host.addEventListener?.(type, wake, gone)

  const core: SessionCore = {
    generation: 0,
    owner: 0,
    grace: (options.grace ?? 10) * 1000,
    leave,
    check,
    doubt,
    renew,
    tell: tabs.tell,
    hydrate(state, signIn = false) {
      if (signIn) {
        era++ // what was asked before knows less
        csrf.keep('')
      }
      learn(state, signIn)
      enter(state.user!)
    },
    async ensure() {
      const outcome = await standing()
      return outcome === refreshed && past(access - ownRenewal) ? renew() : outcome
    },
    touch() {
      if (!active) tabs.tell('active')
      active = true
    },
    async extend() {
      core.touch()
      await renewing // it may have been made for nobody's sake
      return renew()
    },
    close() {
      clearTimeout(timer)
      tabs.close()
      gone.abort()
      core.owner++
      store.rouse()
    },
  }
  return core
}
