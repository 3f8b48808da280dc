import { AuthError, type ErrorCode } from './error.js'
import { exclusive } from './exclusive.js'
import type { Host } from './host.js'
import type { AuthOptions } from './options.js'
import { refreshed, type Outcome } from './outcome.js'
import type { Server } from './server.js'
import { nobody, type Store } from './store.js'
import { connect, type Life, type Message } from './tabs.js'
import type { SessionState, User } from './wire.js'

// What is known of the session, and how it changes. Rules kept here:
//
//   - Nobody is signed out but by their own wish, or because the server says so of the cookies there are now: what a 401 says
//     is confirmed by GET /session, since it may speak of a session that another tab has replaced.
//   - An answer that was asked for before somebody signed in or out is dropped.
//   - One renewal for one generation, for all callers here and, where there are locks, in all tabs.

/** The times of the tokens, and three counters that say what an answer is too old for. */
export interface Ledger extends Life {
  /** Moves with every renewal. */
  generation: number
  /** Moves whenever somebody signs in or out. */
  era: number
  /** Moves when requests of one user must not be sent, or answered, as another's. */
  owner: number
  /** Whether the last renewal left the session's idle time alone. */
  passive: boolean
  /** Before this time nothing is tried again by itself. */
  notBefore: number
  /** Milliseconds for which a new token is left alone. */
  readonly grace: number
  /** Before this time a 401 is no reason to renew. */
  refused: number
  /** What is shown may be out of date: the server is to be asked. */
  stale: boolean
  /** When the server last said who is here. */
  looked: number
}

export interface SessionCore {
  readonly ledger: Ledger
  /** Takes over times; fresh ones are those of a token that was made just now. */
  learn(times: Partial<SessionState>, fresh: boolean): void
  /** Somebody is signed in. */
  enter(user: User): void
  /** Nobody is signed in any more: for a reason, or because the user wanted it. */
  leave(reason?: ErrorCode): void
  /** Asks the server who is here. */
  check(reason?: ErrorCode): Promise<Outcome>
  /** Renews, unless that has happened since the given generation, or the token is young and there is no force behind it. */
  renew(from?: number, force?: boolean): Promise<Outcome>
  /** The user has done something, so the next renewal keeps the session from going idle. */
  touch(): void
  tell(message: Message): void
  close(): void
}

type Times = Pick<SessionState, 'access_expiration' | 'access_expires_in' | 'refresh_expiration'>

export function createSession(host: Host, options: AuthOptions, server: Server, store: Store, changed: () => void): SessionCore {
  const ledger: Ledger = {
    known: '', access: 0, full: 0, expires: null, generation: 0, era: 0, owner: 0, passive: true, notBefore: 0, grace: (options.grace ?? 10) * 1000,
    refused: 0, stale: false, looked: 0,
  }
  let ahead = 0 // the server's clock minus ours
  let active = false
  let whose = '' // the user that requests under way are for
  let failures = 0
  let last: ErrorCode = 'network'
  let checking: (Promise<Outcome> & { era?: number }) | undefined
  let renewing: Promise<Outcome> | undefined

  const tabs = connect(host, server.name, (message) => {
    const { kind } = message
    if (kind === 'active') active = true
    else if (kind === 'refreshed' && store.get().status === 'authenticated') {
      const { known, access, full, expires } = message
      Object.assign(ledger, { known, access, full, expires })
      renewed(message.passive)
      enter(store.get().user!)
    } else {
      // What was asked before may be answered by what was true before.
      ledger.era++
      ledger.stale = true
      if (kind === 'signed-out') leave()
      void check()
    }
  })

  const learn = ({ access_expiration, access_expires_in, refresh_expiration }: Times, fresh: boolean) => {
    const now = Date.now()
    ledger.access = 0
    if (access_expiration) {
      // The remaining seconds count: this machine's clock may be wrong by any amount.
      ledger.access = now + access_expires_in! * 1000
      ahead = Date.parse(access_expiration) - ledger.access
      if (fresh || ledger.known !== access_expiration) ledger.generation++
      ledger.full = fresh ? ledger.access - now : Math.max(ledger.full, ledger.access - now)
      ledger.known = access_expiration
    }
    const expires = refresh_expiration ? Date.parse(refresh_expiration) - ahead : null
    // Seconds on the wire are whole: a difference that may be rounding is none, and rouses no listener.
    if (!expires || !ledger.expires || Math.abs(expires - ledger.expires) > 1500) ledger.expires = expires
  }

  const enter = (user: User) => {
    if (whose !== user.id) {
      ledger.era++
      if (whose) ledger.owner++
      whose = user.id
    }
    store.set({ status: 'authenticated', user, expiresAt: ledger.expires, reason: null })
    changed()
  }

  const leave = (reason?: ErrorCode) => {
    const { user } = store.get()
    ledger.era++
    Object.assign(ledger, { known: '', access: 0, full: 0, expires: null })
    server.csrf.keep('')
    if (whose && !reason) ledger.owner++
    if (!reason) whose = ''
    store.set(user && reason ? { status: 'expired', user, expiresAt: null, reason } : nobody('anonymous'))
    changed()
  }

  const renewed = (passive: boolean) => {
    ledger.generation++
    ledger.passive = passive
    failures = ledger.notBefore = 0
    if (!passive) active = false
  }

  const failed = (error: unknown): Outcome => {
    const { code, retryAfter } = error instanceof AuthError ? error : new AuthError('network')
    const after = Math.max(retryAfter, Math.min(60, 2 ** failures++)) * (1 + Math.random() / 4)
    ledger.notBefore = Date.now() + after * 1000
    last = code
    changed()
    return { outcome: 'try_later', after, code }
  }

  const standing = (): Outcome | Promise<Outcome> => {
    const { status, reason } = store.get()
    if (status === 'unknown') return check()
    return status === 'authenticated' ? refreshed : { outcome: 'session_ended', reason: reason ?? 'not_authenticated' }
  }

  const check = (reason: ErrorCode = 'session_ended'): Promise<Outcome> => {
    const { era } = ledger
    if (checking?.era === era) return checking
    const turn: typeof checking = look(era, reason).finally(() => {
      if (checking === turn) checking = undefined
    })
    turn.era = era
    return (checking = turn)
  }

  const look = async (era: number, reason: ErrorCode): Promise<Outcome> => {
    const { generation } = ledger
    try {
      const state: SessionState = await server.call('GET', '/session')
      const renewedMeanwhile = generation !== ledger.generation
      if (era !== ledger.era) return check(reason)
      if (state.authenticated) {
        if (!renewedMeanwhile) learn(state, false)
        enter(state.user!)
      } else if (state.authenticated !== false) throw 0
      else if (renewedMeanwhile) return look(era, reason)
      else if (store.get().status === 'authenticated') {
        leave(reason)
        tabs.tell({ kind: 'ended' })
      } else if (!store.get().user) leave()
      ledger.stale = false
      ledger.looked = Date.now()
      failures = ledger.notBefore = 0
      return standing()
    } catch (error) {
      return failed(error)
    }
  }

  const young = () => {
    const now = Date.now()
    return now < ledger.access && now < ledger.access - ledger.full + ledger.grace
  }

  const renew = async (from = ledger.generation, force = false): Promise<Outcome> => {
    if (renewing) return renewing
    if (from !== ledger.generation || (!force && young())) return standing()
    const after = (ledger.notBefore - Date.now()) / 1000
    if (after > 0) return { outcome: 'try_later', after, code: last }
    return (renewing = exclusive(host, server.name, async (waited) => {
      if (waited && from === ledger.generation) {
        const outcome = await check()
        if (outcome.outcome !== 'refreshed') return outcome
      }
      return from === ledger.generation ? spend(true) : standing()
    }).finally(() => (renewing = undefined)))
  }

  /** Spends the refresh token. When the answer is lost, the same may be asked again: the server gives the same successor. */
  const spend = async (again: boolean): Promise<Outcome> => {
    const { era, generation } = ledger
    const passive = !active
    try {
      const times: Times = await server.call('POST', '/token/refresh', passive ? { headers: { 'X-Passive': '1' } } : {})
      if (typeof times.access_expires_in !== 'number') throw 0
      if (era !== ledger.era) return standing()
      learn(times, true)
      renewed(passive)
      const { known, access, full, expires } = ledger
      tabs.tell({ kind: 'refreshed', passive, known, access, full, expires })
      const { status, user } = store.get()
      if (status !== 'authenticated') return check()
      enter(user)
      return standing()
    } catch (error) {
      const { action, code } = error instanceof AuthError ? error : new AuthError('network')
      if (action === 'login' || code === 'csrf_failed') {
        const outcome = await check(code)
        if (outcome.outcome !== 'refreshed' || generation !== ledger.generation) return outcome
      } else if (code === 'network' && again) return spend(false)
      return failed(error)
    }
  }

  return {
    ledger, learn, enter, leave, check, renew,
    touch() {
      if (!active) tabs.tell({ kind: 'active' })
      active = true
    },
    tell: tabs.tell,
    close: tabs.close,
  }
}
