import type { Host, PageEvent } from './host.js'
import type { AuthOptions } from './options.js'
import type { Server } from './server.js'
import type { SessionCore } from './session.js'
import { nobody, type Store } from './store.js'

/** Timers count 31 bits of milliseconds; sessions may live longer. */
const furthest = 2 ** 31 - 1

/** A page that comes back asks who is here, unless it has asked so lately. */
const lately = 15_000

/** The server renews by itself in the last seconds of an access token, and we do not hear of it. */
export const ownRenewal = 10_000

/** What the client does by itself: renewal before the end, the warning before a session goes idle, a look after sleep. */
export interface Schedule {
  /** Sets the one timer anew, for what comes next. */
  plan(): void
  onExpiring(listener: (expiresAt: number) => void, seconds?: number): () => void
  close(): void
}

export function createSchedule(host: Host, options: AuthOptions, server: Server, session: SessionCore, store: Store): Schedule {
  const { ledger } = session
  const { refreshBefore = 60, proactive = true } = options
  const warnings = new Set<{ listener: (expiresAt: number) => void; before: number; warned: number | null }>()
  const jitter = 1 + Math.random() / 5 // so that tabs and browsers do not come all at once
  let timer: ReturnType<typeof setTimeout> | undefined
  let over: number | null = null // the end at which we have looked whether it is one
  let cookie = ''

  // Timers sleep with the page and with the machine. Only a page that is seen renews; the others are told.
  const awake = () => host.document?.visibilityState !== 'hidden' && host.navigator?.onLine !== false

  /** When to renew: within the grace of a token never, however short its life is. */
  const due = () => {
    const { access, full, looked } = ledger
    // The token has run out already: a request of the page's renews it on the way, most likely.
    if (!access) return looked + 5000 * jitter
    return Math.max(access - Math.min(refreshBefore * 1000, full / 4) * jitter, Math.min(access, access - full + ledger.grace))
  }

  const plan = () => {
    clearTimeout(timer)
    if (!host.location) return
    const { stale, expires, notBefore } = ledger
    let next = stale && awake() ? 0 : Infinity
    if (store.get().status === 'authenticated') {
      if (awake() && proactive) next = Math.min(next, due())
      if (awake() && expires && expires !== over) next = Math.min(next, expires + 1000)
      for (const { before, warned } of warnings) if (expires && expires !== warned) next = Math.min(next, expires - before)
    }
    const now = Date.now()
    next = Math.max(next, notBefore, now)
    if (next < Infinity) timer = setTimeout(tick, Math.min(next - now, furthest))
  }

  const tick = async () => {
    const authenticated = () => store.get().status === 'authenticated'
    const reached = (time: number | null) => time !== null && Date.now() >= time
    if (ledger.stale && awake()) await session.check()
    if (authenticated() && awake() && ledger.expires !== over && reached(ledger.expires && ledger.expires + 1000)) {
      over = ledger.expires
      await session.check()
    }
    if (authenticated() && awake() && proactive && reached(due())) {
      if (reached(ledger.access - ownRenewal)) await session.check()
      if (authenticated() && (!ledger.access || reached(due()))) await session.renew()
    }
    for (const warning of warnings) {
      const soon = () => authenticated() && ledger.expires !== warning.warned && reached(ledger.expires && ledger.expires - warning.before)
      // Somebody may have moved the end meanwhile: the server on the way of a request, or a tab that cannot tell us.
      if (soon() && Date.now() - ledger.looked > 1000) await session.check()
      if (soon()) warning.listener((warning.warned = ledger.expires)!)
    }
    plan()
  }

  const wake = ({ type, persisted }: PageEvent) => {
    if (type === 'pagehide') return void (cookie = server.csrf.cookie())
    if (!awake()) return plan()
    const { status } = store.get()
    if (type === 'online') ledger.notBefore = 0
    if (persisted && status !== 'unknown') {
      // The page comes out of the back/forward cache. Unless the cookie says that it is the same session, nobody's data is shown
      // before the server has said whose page it is.
      ledger.era++
      ledger.stale = true
      const now = server.csrf.cookie()
      if (!now || now !== cookie) store.set(nobody('unknown'))
    }
    if (ledger.stale || (status !== 'unknown' && Date.now() - ledger.looked > lately)) void session.check().then(plan)
    else plan()
  }

  const events = ['visibilitychange', 'online', 'pageshow', 'pagehide']
  if (host.location) for (const type of events) host.addEventListener?.(type, wake)

  return {
    plan,
    onExpiring(listener, seconds = 60) {
      const warning = { listener, before: seconds * 1000, warned: null }
      warnings.add(warning)
      plan()
      return () => void warnings.delete(warning)
    },
    close() {
      clearTimeout(timer)
      for (const type of events) host.removeEventListener?.(type, wake)
    },
  }
}
