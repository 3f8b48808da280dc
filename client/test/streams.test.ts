import { beforeEach, describe, expect, test, vi } from 'vitest'
import { openEvents, openSocket } from '../src/index.js'
import { after, origin, pass, signedIn, stopTime } from './world.js'

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

describe('an event stream', () => {
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
