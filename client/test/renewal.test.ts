import { describe, expect, test, vi } from 'vitest'
import { after, pass, signedIn, stopTime, world } from './world.js'

stopTime()

const refreshPath = '/auth/token/refresh'

describe('one refresh for all', () => {
  test('CL-01 fifty requests that meet an expired token share one refresh and are sent once more each', async () => {
    const { w, auth } = await signedIn()
    w.server.advanceTo('access-expired')
    const answers = await after(100, Promise.all(Array.from({ length: 50 }, (_, i) => auth.fetch('/api/' + i))))
    expect(answers.map((a) => a.status)).toEqual(Array(50).fill(200))
    expect(w.seen(refreshPath)).toHaveLength(1)
    expect(w.server.requests.filter((r) => r.path.startsWith('/api/'))).toHaveLength(100)
  })

  test('a second 401 of the same generation does not start another refresh', async () => {
    let hold: (() => void) | undefined
    const { w, auth } = await signedIn(1, {
      network: async (request, phase) => {
        if (phase === 'answered' && request.url.endsWith('/slow') && !hold) await new Promise<void>((go) => (hold = go))
      },
    })
    w.server.advanceTo('access-expired')
    const slow = auth.fetch('/api/slow')
    const quick = auth.fetch('/api/quick')
    expect((await after(100, quick)).status).toBe(200)
    const late = after(100, slow)
    hold!()
    expect((await late).status).toBe(200)
    expect(w.seen(refreshPath)).toHaveLength(1)
  })

  test.each([
    ['with locks and channels', {}, 1],
    ['without channels', { channels: false }, 1],
    ['without locks', { locks: false }, 10],
    ['without either', { locks: false, channels: false }, 10],
  ])('CL-02 ten tabs that meet an expired token all stay signed in, %s', async (_, browser, most) => {
    const { w, tabs } = await signedIn(10, browser)
    w.server.advanceTo('access-expired')
    const answers = await after(5000, Promise.all(tabs.flatMap(({ auth }) => [auth.fetch('/api/a'), auth.fetch('/api/b', { method: 'POST', body: 'x' })])))
    expect(answers.map((a) => a.status)).toEqual(Array(20).fill(200))
    expect(w.seen(refreshPath).length).toBeLessThanOrEqual(most)
    expect(tabs.map(({ auth }) => auth.getSnapshot().status)).toEqual(Array(10).fill('authenticated'))
  })

  test('a tab closed while it holds the lock delays nobody', async () => {
    const { w, tabs, server } = await signedIn(2, { network: hangs(refreshPath, 1) })
    server.advanceTo('access-expired')
    void tabs[0]!.auth.fetch('/api/first')
    await pass(1)
    const answer = tabs[1]!.auth.fetch('/api/x')
    await pass(10)
    tabs[0]!.kill()
    expect((await after(10, answer)).status).toBe(200)
    expect(w.seen('/api/x')).toHaveLength(2)
  })

  test('a tab stopped while it holds the lock delays the others by two seconds', async () => {
    const { tabs, server } = await signedIn(2, { network: hangs(refreshPath, 1) })
    server.advanceTo('access-expired')
    void tabs[0]!.auth.fetch('/api/first')
    await pass(1)
    tabs[0]!.freeze()
    let answered = false
    const answer = tabs[1]!.auth.fetch('/api/x').finally(() => (answered = true))
    await pass(1900)
    expect(answered).toBe(false)
    expect((await after(200, answer)).status).toBe(200)
  })

  test('a browser that refuses locks renews without', async () => {
    const w = world({ transparentRenewal: false })
    w.server.signIn()
    const { auth } = w.open({}, { navigator: { locks: { request: () => Promise.reject(new DOMException('no', 'SecurityError')) } as never } })
    await auth.load()
    w.server.advanceTo('access-expired')
    expect((await after(100, auth.fetch('/api/x'))).status).toBe(200)
  })
})

describe('the grace', () => {
  test('a token younger than the grace is not renewed', async () => {
    const { w, auth } = await signedIn()
    await after(10_500, auth.refresh())
    expect(await after(100, auth.refresh())).toEqual({ outcome: 'refreshed' })
    const before = w.seen(refreshPath).length
    await after(5000, auth.refresh())
    await after(4000, auth.refresh())
    expect(w.seen(refreshPath)).toHaveLength(before)
    await pass(2000)
    await after(100, auth.refresh())
    expect(w.seen(refreshPath)).toHaveLength(before + 1)
  })

  test('a server that refuses every new token is asked for one once in the grace, not once for each request', async () => {
    const { w, server, auth } = await signedIn()
    server.refuse('token_expired', { times: 1000, path: '/api/broken' })
    const statuses = []
    for (let i = 0; i < 20; i++) {
      statuses.push((await after(100, auth.fetch('/api/broken'))).status)
    }
    expect(statuses).toEqual(Array(20).fill(401))
    expect(w.seen(refreshPath)).toHaveLength(1)
    expect(auth.getSnapshot().status).toBe('authenticated')
  })
})

describe('before the token runs out', () => {
  test('a visible page renews a minute before the end, with jitter, and by what the server says remains', async () => {
    vi.setSystemTime(Date.UTC(2031, 5, 5)) // years ahead of the server
    const { w, server } = await signedIn()
    expect(server.requests.map((r) => r.path)).toEqual(['/auth/session'])
    await pass(225_000)
    expect(w.seen(refreshPath)).toHaveLength(0)
    await pass(15_000)
    expect(w.seen(refreshPath)).toHaveLength(1)
    expect(w.seen(refreshPath)[0]!.passive).toBe(true)
  })

  test('of five tabs one renews and the others are told', async () => {
    const { w, tabs } = await signedIn(5)
    await pass(1000 * 60 * 60)
    const count = w.seen(refreshPath).length
    expect(count).toBeGreaterThanOrEqual(14)
    expect(count).toBeLessThanOrEqual(16)
    expect(new Set(tabs.map(({ auth }) => auth.getSnapshot().status))).toEqual(new Set(['authenticated']))
  })

  test('a hidden page does not renew, and looks when it is seen again', async () => {
    const { w, tab, server } = await signedIn()
    tab.visible = false
    await pass(3_600_000)
    expect(w.seen(refreshPath)).toHaveLength(0)
    const looks = w.seen('/auth/session').length
    tab.visible = true
    await pass(10)
    expect(w.seen('/auth/session')).toHaveLength(looks + 1)
    await pass(10_000)
    expect(w.seen(refreshPath)).toHaveLength(1)
    expect(server.signedIn?.username).toBe('ada')
  })

  test('a page that is offline does not renew, and does when it is online again', async () => {
    const { w, tab } = await signedIn()
    w.online = false
    await pass(3_600_000)
    expect(tab.auth.getSnapshot().status).toBe('authenticated')
    w.online = true
    tab.fire('online')
    await pass(10_000)
    expect(w.seen(refreshPath)).toHaveLength(1)
  })

  test('after the machine slept, what is due is looked at before it is done', async () => {
    const { w, tab } = await signedIn()
    vi.setSystemTime(Date.now() + 8 * 3_600_000)
    tab.fire('visibilitychange')
    await pass(10_000)
    expect(w.server.requests.slice(-2).map((r) => r.path)).toEqual(['/auth/session', refreshPath])
    expect(tab.auth.getSnapshot().status).toBe('authenticated')
  })

  test('the next renewal after the user did something keeps the session from going idle, in whatever tab', async () => {
    const { w, tabs } = await signedIn(2)
    await after(10, tabs[1]!.auth.fetch('/api/x'))
    await pass(300_000)
    await pass(300_000)
    expect(w.seen(refreshPath).map((r) => r.passive)).toEqual([false, true])
  })

  test('proactive: false leaves renewal to requests', async () => {
    const { w, auth } = await signedIn(1, { transparentRenewal: true }, { proactive: false })
    await pass(3_600_000)
    expect((await auth.fetch('/api/x')).status).toBe(200)
    expect(w.seen(refreshPath)).toHaveLength(0)
  })

  test('tokens that live for some seconds are renewed within their life, and not all the time', async () => {
    const { w, auth } = await signedIn(1, { accessLife: 5 })
    await pass(60_000)
    expect(w.seen(refreshPath).length).toBeGreaterThanOrEqual(5)
    expect(w.seen(refreshPath).length).toBeLessThanOrEqual(16)
    expect(auth.getSnapshot().status).toBe('authenticated')
  })

  test('what is ended by its time is shown as ended without a request of the page', async () => {
    const { auth } = await signedIn(1, { sessionLife: 600 }, { proactive: false })
    await pass(605_000)
    expect(auth.getSnapshot()).toMatchObject({ status: 'expired', reason: 'session_ended', user: { username: 'ada' } })
  })
})

/** Holds the first requests to a path, for ever. */
function hangs(path: string, times: number) {
  return async (request: Request, phase: string) => {
    if (phase === 'sent' && request.url.endsWith(path) && times-- > 0) await new Promise(() => {})
  }
}
