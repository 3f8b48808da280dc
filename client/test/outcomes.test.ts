import { describe, expect, test } from 'vitest'
import type { AuthError } from '../src/index.js'
import { after, pass, signedIn, stopTime } from './world.js'

stopTime()

const refreshPath = '/auth/token/refresh'

describe('what a refresh may be answered', () => {
  const session = { outcome: 'session_ended' }
  const later = { outcome: 'try_later' }

  /** Answers refreshes with something else than the server would. */
  const answering = (answer: () => Response | Promise<Response>) => (real: typeof fetch) =>
    (async (input, init) => (String(input).endsWith(refreshPath) ? answer() : real(input, init))) as typeof fetch

  const rows: [name: string, answer: () => Response | Promise<Response>, code: string][] = [
    ['401 of somebody else', () => new Response('no', { status: 401 }), 'network'],
    ['403 of somebody else', () => new Response('<h1>Forbidden</h1>', { status: 403 }), 'network'],
    ['409', () => problem(409, 'conflict'), 'conflict'],
    ['429', () => problem(429, 'rate_limited', '7'), 'rate_limited'],
    ['500 in HTML', () => new Response('<h1>Oops</h1>', { status: 500 }), 'network'],
    ['502 of a proxy, empty', () => new Response('', { status: 502 }), 'network'],
    ['503', () => problem(503, 'store_unavailable', '3'), 'store_unavailable'],
    ['503 with the action login', () => problem(503, 'overloaded', '', 'retry'), 'overloaded'],
    ['200 in HTML', () => new Response('<h1>Welcome to the hotel</h1>'), 'network'],
    ['200 with nothing in it', () => new Response(''), 'network'],
    ['200 with other JSON', () => Response.json({ ok: true }), 'network'],
    ['a network error', () => Promise.reject(new TypeError('Failed to fetch')), 'network'],
    ['no answer at all', () => new Promise(() => {}), 'network'],
    ['403 because of the origin', () => problem(403, 'origin_not_allowed', '', 'fix_config'), 'origin_not_allowed'],
  ]
  test.each(rows)('CL-03 %s keeps everybody signed in and is tried again later', async (_, answer, code) => {
    const { server, w, tab } = await signedIn()
    tab.kill()
    let asked = 0
    const send = answering(() => (asked++, answer()))(server.fetch)
    const { auth } = w.open({ fetch: timed(send) })
    await after(100, auth.load())
    server.advanceTo('access-expired')
    const error: AuthError = await after(30_000, auth.fetch('/api/x').then(() => Promise.reject(new Error('it was answered')), (e) => e))
    expect(error).toMatchObject({ name: 'AuthError', code })
    expect(error.problem?.code ?? 'network', 'what the server said goes with it').toBe(code)
    expect(error.retryAfter).toBeGreaterThan(0)
    expect(auth.getSnapshot().status).toBe('authenticated')
    // Once more in half an hour is no storm: the waits double up to a minute.
    asked = 0
    for (let i = 0; i < 60; i++) await after(30_000, auth.fetch('/api/x').catch(() => {}))
    expect(asked).toBeGreaterThan(10)
    expect(asked).toBeLessThan(90)
    expect(auth.getSnapshot().status).toBe('authenticated')
  })

  test('Retry-After is kept to', async () => {
    const { server, w, auth } = await signedIn()
    await pass(15_000)
    server.advanceTo('access-expired')
    server.refuse('store_unavailable', { path: '/token/refresh', retryAfter: 40 })
    await after(100, auth.fetch('/api/x').catch(() => {}))
    for (let i = 0; i < 7; i++) expect(await after(5000, auth.refresh())).toMatchObject({ ...later, code: 'store_unavailable' })
    await pass(20_000)
    expect((await after(100, auth.fetch('/api/x'))).status).toBe(200)
    expect(w.seen(refreshPath).map((r) => r.status)).toEqual([503, 200])
  })

  test('CL-03 a Retry-After of a day is not believed for longer than minutes', async () => {
    const { server, w, auth } = await signedIn()
    await pass(15_000)
    server.advanceTo('access-expired')
    server.refuse('store_unavailable', { path: '/token/refresh', retryAfter: 86_400 })
    expect(await after(100, auth.refresh())).toMatchObject({ ...later, code: 'store_unavailable' })
    await pass(400_000)
    expect((await after(100, auth.fetch('/api/x'))).status).toBe(200)
    expect(w.seen(refreshPath).map((r) => r.status)).toEqual([503, 200])
  })

  test('extend() asks at once, whatever has failed before: it is the user who waits', async () => {
    const { server, auth } = await signedIn()
    await pass(15_000)
    server.refuse('store_unavailable', { path: '/token/refresh', retryAfter: 40 })
    expect(await after(100, auth.refresh())).toMatchObject(later)
    expect(await after(100, auth.refresh())).toMatchObject(later)
    expect(await after(100, auth.extend())).toEqual({ outcome: 'refreshed' })
  })

  test.each(['session_ended', 'session_reused', 'refresh_missing'] as const)('CL-03 401 %s ends the session, and says why', async (code) => {
    const { server, auth } = await signedIn()
    server.advanceTo('access-expired')
    server.endSession(code)
    expect((await after(100, auth.fetch('/api/x'))).status).toBe(401)
    expect(auth.getSnapshot()).toMatchObject({ status: 'expired', reason: code })
    expect(await after(100, auth.refresh())).toEqual({ ...session, reason: code })
  })

  test('a lost answer is asked for again at once, and nobody notices', async () => {
    let lost = 0
    const { server, w, auth } = await signedIn(1, {
      network: (request, phase) => {
        if (phase === 'answered' && request.url.endsWith(refreshPath) && lost++ === 0) throw new Error('lost')
      },
    })
    server.advanceTo('access-expired')
    expect((await after(100, auth.fetch('/api/x'))).status).toBe(200)
    expect(w.seen(refreshPath).map((r) => [r.status, r.session])).toEqual([[200, 's1.0'], [200, 's1.0']])
  })

  test('a request that is offline keeps the session, and throws what fetch throws', async () => {
    const { w, auth } = await signedIn()
    w.online = false
    await expect(auth.fetch('/api/x')).rejects.toThrow(TypeError)
    expect(await after(100, auth.load().catch((e: AuthError) => e.code))).toBe('network')
    expect(auth.getSnapshot().status).toBe('authenticated')
  })
})

describe('what a 401 means', () => {
  test('a 401 of the service behind is given to the caller, and nothing is renewed', async () => {
    const { w, auth } = await signedIn(1, { api: () => Response.json({ action: 'refresh', code: 'token_expired' }, { status: 401 }) })
    const answer = await after(100, auth.fetch('/api/x'))
    expect([answer.status, await answer.json()]).toEqual([401, { action: 'refresh', code: 'token_expired' }])
    expect(w.server.requests.map((r) => r.path)).toEqual(['/auth/session', '/api/x'])
  })

  test('CL-05 a 401 of sign-in, refresh or sign-out starts nothing', async () => {
    const { w, server, auth } = await signedIn()
    await expect(after(100, auth.login({ username: 'ada', password: 'wrong' }))).rejects.toMatchObject({ code: 'invalid_credentials' })
    expect(w.seen(refreshPath)).toHaveLength(0)
    expect(auth.getSnapshot().status).toBe('authenticated')
    server.endSession()
    server.refuse('token_expired', { path: '/token/refresh', times: 100 })
    await pass(15_000)
    await after(100, auth.refresh())
    expect(w.seen(refreshPath).length).toBeLessThanOrEqual(1)
    server.refuse('session_ended', { path: '/logout' })
    await expect(after(100, auth.logout())).rejects.toMatchObject({ code: 'session_ended' })
  })

  test('a sign-in that is too old for one request does not end the session', async () => {
    const { w, server, auth } = await signedIn()
    server.refuse('step_up_required', { path: '/api/pay' })
    expect((await after(100, auth.fetch('/api/pay', { method: 'POST' }))).status).toBe(401)
    expect(auth.getSnapshot().status).toBe('authenticated')
    expect(w.seen('/auth/session')).toHaveLength(1)
  })

  test('a 401 about a session that another tab has replaced signs nobody out', async () => {
    const { w, tabs, server } = await signedIn(2, { channels: false, network: holdAnswer('/api/old') })
    const old = tabs[0]!.auth.fetch('/api/old')
    await after(10, tabs[1]!.auth.login({ username: 'ada', password: 'secret' }))
    release()
    expect((await after(100, old)).status).toBe(200)
    expect(tabs[0]!.auth.getSnapshot().status).toBe('authenticated')
    expect(w.seen('/api/old').map((r) => r.status)).toEqual([401, 200])
    expect(server.signedIn?.username).toBe('ada')
  })

  test('a signed-out page does not ask anew for each 401', async () => {
    const { w, auth } = await signedIn()
    await after(100, auth.logout())
    for (let i = 0; i < 5; i++) expect((await auth.fetch('/api/x')).status).toBe(401)
    expect(w.server.requests.slice(-5).map((r) => r.path)).toEqual(Array(5).fill('/api/x'))
  })
})

describe('bodies', () => {
  test.each<[string, () => BodyInit]>([
    ['a string', () => 'x=1'],
    ['a form', () => (() => { const form = new FormData(); form.set('x', '1'); return form })()],
    ['parameters', () => new URLSearchParams({ x: '1' })],
    ['bytes', () => new TextEncoder().encode('x=1')],
    ['a blob', () => new Blob(['x=1'])],
  ])('%s is sent again', async (_, body) => {
    const got: string[] = []
    const { server, auth } = await signedIn(1, { api: async (request) => (got.push(await request.text()), Response.json({})) })
    server.advanceTo('access-expired')
    expect((await after(100, auth.fetch('/api/x', { method: 'POST', body: body() }))).status).toBe(200)
    expect(got).toHaveLength(1)
    expect(got[0]).toContain('1')
  })

  test('a Request with a body is sent again', async () => {
    const { server, auth } = await signedIn(1, { api: async (request) => new Response(await request.text()) })
    server.advanceTo('access-expired')
    const answer = await after(100, auth.fetch(new Request('https://app.example.com/api/x', { method: 'PUT', body: 'hello' })))
    expect([answer.status, await answer.text()]).toEqual([200, 'hello'])
  })

  test('a stream that met an expired token is an error, after which the next try works', async () => {
    const { server, w, auth } = await signedIn()
    server.advanceTo('access-expired')
    const stream = () => ({ method: 'POST', body: new Blob(['x']).stream(), duplex: 'half' }) as RequestInit
    await expect(after(100, auth.fetch('/api/x', stream()))).rejects.toMatchObject({ code: 'body_not_replayable' })
    expect(w.seen(refreshPath)).toHaveLength(1)
    expect((await after(100, auth.fetch('/api/x', stream()))).status).toBe(200)
  })
})

let release = () => {}

/** Holds a request back on its way to the server, until it is released. */
function holdAnswer(path: string) {
  let held = false
  return async (request: Request, phase: string) => {
    if (phase !== 'sent' || held || !request.url.endsWith(path)) return
    held = true
    await new Promise<void>((go) => (release = go))
  }
}

/** A fetch that ends with its signal, even when what it calls does not. */
function timed(send: typeof fetch): typeof fetch {
  return (input, init) =>
    Promise.race([
      send(input, init),
      new Promise<never>((_, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal!.reason))),
    ])
}

function problem(status: number, code: string, retryAfter = '', action = 'retry') {
  const headers: Record<string, string> = { 'X-Tokenjar-Problem': code }
  if (retryAfter) headers['Retry-After'] = retryAfter
  return Response.json({ code, action, status, title: code, detail: code, type: '', request_id: 'R' }, { status, headers })
}
