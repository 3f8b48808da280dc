import { beforeEach, describe, expect, test, vi } from 'vitest'
import { openEvents, openSocket } from '../src/index.js'
import { after, origin, pass, signedIn, stopTime, type Tab } from './world.js'

stopTime()

class FakeStream extends EventTarget {
  static all: FakeStream[] = []
  readonly CLOSED = 2
  readyState = 0
  readonly url: string
  readonly more: unknown
  closed = false
  constructor(url: URL, more: unknown) {
    super()
    this.url = String(url)
    this.more = more
    FakeStream.all.push(this)
  }
  open() {
    this.readyState = 1
    this.dispatchEvent(new Event('open'))
  }
  end(code: number) {
    this.readyState = 2
    this.dispatchEvent(Object.assign(new Event('close'), { code }))
    this.dispatchEvent(new Event('error'))
  }
  close() {
    this.closed = true
  }
}

beforeEach(() => {
  FakeStream.all = []
  vi.stubGlobal('WebSocket', FakeStream)
  vi.stubGlobal('EventSource', FakeStream)
  vi.stubGlobal('location', { origin, href: origin + '/page' })
  return () => vi.unstubAllGlobals()
})

const last = () => FakeStream.all.at(-1)!

describe('a WebSocket', () => {
  test('is opened with a good access token, at the address of the page, as a WebSocket', async () => {
    const { auth, server, w } = await signedIn(1, {}, { proactive: false })
    server.advanceTo('access-expired')
    await after(10, auth.load())
    openSocket(auth, '/api/live', () => {}, { protocols: 'chat' })
    await pass(10)
    expect(w.seen('/auth/token/refresh')).toHaveLength(1)
    expect(last()).toMatchObject({ url: 'wss://app.example.com/api/live', more: 'chat' })
  })

  test('is opened again after 4401, with a new token', async () => {
    const { auth, w } = await signedIn()
    const opened: unknown[] = []
    openSocket(auth, '/api/live', (socket) => opened.push(socket))
    await pass(15_000)
    last().open()
    last().end(4401)
    await pass(2000)
    last().open()
    expect(opened).toEqual(FakeStream.all)
    expect(opened).toHaveLength(2)
    expect(w.seen('/auth/token/refresh')).toHaveLength(1)
  })

  test('is not opened again when the session has ended', async () => {
    const { auth, server } = await signedIn()
    const ended = vi.fn()
    openSocket(auth, '/api/live', () => {}, { onEnded: ended })
    await pass(15_000)
    last().open()
    server.endSession()
    last().end(4401)
    await pass(600_000)
    expect(FakeStream.all).toHaveLength(1)
    expect(ended).toHaveBeenCalledExactlyOnceWith({ outcome: 'session_ended', reason: 'session_ended' })
  })

  test('of a service that is down is tried less and less often, without renewing each time', async () => {
    const { auth, w } = await signedIn(1, {}, { proactive: false })
    openSocket(auth, '/api/live', () => {})
    await pass(15_000)
    const tried = FakeStream.all.length
    for (let i = 0; i < 200; i++) {
      if (!last().closed && last().readyState === 0) last().end(1006)
      await pass(1000)
    }
    expect(FakeStream.all.length - tried).toBeGreaterThan(4)
    expect(FakeStream.all.length - tried).toBeLessThan(12)
    expect(w.seen('/auth/token/refresh').length).toBeLessThanOrEqual(1)
  })

  test('is closed for good by its signal, also while it waits', async () => {
    const { auth } = await signedIn()
    const abort = new AbortController()
    openSocket(auth, '/api/live', () => {}, { signal: abort.signal })
    await pass(10)
    last().end(1006)
    abort.abort()
    await pass(600_000)
    expect(FakeStream.all).toHaveLength(1)
    expect(last().closed).toBe(true)
  })

  test('while the server does not answer it waits, and nobody is signed out', async () => {
    const { auth, w, tab } = await signedIn()
    openSocket(auth, '/api/live', () => {})
    await pass(15_000)
    last().open()
    w.online = false
    last().end(4401)
    await pass(60_000)
    expect(FakeStream.all).toHaveLength(1)
    w.online = true
    tab.fire('online')
    await pass(120_000)
    expect(FakeStream.all).toHaveLength(2)
    expect(auth.getSnapshot().status).toBe('authenticated')
  })
})

describe('a stream of one user', () => {
  test('that ends is not opened again for the next one, in a tab that nobody sees', async () => {
    const { tabs, server } = await signedIn(2, { channels: false, users: [{ username: 'ada' }, { username: 'bob' }] })
    const [{ auth }, other] = tabs as [Tab, Tab]
    tabs[0]!.visible = false
    const opened = vi.fn()
    const ended = vi.fn()
    openSocket(auth, '/api/live', opened, { onEnded: ended })
    await pass(15_000)
    last().open()
    await after(100, other.auth.login({ username: 'bob', password: 'secret' }))
    expect(server.signedIn?.username).toBe('bob')
    last().end(4401)
    await pass(600_000)
    expect(FakeStream.all).toHaveLength(1)
    expect(opened).toHaveBeenCalledOnce()
    expect(ended).toHaveBeenCalledExactlyOnceWith({ outcome: 'session_ended', reason: 'session_ended' })
  })

  test.each<[string, (tab: Tab) => Promise<unknown>]>([
    ['another user signs in', ({ auth }) => auth.login({ username: 'bob', password: 'secret' })],
    ['the user signs out', ({ auth }) => auth.logout()],
  ])('is closed at once when %s in another tab', async (_, leave) => {
    const { tabs } = await signedIn(2, { users: [{ username: 'ada' }, { username: 'bob' }] })
    const ended = vi.fn()
    openEvents(tabs[0]!.auth, '/api/events', () => {}, { onEnded: ended })
    await pass(10)
    last().open()
    await after(100, leave(tabs[1]!))
    expect(last().closed).toBe(true)
    expect(ended).toHaveBeenCalledOnce()
    await pass(600_000)
    expect(FakeStream.all).toHaveLength(1)
  })

  test('goes on when the same user signs in again', async () => {
    const { tabs } = await signedIn(2)
    openSocket(tabs[0]!.auth, '/api/live', () => {})
    await pass(10)
    last().open()
    await after(100, tabs[1]!.auth.login({ username: 'ada', password: 'secret' }))
    expect(last().closed).toBe(false)
    last().end(4401)
    await pass(5000)
    expect(FakeStream.all).toHaveLength(2)
  })
})

test.each([openSocket, openEvents])('%o says at once that an address is none', async (open) => {
  const { auth } = await signedIn()
  expect(() => open(auth, 'https://[', () => {})).toThrow(TypeError)
  await pass(1000)
  expect(FakeStream.all).toHaveLength(0)
})

describe('an event stream', () => {
  test('that ends with its session is opened no more, though the token would still be good', async () => {
    const { auth, server } = await signedIn(1, { accessLife: 900 }, { proactive: false })
    const ended = vi.fn()
    openEvents(auth, '/api/events', () => {}, { onEnded: ended })
    await pass(30_000)
    last().open()
    server.endSession()
    last().end(0)
    for (let i = 0; i < 60; i++) {
      await pass(1000)
      if (last().readyState === 0) last().end(0)
    }
    expect(ended).toHaveBeenCalledOnce()
    expect(FakeStream.all.length).toBeLessThan(4)
    expect(auth.getSnapshot().status).toBe('expired')
  })

  test('whose session ends while the token is too young to be renewed is opened no more either', async () => {
    const { auth, server } = await signedIn(1, { accessLife: 900 }, { proactive: false })
    const ended = vi.fn()
    openEvents(auth, '/api/events', () => {}, { onEnded: ended })
    await pass(10)
    last().open()
    server.endSession()
    last().end(0)
    for (let i = 0; i < 60; i++) {
      await pass(1000)
      if (last().readyState === 0) last().end(0)
    }
    expect(ended).toHaveBeenCalledOnce()
    expect(FakeStream.all.length).toBeLessThan(5)
  })

  test('goes on after a 401, and what the browser opens again by itself is left to it', async () => {
    const { auth } = await signedIn()
    const opened: unknown[] = []
    const stream = openEvents(auth, '/api/events', (source) => opened.push(source))
    await pass(10)
    last().open()
    last().open()
    last().readyState = 0
    last().dispatchEvent(new Event('error'))
    await pass(5000)
    expect(FakeStream.all).toHaveLength(1)
    last().end(0)
    await pass(5000)
    last().open()
    expect(opened).toEqual(FakeStream.all)
    expect(opened).toHaveLength(2)
    stream.close()
    expect(last().closed).toBe(true)
    expect(last().more).toEqual({ withCredentials: false })
  })
})
