import { describe, expect, test } from 'vitest'
import { createAuth } from '../src/index.js'
import { createAuthIn } from '../src/create-auth-in.js'
import type { Host } from '../src/host.js'
import { after, origin, pass, signedIn, stopTime, world } from './world.js'

stopTime()

const credentials = { username: 'ada', password: 'secret' }

/** Notes every status that a page shows. */
function statuses(auth: ReturnType<typeof createAuth>) {
  const seen: string[] = [auth.getSnapshot().status]
  auth.subscribe(() => seen.push(auth.getSnapshot().status))
  return seen
}

describe('who is here', () => {
  test.each([
    ['signed in', true, ['unknown', 'authenticated']],
    ['signed out', false, ['unknown', 'anonymous']],
  ])('a page that is loaded %s shows neither page until it knows', async (_, isSignedIn, want) => {
    const w = world()
    if (isSignedIn) w.server.signIn()
    const { auth } = w.open()
    const seen = statuses(auth)
    await pass(100)
    expect(seen).toEqual(want)
    expect(w.server.requests.map((r) => r.path)).toEqual(['/auth/session'])
  })

  test('a page that is loaded offline goes on not knowing, and finds out by itself', async () => {
    const w = world()
    w.server.signIn()
    w.online = false
    const tab = w.open()
    const seen = statuses(tab.auth)
    await pass(60_000)
    expect(seen).toEqual(['unknown'])
    w.online = true
    tab.fire('online')
    await pass(100)
    expect(seen).toEqual(['unknown', 'authenticated'])
  })

  test('a page loaded while the server does not answer tries again by itself, less and less often', async () => {
    const w = world()
    w.server.signIn()
    w.server.refuse('store_unavailable', { times: 5, path: '/session' })
    const { auth } = w.open()
    const seen = statuses(auth)
    await pass(10_000)
    expect(seen).toEqual(['unknown'])
    await pass(60_000)
    expect(seen).toEqual(['unknown', 'authenticated'])
    expect(w.server.requests).toHaveLength(6)
  })

  test('the snapshot is the same object until something in it changes', async () => {
    const { auth, server } = await signedIn()
    const first = auth.getSnapshot()
    for (let i = 0; i < 3; i++) await after(700, auth.load())
    expect(auth.getSnapshot()).toBe(first)
    expect(Object.keys(first)).toEqual(['status', 'user', 'expiresAt', 'reason'])
    server.signedIn!.first_name = 'Ada'
    await after(100, auth.load())
    expect(auth.getSnapshot()).not.toBe(first)
  })

  test('a listener that throws does not make the session look broken', async () => {
    const { auth } = await signedIn()
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve))
    auth.subscribe(() => {
      throw new Error('the page has a fault')
    })
    await after(100, auth.logout())
    expect(auth.getSnapshot().status).toBe('anonymous')
    expect(await thrown).toMatchObject({ message: 'the page has a fault' })
  })

  test('what the server rendered is shown at once', async () => {
    const w = world()
    w.server.signIn()
    const state = await (await w.server.fetch('/auth/session')).json()
    const { auth } = w.open()
    auth.hydrate(state)
    expect(auth.getSnapshot()).toMatchObject({ status: 'authenticated', user: { username: 'ada' } })
    auth.hydrate(JSON.parse('null')) // of a server that could not ask
    expect(auth.getSnapshot().status).toBe('authenticated')
    auth.hydrate({ authenticated: false })
    expect(auth.getSnapshot().status).toBe('anonymous')
  })

  test('what was just changed is shown, whatever was asked before', async () => {
    let hold = () => {}
    let holding = false
    const { auth } = await signedIn(1, {
      network: async (request, phase) => {
        if (holding && phase === 'answered' && request.url.endsWith('/session')) await new Promise<void>((go) => (hold = go))
      },
    })
    holding = true
    const late = auth.load()
    await pass(10)
    holding = false
    const changed = auth.call('PATCH', '/user', { body: { first_name: 'Ada' } })
    await after(10, changed)
    expect(auth.getSnapshot().user?.first_name).toBe('Ada')
    hold()
    expect((await after(10, late)).user?.first_name).toBe('Ada')
  })
})

describe('all tabs', () => {
  test('CL-09 sign-out reaches all tabs at once, and what was asked before is not answered', async () => {
    let hold = () => {}
    const { tabs, w } = await signedIn(3, {
      network: async (request, phase) => {
        if (phase === 'answered' && request.url.endsWith('/secret')) await new Promise<void>((go) => (hold = go))
      },
    })
    const late = tabs[1]!.auth.fetch('/api/secret')
    await after(10, tabs[0]!.auth.logout())
    expect(tabs.map(({ auth }) => auth.getSnapshot())).toEqual(
      Array(3).fill({ status: 'anonymous', user: null, expiresAt: null, reason: null }),
    )
    hold()
    await expect(after(10, late)).rejects.toMatchObject({ code: 'session_ended' })
    expect(w.seen('/api/secret')).toMatchObject([{ status: 200 }])
  })

  test('sign-in and change of user reach all tabs, and no request goes out as somebody else', async () => {
    const { tabs, server } = await signedIn(2, { users: [{ username: 'ada' }, { username: 'bob' }] })
    server.advanceTo('access-expired')
    const [one, two] = tabs
    const seen = statuses(two!.auth)
    await after(100, one!.auth.login({ username: 'bob', password: 'secret' }))
    expect(two!.auth.getSnapshot()).toMatchObject({ status: 'authenticated', user: { username: 'bob' } })
    expect(seen).toEqual(['authenticated', 'authenticated'])
  })

  test('a request of one user is not sent again as another', async () => {
    const sent: string[] = []
    let hold = () => {}
    const { tabs, server } = await signedIn(2, {
      users: [{ username: 'ada' }, { username: 'bob' }],
      api: (request, user) => (sent.push(user.username + ' ' + new URL(request.url).pathname), Response.json({})),
      network: async (request, phase) => {
        if (phase === 'answered' && request.url.endsWith('/pay')) await new Promise<void>((go) => (hold = go))
      },
    })
    server.advanceTo('access-expired')
    const paid = tabs[0]!.auth.fetch('/api/pay', { method: 'POST' })
    await pass(10)
    await after(100, tabs[1]!.auth.login({ username: 'bob', password: 'secret' }))
    hold()
    await expect(after(100, paid)).rejects.toMatchObject({ code: 'session_ended' })
    expect(sent).toEqual([])
  })

  test('the end of a session reaches all tabs', async () => {
    const { tabs, server } = await signedIn(3)
    server.endSession('session_reused')
    expect((await after(100, tabs[0]!.auth.fetch('/api/x'))).status).toBe(401)
    expect(tabs.map(({ auth }) => auth.getSnapshot().status)).toEqual(Array(3).fill('expired'))
    expect(tabs[0]!.auth.getSnapshot().reason).toBe('token_revoked')
  })

  test('without channels a tab finds out when it is seen again', async () => {
    const { tabs } = await signedIn(2, { channels: false })
    tabs[1]!.visible = false
    await after(100, tabs[0]!.auth.logout())
    expect(tabs[1]!.auth.getSnapshot().status).toBe('authenticated')
    await pass(60_000)
    tabs[1]!.visible = true
    await pass(100)
    expect(tabs[1]!.auth.getSnapshot().status).toBe('expired')
  })

  test('a sign-out that comes late does not hide who has signed in since', async () => {
    let delay = 1
    const { tabs } = await signedIn(2, { messageDelay: () => delay })
    delay = 5000
    await after(10, tabs[0]!.auth.logout())
    await after(10, tabs[1]!.auth.login(credentials))
    await pass(10_000)
    expect(tabs.map(({ auth }) => auth.getSnapshot().status)).toEqual(['authenticated', 'authenticated'])
  })

  test('CL-09 an answer from before the sign-out does not show the user again', async () => {
    let hold = () => {}
    let holding = false
    const { auth, tab } = await signedIn(1, {
      network: async (request, phase) => {
        if (holding && phase === 'answered' && request.url.endsWith('/session')) await new Promise<void>((go) => (hold = go))
      },
    })
    holding = true
    const late = auth.load()
    await pass(10)
    holding = false
    await after(10, auth.logout())
    const seen = statuses(tab.auth)
    hold()
    expect((await after(100, late)).status).toBe('anonymous')
    expect(new Set(seen)).toEqual(new Set(['anonymous']))
  })

  test('a question that went with cookies of two renewals ago signs nobody out', async () => {
    let hold = () => {}
    let holding = false
    const { auth, server } = await signedIn(1, {
      channels: false,
      network: async (request, phase) => {
        if (holding && phase === 'sent' && request.url.endsWith('/session')) await new Promise<void>((go) => (hold = go))
      },
    })
    server.advanceTo('access-expired')
    holding = true
    const late = auth.load()
    await pass(10)
    holding = false
    const renew = { method: 'POST', headers: { 'X-CSRFToken': server.cookie.split('=')[1]! } }
    for (let i = 0; i < 2; i++) expect((await server.fetch('/auth/token/refresh', renew)).status).toBe(200)
    const seen = statuses(auth)
    hold()
    expect((await after(100, late)).status).toBe('authenticated')
    expect(seen).not.toContain('expired')
    expect(server.requests.slice(-2).map((r) => [r.path, r.session])).toEqual([['/auth/session', 's1.0'], ['/auth/session', 's1.2']])
  })

  test('messages of another shape change nothing, and none of ours says who or holds a token', async () => {
    const posted: unknown[] = []
    const { w, tabs, server } = await signedIn(2)
    const asked = server.requests.length
    for (const junk of [null, undefined, 1, 'signed-out', [], {}, { kind: 'toString' }, { kind: 'refreshed' }, { kind: ['signed-out', 'x'] },
      { kind: 'refreshed', access: 'x', full: 1, expires: 1 }, { kind: 'refreshed', access: Infinity, full: 1, expires: NaN }]) w.post(junk)
    await pass(100)
    expect(server.requests).toHaveLength(asked)
    expect(tabs.map(({ auth }) => auth.getSnapshot().status)).toEqual(['authenticated', 'authenticated'])

    const Real = tabs[0]!.host.BroadcastChannel!
    const listener = new Real('tokenjar:' + origin + '/auth')
    listener.onmessage = ({ data }) => posted.push(data)
    server.advanceTo('access-expired')
    await after(100, tabs[0]!.auth.fetch('/api/x'))
    await after(100, tabs[0]!.auth.logout())
    await after(100, tabs[0]!.auth.login(credentials))
    expect(posted.map((m) => (m as { kind: string }).kind)).toEqual(['active', 'refreshed', 'signed-out', 'changed'])
    expect(JSON.stringify(posted)).not.toMatch(/ada|u1|csrf|access\.s|refresh\.s/)
  })
})

describe('the back/forward cache', () => {
  test('a page that comes back after sign-out shows nobody before the server has said so', async () => {
    const { tab, w, tabs } = await signedIn(2, { channels: false })
    tab.freeze()
    await after(100, tabs[1]!.auth.logout())
    tab.thaw()
    const seen = statuses(tab.auth)
    tab.fire('pageshow', true)
    expect(tab.auth.getSnapshot()).toMatchObject({ status: 'unknown', user: null })
    await pass(100)
    expect(seen).toEqual(['authenticated', 'unknown', 'anonymous'])
    expect(w.seen('/auth/session').length).toBeGreaterThan(1)
  })

  test('a page that comes back to the same session stays as it is, and asks', async () => {
    const { tab, w } = await signedIn()
    const seen = statuses(tab.auth)
    tab.fire('pageshow', true)
    await pass(100)
    expect(seen).toEqual(['authenticated'])
    expect(w.seen('/auth/session')).toHaveLength(2)
  })

  test('a page that comes back to another user never shows the first one again', async () => {
    const { tab, tabs } = await signedIn(2, { channels: false, users: [{ username: 'ada' }, { username: 'bob' }] })
    await after(100, tabs[1]!.auth.login({ username: 'bob', password: 'secret' }))
    const seen: (string | undefined)[] = []
    tab.auth.subscribe(() => seen.push(tab.auth.getSnapshot().user?.username))
    tab.fire('pageshow', true)
    await pass(100)
    expect(seen).toEqual([undefined, 'bob'])
  })
})

describe('places', () => {
  test('on a server nothing is shared, nothing runs, and nothing is asked without being told', async () => {
    const channel = globalThis.BroadcastChannel
    let channels = 0
    globalThis.BroadcastChannel = class extends channel {
      constructor(name: string) {
        super(name)
        channels++
      }
    }
    try {
      const w = world({ origin: 'http://localhost' })
      const auth = createAuth({ baseUrl: 'http://localhost', fetch: w.server.fetch })
      auth.subscribe(() => {})
      await auth.login(credentials)
      await pass(3_600_000)
      expect(w.server.requests.map((r) => r.path)).toEqual(['/auth/login'])
      expect(channels).toBe(0)
      const other = createAuth({ baseUrl: 'http://localhost', fetch: world({ origin: 'http://localhost' }).server.fetch })
      expect(other.getSnapshot().status).toBe('unknown')
    } finally {
      globalThis.BroadcastChannel = channel
    }
  })

  test('in a worker, without a document and events, it works', async () => {
    const w = world({ transparentRenewal: false })
    w.server.signIn()
    const auth = createAuthIn({ fetch: w.server.fetch, location: { origin, href: origin + '/worker.js' } }, {})
    await auth.load()
    w.server.advanceTo('access-expired')
    expect((await after(100, auth.fetch('/api/x', { method: 'POST' }))).status).toBe(200)
    expect(w.seen('/auth/csrf')).toHaveLength(1)
  })

  test('CL-07 nothing is stored, nothing global is changed, and no console is written to', async () => {
    const before = Object.getOwnPropertyNames(globalThis)
    const original = [globalThis.fetch, globalThis.Request]
    const { auth, server } = await signedIn()
    server.advanceTo('access-expired')
    await after(100, auth.fetch('/api/x'))
    await after(100, auth.logout())
    expect(Object.getOwnPropertyNames(globalThis)).toEqual(before)
    expect([globalThis.fetch, globalThis.Request]).toEqual(original)
    expect(JSON.stringify(server.requests)).not.toContain('access.')
  })

  test('close stops timers and listeners', async () => {
    const { tab, w } = await signedIn()
    tab.auth.close()
    tab.fire('visibilitychange')
    await pass(3_600_000)
    expect(w.server.requests).toHaveLength(1)
  })

  test('what was asked when it was closed starts nothing, nor does a listener that comes late', async () => {
    const { w, auth } = await signedIn()
    const late = auth.load()
    auth.close()
    await after(100, late)
    const asked = w.server.requests.length
    await pass(3_600_000)
    expect(w.server.requests).toHaveLength(asked)

    const other = w.open().auth
    other.close()
    other.subscribe(() => {})
    await pass(3_600_000)
    expect(w.server.requests).toHaveLength(asked)
  })

  test('after close everything still answers, with the channel of a real browser', async () => {
    const { w, server } = await signedIn(1, {}, {})
    const { auth } = w.open({}, { BroadcastChannel: BroadcastChannel as unknown as Host['BroadcastChannel'] })
    await auth.load()
    auth.close()
    await pass(15_000)
    expect((await after(100, auth.fetch('/api/x'))).status).toBe(200)
    expect(await after(100, auth.refresh())).toEqual({ outcome: 'refreshed' })
    expect((await after(100, auth.login(credentials))).username).toBe('ada')
    await after(100, auth.logout())
    expect(auth.getSnapshot().status).toBe('anonymous')
    expect(server.signedIn).toBe(null)
  })
})
