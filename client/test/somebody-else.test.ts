import { describe, expect, test } from 'vitest'
import type { AuthError, AuthOptions } from '../src/index.js'
import { after, pass, signedIn, stopTime, type Tab, type WorldOptions } from './world.js'

stopTime()

// Nothing is sent as somebody else than the one the page shows, whatever way the change of user came about.

const users = [{ username: 'ada' }, { username: 'bob' }]
const bob = { username: 'bob', password: 'secret' }
const api = 'https://api.example.com'

/** Tabs of ada's, and who has sent what. */
async function shared(count = 2, options: WorldOptions = {}, authOptions: AuthOptions = {}) {
  const sent: string[] = []
  const page = await signedIn(
    count,
    {
      users,
      api: (request, user) => {
        sent.push(`${request.method} ${new URL(request.url).pathname} as ${user.username}`)
        return Response.json({ of: user.username })
      },
      ...options,
    },
    authOptions,
  )
  return { ...page, sent }
}

/** What a request came to: its status or the code of the error. */
const came = (tab: Tab, url: string, init?: RequestInit & { park?: boolean }) =>
  tab.auth.fetch(url, init).then(
    (answer) => answer.status,
    (error: AuthError) => error.code ?? error,
  )

const draft = { method: 'PUT', body: 'of ada' }

describe.each([
  ['with channels', { channels: true }],
  ['without channels', { channels: false }],
] as const)('after somebody else has signed in in another tab, %s', (_, browser) => {
  test.each(['GET', 'PUT'])('a hidden tab sends no %s as them, and shows who it is', async (method) => {
    const { tabs, sent } = await shared(2, browser)
    tabs[0]!.visible = false
    await after(60_000, tabs[1]!.auth.login(bob))
    expect(await after(100, came(tabs[0]!, '/api/draft', { method }))).toBe('session_ended')
    expect(sent).toEqual([])
    expect(tabs[0]!.auth.getSnapshot()).toMatchObject({ status: 'authenticated', user: { username: 'bob' } })
    expect(await after(100, came(tabs[0]!, '/api/draft', { method }))).toBe(200)
    expect(sent).toEqual([`${method} /api/draft as bob`])
  })

  test('a click in the moment the tab comes back does nothing as them', async () => {
    const { tabs, sent } = await shared(2, { ...browser, network: () => new Promise((go) => setTimeout(go, 50)) })
    tabs[0]!.visible = false
    await after(60_000, tabs[1]!.auth.login(bob))
    tabs[0]!.visible = true
    expect(await after(1000, came(tabs[0]!, '/api/draft', draft))).toBe('session_ended')
    expect(sent).toEqual([])
  })

  test('a visible tab sends nothing before its own question is answered', async () => {
    let slow = false
    const { tabs, sent } = await shared(2, {
      ...browser,
      network: (request, phase) => {
        if (slow && phase === 'answered' && request.url.endsWith('/session')) return new Promise((go) => setTimeout(go, 500))
      },
    })
    slow = true
    await after(50, tabs[1]!.auth.login(bob))
    const saved = came(tabs[0]!, '/api/draft', draft)
    await pass(100)
    expect(sent).toEqual([])
    expect(await after(2000, saved)).toBe('session_ended')
    expect(sent).toEqual([])
  })

  test('who asks, and is offline or not answered, sends nothing', async () => {
    const { w, tabs, sent } = await shared(2, browser)
    tabs[0]!.visible = false
    await after(60_000, tabs[1]!.auth.login(bob))
    w.server.refuse('store_unavailable', { path: '/session', times: 1 })
    expect(await after(100, came(tabs[0]!, '/api/draft', draft))).toBe('store_unavailable')
    expect(sent).toEqual([])
  })

  test('the same user in a new session is nobody else', async () => {
    const { tabs, sent } = await shared(2, browser)
    tabs[0]!.visible = false
    await after(60_000, tabs[1]!.auth.login({ username: 'ada', password: 'secret' }))
    expect(await after(100, came(tabs[0]!, '/api/draft', draft))).toBe(200)
    expect(sent).toEqual(['PUT /api/draft as ada'])
  })
})

describe('a page that cannot read the cookie', () => {
  const apart = { origin: api } as WorldOptions

  test('goes by the message, hidden as it is', async () => {
    const { tabs, sent } = await shared(2, apart, { baseUrl: api })
    await after(100, came(tabs[0]!, '/draft', draft))
    tabs[0]!.visible = false
    await after(60_000, tabs[1]!.auth.login(bob))
    for (const init of [draft, {}]) {
      expect(await after(100, came(tabs[0]!, '/draft', init))).toBe(init === draft ? 'session_ended' : 200)
    }
    expect(sent).toEqual(['PUT /draft as ada', 'GET /draft as bob'])
    expect(tabs[0]!.auth.getSnapshot().user?.username).toBe('bob')
  })

  test('asks after a pause, whoever has told it nothing', async () => {
    const { server, tab, sent } = await shared(1, { ...apart, channels: false }, { baseUrl: api })
    tab.visible = false
    await pass(60_000)
    server.signIn('bob')
    tab.visible = true
    expect(await after(100, came(tab, '/draft'))).toBe('session_ended')
    expect(sent).toEqual([])
  })

  test('is told by its token, which is of one session, before anything is changed', async () => {
    const { w, server, tab, sent } = await shared(1, { ...apart, channels: false }, { baseUrl: api })
    expect(await after(100, came(tab, '/draft', draft))).toBe(200)
    server.signIn('bob')
    expect(await after(100, came(tab, '/draft', draft))).toBe('session_ended')
    expect(sent).toEqual(['PUT /draft as ada'])
    expect(w.seen('/draft').map((r) => r.code)).toEqual(['', 'csrf_failed'])
  })
})

test('a sign-in that overtakes a request on its way is no change in another name', async () => {
  let overtaken = false
  const { server, tab, sent } = await shared(1, { channels: false })
  // The browser takes the cookies when it sends, which is after the page has looked at them.
  const { fetch } = tab.host
  tab.host.fetch = (input, init) => {
    if (String(input).endsWith('/draft') && !overtaken) {
      overtaken = true
      server.signIn('bob')
    }
    return fetch(input, init)
  }
  expect(await after(100, came(tab, '/api/draft', draft))).toBe('session_ended')
  expect(sent).toEqual([])
})

describe('the back/forward cache', () => {
  const letter = { method: 'POST', body: 'of ada', park: true }

  test.each([
    ['readable', {}, {}],
    ['of another origin', { origin: api }, { baseUrl: api }],
  ])('what waits for ada is not sent as bob when the page comes back, the cookie being %s', async (_, options, authOptions) => {
    const { server, tab, sent } = await shared(1, { channels: false, ...options }, authOptions)
    server.endSession()
    const parked = came(tab, '/api/letters', letter)
    await pass(200)
    expect(tab.auth.getSnapshot().status).toBe('expired')
    server.signIn('bob')
    tab.fire('pageshow', true)
    expect(await after(5000, parked)).toBe('session_ended')
    expect(sent).toEqual([])
    expect(tab.auth.getSnapshot().user?.username).toBe('bob')
  })

  test('it goes on when it was ada who signed in', async () => {
    const { server, tab, sent } = await shared(1, { channels: false })
    server.endSession()
    const parked = came(tab, '/api/letters', letter)
    await pass(200)
    server.signIn('ada')
    tab.fire('pageshow', true)
    expect(await after(5000, parked)).toBe(200)
    expect(sent).toEqual(['POST /api/letters as ada'])
  })

  test('it waits on when the page comes back to the same end of the session', async () => {
    const { server, tab, sent } = await shared(1, { channels: false })
    server.endSession()
    const parked = came(tab, '/api/letters', letter)
    await pass(200)
    tab.fire('pageshow', true)
    await pass(60_000)
    expect(tab.auth.getSnapshot().status).toBe('expired')
    await after(100, tab.auth.login({ username: 'ada', password: 'secret' }))
    expect(await after(100, parked)).toBe(200)
    expect(sent).toEqual(['POST /api/letters as ada'])
  })
})

test('cookies of a renewal do not come after those of a sign-in', async () => {
  let slow = false
  const { server, auth } = await shared(1, {
    network: (request, phase) => {
      if (slow && phase === 'answered' && request.url.endsWith('/token/refresh')) return new Promise((go) => setTimeout(go, 3000))
    },
  })
  await pass(20_000)
  slow = true
  const renewed = auth.refresh()
  await pass(10)
  const signed = auth.login(bob)
  await pass(5000)
  expect((await signed).username).toBe('bob')
  expect(await renewed).toEqual({ outcome: 'refreshed' })
  expect(server.signedIn?.username).toBe('bob')
  expect(auth.getSnapshot()).toMatchObject({ status: 'authenticated', user: { username: 'bob' } })
})
