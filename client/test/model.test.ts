import fc from 'fast-check'
import { describe, test, vi } from 'vitest'
import { AuthError, type AuthRequestInit } from '../src/index.js'
import { pass, stopTime, world, type Tab } from './world.js'

stopTime()

// Random interleavings of what happens to pages, against the server of the testing kit, which ends a session whose old token is
// used. Whatever happens:
//
//   - each request ends: with an answer, or with an error that says why
//   - no request has been carried out twice
//   - none is carried out, or answered, as somebody else than the user its page showed
//   - a refresh token whose answer has arrived is not spent again, where the browser has locks
//   - nobody is shown as signed out by anything but the server's word or a sign-out
//   - when the trouble is over, all pages show what is true

type Step =
  | { do: 'request'; tab: number; method: 'GET' | 'POST'; park: boolean; passive: boolean; burst: number }
  | { do: 'wait'; ms: number }
  | { do: 'expire' }
  | { do: 'end' }
  | { do: 'login'; tab: number; user: 'ada' | 'bob' }
  | { do: 'logout'; tab: number }
  | { do: 'offline'; ms: number }
  | { do: 'unavailable'; times: number; path: '/token/refresh' | '/session' | '/api/x' }
  | { do: 'lose'; phase: 'sent' | 'answered' }
  | { do: 'visible'; tab: number; visible: boolean }
  | { do: 'stop'; tab: number; ms: number }
  | { do: 'takeover'; tab: number; by: number; user: 'ada' | 'bob'; ms: number; method: 'GET' | 'POST' }
  | { do: 'restore'; tab: number; user: 'ada' | 'bob' | null; ends: boolean; ms: number }
  | { do: 'replace'; tab: number }
  | { do: 'refresh'; tab: number }

const tab = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('request' as const), tab, method: fc.constantFrom('GET', 'POST'), park: fc.boolean(), passive: fc.boolean(), burst: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 20, 100, 1000, 5000, 20_000, 240_000, 400_000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('login' as const), tab, user: fc.constantFrom('ada', 'bob') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('logout' as const), tab }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('offline' as const), ms: fc.constantFrom(100, 5000, 60_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('unavailable' as const), times: fc.integer({ min: 1, max: 3 }), path: fc.constantFrom('/token/refresh', '/session', '/api/x') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lose' as const), phase: fc.constantFrom('sent', 'answered') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('visible' as const), tab, visible: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stop' as const), tab, ms: fc.constantFrom(50, 3000, 30_000) }) },
  // A tab is put out of sight, another signs in, and the first one saves by itself.
  { weight: 2, arbitrary: fc.record({ do: fc.constant('takeover' as const), tab, by: tab, user: fc.constantFrom('ada', 'bob'), ms: fc.constantFrom(0, 1, 20, 100, 1000, 60_000), method: fc.constantFrom('GET', 'POST') }) },
  // A page with a request that may wait goes into the back/forward cache and comes out of it; somebody may have signed in meanwhile.
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restore' as const), tab, user: fc.constantFrom('ada', 'bob', null), ends: fc.boolean(), ms: fc.constantFrom(0, 20, 1000, 30_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), tab }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const), tab }) },
)

const known = ['network', 'session_ended', 'store_unavailable', 'csrf_failed', 'refresh_missing', 'not_authenticated', 'invalid_credentials']

interface Browser {
  locks: boolean
  channels: boolean
  transparentRenewal: boolean
}

async function play(steps: Step[], delays: number[], browser: Browser): Promise<void> {
  const problems: string[] = []
  let lose: 'sent' | 'answered' | undefined
  let turn = 0
  const delay = () => delays[turn++ % delays.length]!
  const carriedOut = new Map<string, number>()
  const shownTo = new Map<string, string | undefined>()
  const spent = new Map<string, number>()
  let lastNobody = -Infinity // when the browser's cookies stood for nobody, or for somebody new
  let strict = browser.locks
  let signOuts = 0

  const w = world({
    ...browser,
    users: [{ username: 'ada' }, { username: 'bob' }],
    messageDelay: delay,
    api(request, user) {
      const id = request.headers.get('X-Id')!
      carriedOut.set(id, (carriedOut.get(id) ?? 0) + 1)
      const shown = shownTo.get(id)
      if (shown && shown !== user.username) problems.push(`request ${id} was sent as ${user.username} from a page of ${shown}`)
      return Response.json({})
    },
    async network(request, phase) {
      await new Promise<void>((go) => setTimeout(go, delay()))
      if (lose === phase) {
        lose = undefined
        strict = false
        throw new Error('lost')
      }
      if (!w.server.signedIn) lastNobody = Date.now()
      if (phase === 'answered' && request.url.endsWith('/token/refresh')) {
        const { session, status } = w.server.requests.filter((r) => r.path.endsWith('/token/refresh')).at(-1)!
        if (status === 200) spent.set(session, (spent.get(session) ?? 0) + 1)
      }
    },
  })
  w.server.signIn('ada')

  const watch = (tab: Tab) => {
    let before = tab.auth.getSnapshot().status
    tab.auth.subscribe(() => {
      const { status } = tab.auth.getSnapshot()
      const out = status === 'expired' || (status === 'anonymous' && before === 'authenticated')
      // What a page is told may be as old as an answer is under way; locks and closed pages take what they take.
      const wished = status === 'anonymous' && signOuts > 0
      if (out && before !== 'expired' && !wished && Date.now() - lastNobody > 60_000 && w.server.signedIn) {
        problems.push(`${status} at ${Date.now()}, although ${w.server.signedIn.username} is signed in`)
      }
      before = status
    })
    return tab
  }
  const tabs = [0, 1, 2].map(() => watch(w.open()))
  const open: { name: string; settled: boolean; tab: Tab }[] = []
  const follow = (name: string, tab: Tab, work: Promise<unknown>) => {
    const entry = { name, settled: false, tab }
    open.push(entry)
    work.then(
      () => (entry.settled = true),
      (error: unknown) => {
        entry.settled = true
        if (error instanceof TypeError || (error instanceof AuthError && known.includes(error.code))) return
        problems.push(`${name}: ${String(error)}`)
      },
    )
  }
  await pass(500)

  let ids = 0
  const request = (tab: Tab, init: AuthRequestInit) => {
    const id = String(ids++)
    shownTo.set(id, tab.auth.getSnapshot().user?.username)
    follow(`request ${id}`, tab, tab.auth.fetch('/api/x', { ...init, headers: { 'X-Id': id } }))
  }
  const login = (tab: Tab, username: string) => {
    lastNobody = Date.now()
    follow('login', tab, tab.auth.login({ username, password: 'secret' }))
  }
  for (const s of steps) {
    switch (s.do) {
      case 'request':
        for (let i = 0; i < s.burst; i++) request(tabs[s.tab]!, { method: s.method, park: s.park, passive: s.passive })
        break
      case 'takeover':
        tabs[s.tab]!.visible = false
        login(tabs[s.by]!, s.user)
        await pass(s.ms)
        request(tabs[s.tab]!, { method: s.method, passive: true })
        break
      case 'restore': {
        const restored = tabs[s.tab]!
        if (s.ends) {
          w.server.endSession()
          lastNobody = Date.now()
        }
        request(restored, { method: 'POST', park: true })
        await pass(1000)
        strict = false
        restored.freeze()
        if (s.user) {
          lastNobody = Date.now()
          w.server.signIn(s.user)
        }
        await pass(s.ms)
        restored.thaw()
        restored.fire('pageshow', true)
        request(restored, { method: 'POST' })
        break
      }
      case 'wait':
        await pass(s.ms)
        break
      case 'expire':
        if (w.server.signedIn) w.server.advanceTo('access-expired')
        break
      case 'end':
        w.server.endSession()
        lastNobody = Date.now()
        break
      case 'login':
        login(tabs[s.tab]!, s.user)
        break
      case 'logout':
        signOuts++
        follow('logout', tabs[s.tab]!, tabs[s.tab]!.auth.logout())
        break
      case 'offline':
        w.online = false
        strict = false
        await pass(s.ms)
        w.online = true
        for (const t of tabs) t.fire('online')
        break
      case 'unavailable':
        w.server.refuse('store_unavailable', s)
        break
      case 'lose':
        lose = s.phase
        break
      case 'visible':
        tabs[s.tab]!.visible = s.visible
        break
      case 'stop':
        strict = false
        tabs[s.tab]!.freeze()
        await pass(s.ms)
        tabs[s.tab]!.thaw()
        break
      case 'replace':
        strict = false
        tabs[s.tab]!.kill()
        for (const entry of open) if (entry.tab === tabs[s.tab]) entry.settled = true // with its page
        tabs[s.tab] = watch(w.open())
        break
      case 'refresh':
        follow('refresh', tabs[s.tab]!, tabs[s.tab]!.auth.refresh())
        break
    }
  }

  // The trouble is over: everybody is looked at, and what waits for a sign-in gets one, or a sign-out.
  lose = undefined
  for (const t of tabs) t.visible = true
  await pass(200_000)
  if (tabs.some(({ auth }) => auth.getSnapshot().status === 'expired')) {
    const again = tabs[0]!.auth.login({ username: tabs[0]!.auth.getSnapshot().user?.username ?? 'ada', password: 'secret' })
    follow('the last login', tabs[0]!, again)
    await pass(60_000)
  }
  for (const t of tabs) t.visible = true
  await pass(200_000)

  for (const entry of open) if (!entry.settled) problems.push(`${entry.name} never ended`)
  for (const [n, times] of carriedOut) if (times > 1) problems.push(`request ${n} was carried out ${times} times`)
  if (strict) for (const [session, times] of spent) if (times > 1) problems.push(`${session} was spent ${times} times`)
  const truth = w.server.signedIn?.username ?? null
  for (const [i, { auth }] of tabs.entries()) {
    const { status, user } = auth.getSnapshot()
    const shown = status === 'authenticated' ? user!.username : null
    if (shown !== truth || status === 'unknown') problems.push(`tab ${i} shows ${status} ${shown}, and it is ${truth}`)
  }
  w.close()
  if (problems.length) throw new Error(problems.join('\n'))
}

const runs = Number(process.env['TOKENJAR_MODEL_RUNS'] ?? 40)

describe.each<[string, Browser]>([
  ['with locks and channels', { locks: true, channels: true, transparentRenewal: false }],
  ['with locks and channels, renewed on the way', { locks: true, channels: true, transparentRenewal: true }],
  ['without locks', { locks: false, channels: true, transparentRenewal: false }],
  ['without channels', { locks: true, channels: false, transparentRenewal: false }],
  ['without either', { locks: false, channels: false, transparentRenewal: true }],
])('in a browser %s', (_, browser) => {
  test('no interleaving loses a request, carries one out twice, or signs anybody out without the server\'s word', { timeout: 600_000 }, async () => {
    vi.setSystemTime(Date.UTC(2026, 0, 1))
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 25 }),
        fc.array(fc.constantFrom(0, 1, 2, 5, 20, 80, 300), { minLength: 5, maxLength: 20 }),
        (steps, delays) => play(steps, delays, browser),
      ),
      { numRuns: runs, endOnFailure: !process.env['TOKENJAR_MODEL_SHRINK'] },
    )
  })
})

