import { describe, expect, test } from 'vitest'
import { onExpiring } from '../src/index.js'
import { after, pass, signedIn, stopTime } from './world.js'

stopTime()

const ada = { username: 'ada', password: 'secret' }
const bob = { username: 'bob', password: 'secret' }
const two = { users: [{ username: 'ada' }, { username: 'bob' }] }

describe('signing in again in place', () => {
  test('requests wait while the user signs in again, and nothing typed is lost', async () => {
    const got: string[] = []
    const { server, auth } = await signedIn(1, { api: async (request) => (got.push(await request.text()), Response.json({})) }, { park: true })
    server.endSession()
    const requests = [1, 2, 3].map((n) => auth.fetch('/api/letters', { method: 'POST', body: 'letter ' + n }))
    await pass(1000)
    expect(auth.getSnapshot()).toMatchObject({ status: 'expired', user: { username: 'ada' }, reason: 'token_revoked' })
    await pass(600_000)
    expect(got).toEqual([])
    await after(100, auth.login(ada))
    expect((await after(100, Promise.all(requests))).map((a) => a.status)).toEqual([200, 200, 200])
    expect(got.sort()).toEqual(['letter 1', 'letter 2', 'letter 3'])
  })

  test('a request that begins while nobody is signed in waits without being sent', async () => {
    const { w, server, auth } = await signedIn()
    server.endSession()
    await after(100, auth.fetch('/api/first'))
    const parked = auth.fetch('/api/x', { park: true })
    await pass(1000)
    expect(w.seen('/api/x')).toHaveLength(0)
    await after(100, auth.login(ada))
    expect((await after(100, parked)).status).toBe(200)
  })

  test('a request that is not to wait is answered 401', async () => {
    const { server, auth } = await signedIn(1, {}, { park: true })
    server.endSession()
    expect((await after(100, auth.fetch('/api/x', { park: false }))).status).toBe(401)
  })

  test('what no user is behind does not wait, unless it says so', async () => {
    const { w, server, auth } = await signedIn(1, {}, { park: true })
    server.endSession()
    for (let i = 0; i < 20; i++) expect((await after(100, auth.fetch('/api/poll', { passive: true }))).status).toBe(401)
    const polls = w.seen('/api/poll').length
    const parked = auth.fetch('/api/poll', { passive: true, park: true })
    await pass(1000)
    expect(w.seen('/api/poll')).toHaveLength(polls)
    await after(100, auth.login(ada))
    expect((await after(100, parked)).status).toBe(200)
    expect(w.seen('/api/poll')).toHaveLength(polls + 1)
  })

  test('sign-in in another window, such as a pop-up, lets them go on', async () => {
    const { server, tabs } = await signedIn(2)
    server.endSession()
    const parked = tabs[0]!.auth.fetch('/api/x', { park: true })
    await pass(1000)
    await after(100, tabs[1]!.auth.login(ada))
    expect((await after(100, parked)).status).toBe(200)
  })

  test('as another user nothing that waited is sent', async () => {
    const sent: string[] = []
    const { server, auth } = await signedIn(1, { ...two, api: (request, user) => (sent.push(user.username), Response.json({ path: request.url })) })
    server.endSession()
    const parked = auth.fetch('/api/x', { park: true, method: 'POST' })
    await pass(100)
    const refused = expect(parked).rejects.toMatchObject({ name: 'AuthError', code: 'session_ended' })
    await after(100, auth.login(bob))
    await refused
    expect(sent).toEqual([])
  })

  test.each(['logout', 'close'] as const)('%s ends what waits', async (how) => {
    const { server, auth } = await signedIn()
    server.endSession()
    const parked = auth.fetch('/api/x', { park: true })
    await pass(100)
    const refused = expect(parked).rejects.toMatchObject({ code: 'session_ended' })
    await after(100, Promise.resolve(auth[how]()))
    await refused
  })

  test('a request that waits is given up when its signal says so', async () => {
    const { server, auth } = await signedIn()
    server.endSession()
    const abort = new AbortController()
    const parked = auth.fetch('/api/x', { park: true, signal: abort.signal })
    await pass(100)
    const refused = expect(parked).rejects.toThrow('enough')
    abort.abort(new Error('enough'))
    await refused
  })

  test('a session that ends once more while it is resumed is waited for once more', async () => {
    let ends = 3
    const { server, auth } = await signedIn(1, {
      network: (request, phase) => {
        if (phase === 'sent' && request.url.endsWith('/api/x') && ends-- > 0) server.endSession()
      },
    })
    const parked = auth.fetch('/api/x', { park: true })
    for (let i = 0; i < 3; i++) {
      await pass(100)
      expect(auth.getSnapshot().status).toBe('expired')
      if (i < 2) await after(100, auth.login(ada))
    }
    await after(100, auth.login(ada))
    expect((await after(100, parked)).status).toBe(200)
  })
})

describe('the idle warning', () => {
  test('comes a minute before the end, once, and extend() moves the end', async () => {
    const warned: number[] = []
    const { auth } = await signedIn(1, { sessionLife: 900 })
    const end = auth.getSnapshot().expiresAt!
    const stop = onExpiring(auth, (expiresAt) => warned.push(expiresAt - Date.now()))
    await pass(835_000)
    expect(warned).toEqual([])
    await pass(10_000)
    expect(warned).toHaveLength(1)
    expect(warned[0]).toBeGreaterThan(50_000)
    await pass(10_000)
    expect(warned).toHaveLength(1)
    expect(await after(100, auth.extend())).toEqual({ outcome: 'refreshed' })
    expect(auth.getSnapshot().expiresAt).toBeGreaterThan(end + 800_000)
    await pass(880_000)
    expect(warned).toHaveLength(2)
    stop()
  })

  test('does not come after it was stopped, also while the server is asked', async () => {
    const warned: number[] = []
    let slow = false
    const { w, auth } = await signedIn(
      1,
      { sessionLife: 120, network: () => (slow ? new Promise((go) => setTimeout(go, 500)) : undefined) },
      { proactive: false },
    )
    const stop = onExpiring(auth, (expiresAt) => warned.push(expiresAt))
    slow = true
    await pass(60_100)
    expect(w.seen('/auth/session')).toHaveLength(1) // the second is on its way
    stop()
    await pass(60_000)
    expect(warned).toEqual([])
  })

  test('polls that are passive do not keep a session from going idle', async () => {
    const { auth } = await signedIn(1, { sessionLife: 900 })
    for (let i = 0; i < 95; i++) await after(10_000, auth.fetch('/api/poll', { passive: true }))
    expect(auth.getSnapshot()).toMatchObject({ status: 'expired' })
  })

  test('requests of the user do', async () => {
    const { auth } = await signedIn(1, { sessionLife: 900 })
    for (let i = 0; i < 200; i++) await after(10_000, auth.fetch('/api/work'))
    expect(auth.getSnapshot()).toMatchObject({ status: 'authenticated' })
  })

  test('does not come when the server has moved the end on the way of a request', async () => {
    const warned: number[] = []
    const { auth } = await signedIn(1, { sessionLife: 900, transparentRenewal: true }, { proactive: false })
    onExpiring(auth, (expiresAt) => warned.push(expiresAt))
    await pass(700_000)
    await after(100, auth.fetch('/api/work'))
    await pass(190_000)
    expect(warned).toEqual([])
  })
})
