import type { Csrf } from './csrf.js'
import { AuthError, type ErrorCode } from './error.js'
import { exclusive } from './exclusive.js'
import type { Host, PageEvent } from './host.js'
import type { Http } from './http.js'
import type { AuthOptions } from './options.js'
import { refreshed, type Outcome } from './outcome.js'
import type { Store } from './store.js'
import { connect, type Tabs } from './tabs.js'
import { early, furthest, lately, longest, ownRenewal, rounding } from './times.js'
import type { SessionState, User } from './wire.js'

// What is known of the session, how that changes, and what is done about it without being asked. Rules kept here:
//
//   - Nobody is signed out but by their own wish, or because the server says so of the cookies there are now: what a 401 says
//     is confirmed by GET /session, since it may speak of a session that another tab has replaced.
//   - An answer that was asked for before somebody signed in or out is dropped.
//   - One renewal for one generation, for all callers here and, where there are locks, in all tabs.
//   - Only a page that is seen and online renews by itself. Timers sleep with the page and with the machine, and the server
//     renews on the way of requests without our hearing of it: after a pause the page asks before it acts.

const past = (time: number) => Date.now() >= time

type Times = Pick<SessionState, 'access_expiration' | 'access_expires_in' | 'refresh_expiration'>

export interface SessionCore extends Tabs {
  /** Moves with every renewal. */
  generation: number
  /** The id of the user that requests are sent as, and answered to; empty when that is nobody, or whoever is there. */
  owner: string
  /** Takes over who is signed in, and until when; after a sign-in these are other people or other times than before. */
  hydrate(state: Partial<SessionState>, signIn?: boolean): void
  /** Nobody is signed in any more: for a reason, or because the user wanted it. */
  leave(reason?: ErrorCode): void
  /** Whether the user that is shown may have been replaced, so that nothing must be sent before the server has been asked. */
  unsure(): boolean
  /** Asks the server who is here. */
  check(reason?: ErrorCode): Promise<Outcome>
  /** Asks the server anew who is here, after something was changed, and tells the other tabs to. */
  changed(): Promise<Outcome>
  /** Asks the server who is here, soon. */
  doubt(): void
  /** Renews, unless that has happened since the given generation, or the token is young and there is no force behind it. */
  renew(from?: number, force?: boolean): Promise<Outcome>
  /** Renews what has run out or is about to. */
  ensure(): Promise<Outcome>
  /** The user has done something, so the next renewal keeps the session from going idle. */
  touch(): void
  /** Waits for the renewal that is under way. */
  settled(): Promise<void>
  /** Renews now, for the user's sake. */
  extend(): Promise<Outcome>
}

export function createSession(host: Host, options: AuthOptions, name: string, csrf: Csrf, store: Store, call: Http['call']): SessionCore {
  const { proactive = true, grace = 10 } = options
  const jitter = 1 + Math.random() / 5 // so that tabs and browsers do not come all at once

  let known = '' // access_expiration of the newest token: names it without being it
  let access = 0 // when the access token runs out, 0 when there is none and the next request renews
  let full = 0 // how long it lived in all
  let expires = 0 // when the session ends if it is not used, 0 when that is not known
  let ahead = 0 // the server's clock minus ours
  let era = 0 // moves whenever somebody signs in or out
  let active = false // the user has done something since the last renewal
  let passive = false // which was made for nobody's sake

  let stale = false // what is shown may be out of date
  let looked = 0 // when the server last said who is here
  let failures = 0
  let refusing: boolean | undefined // the last failure was that of a renewal, which no other answer makes good
  let notBefore = 0 // until then nothing is tried again by itself
  let last: Partial<AuthError> // why, when something failed
  let timer: ReturnType<typeof setTimeout> | undefined
  let cookie = '' // the CSRF cookie of the session that is shown

  const questions: Record<number, Promise<Outcome>> = {} // under way, by their era
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

  const learn = ({ access_expiration, access_expires_in, refresh_expiration }: Times, fresh?: boolean) => {
    access = 0
    if (access_expiration) {
      // The remaining seconds count: this machine's clock may be wrong by any amount.
      const left = access_expires_in! * 1000
      access = Date.now() + left
      ahead = Date.parse(access_expiration) - access
      full = fresh ? left : Math.max(full, left)
      if (known !== access_expiration) core.generation++
      known = access_expiration
    }
    const end = refresh_expiration ? Date.parse(refresh_expiration) - ahead : 0
    if (Math.abs(end - expires) > rounding) expires = end
  }

  const enter = (user: User) => {
    if (core.owner !== user.id) era++
    core.owner = user.id
    store.set('authenticated', user, expires || null)
    plan()
  }

  const leave = (reason?: ErrorCode) => {
    era++
    access = expires = 0
    if (reason) store.set('expired', store.get().user, null, reason)
    else {
      core.owner = ''
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

  /**
   * Whether the user that is shown may have been replaced. The CSRF cookie is the session's, and says so before any message
   * does. A page that cannot read it goes by messages, and after a pause by none.
   */
  const unsure = () => !!core.owner && (cookie !== csrf.cookie() || (stale && !cookie))

  const shown = (): Outcome =>
    store.is('authenticated') ? refreshed : { outcome: 'session_ended', reason: store.get().reason ?? 'not_authenticated' }

  const standing = () => (store.is('unknown') || unsure() ? check() : shown())

  const later = (): Outcome => ({ outcome: 'try_later', code: last.code ?? 'network', after: (notBefore - Date.now()) / 1000, problem: last.problem })

  const failed = (error: unknown, renewal?: boolean) => {
    refusing = renewal
    last = error as Partial<AuthError>
    notBefore = Date.now() + 1000 * jitter * Math.max(Math.min(longest, last.retryAfter ?? 0), Math.min(60, 2 ** failures++))
    plan()
    return later()
  }

  // What the server is asked.

  const check = (reason?: ErrorCode): Promise<Outcome> => {
    const turn = era
    return (questions[turn] ??= look(turn, reason).finally(() => delete questions[turn]))
  }

  const look = async (turn: number, reason: ErrorCode = 'session_ended', sure?: boolean): Promise<Outcome> => {
    const { generation } = core
    const beside = csrf.cookie() // the answer is about the session that this is of
    try {
      const state: SessionState = await call('GET', '/session', { plain: true })
      if (turn !== era) return check(reason)
      if (state.authenticated == null) throw 0
      stale = false
      cookie = beside
      looked = Date.now()
      if (state.authenticated) {
        if (generation === core.generation) learn(state)
        enter(state.user!)
      } else if (store.is('authenticated')) {
        // The question may have gone with cookies that other tabs have renewed twice while it was on its way.
        if (!sure) return look(turn, reason, true)
        leave(reason)
        tabs.tell('changed')
      } else if (!store.is('expired')) leave()
      if (!refusing) failures = notBefore = 0
      plan()
      return shown()
    } catch (error) {
      return failed(error)
    }
  }

  /** Until when the token is new, however short its life. */
  const ripe = () => access + Math.min(0, grace * 1000 - full)

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
      tabs.tell('refreshed', { access, full, expires, passive: forNobody })
      if (!store.is('authenticated') || unsure()) return check()
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

  const awake = () => !gone.signal.aborted && !host.document?.hidden && host.navigator?.onLine !== false

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
    timer = setTimeout(tick, Math.min(Math.max(next, notBefore) - Date.now(), furthest))
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
    stale ||= persisted || past(looked + lately)
    if (persisted) {
      // A pageshow out of the back/forward cache. Unless the cookie says that it is the same session, nobody's data is shown before the
      // server has said whose page it is.
      era++
      if (unsure()) store.set('unknown')
    }
    plan()
  }

  const gone = new AbortController()
  for (const type of ['visibilitychange', 'online', 'pageshow']) host.addEventListener?.(type, wake, gone)

  const core: SessionCore = {
    ...tabs,
    generation: 0,
    owner: '',
    leave,
    unsure,
    check,
    changed() {
      tabs.tell('changed')
      era++ // what was asked before knows less
      return check()
    },
    doubt,
    renew,
    hydrate(state, signIn) {
      if (signIn) {
        era++ // what was asked before knows less
        csrf.keep('')
      }
      cookie = csrf.cookie()
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
    async settled() {
      await renewing
    },
    async extend() {
      core.touch()
      await renewing // it may have been made for nobody's sake
      notBefore = 0 // it is the user who asks
      return renew()
    },
    close() {
      clearTimeout(timer)
      tabs.close()
      gone.abort()
      core.owner = ''
      store.rouse()
    },
  }
  return core
}
