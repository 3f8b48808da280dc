import axios, { AxiosError } from 'axios'
import { describe, expect, test } from 'vitest'
import { withAuth } from '../src/axios.js'
import { after, origin, pass, signedIn, stopTime } from './world.js'

stopTime()

/** An axios that sends with fetch, as in a page, through the tab's network. */
async function inPage(...args: Parameters<typeof signedIn>) {
  const page = await signedIn(...args)
  const instance = axios.create({ baseURL: origin + '/api', adapter: 'fetch', env: { fetch: page.tab.host.fetch } } as object)
  return { ...page, api: withAuth(instance, page.auth) }
}

describe('withAuth', () => {
  test('a request that meets an expired token is renewed and sent once more', async () => {
    const { api, server, w } = await inPage()
    server.advanceTo('access-expired')
    const answers = await after(100, Promise.all([api.get('/a'), api.get('/b', { params: { q: 1 } }), api.post('/c', { x: 1 })]))
    expect(answers.map((a) => [a.status, a.data.path])).toEqual([[200, '/api/a'], [200, '/api/b'], [200, '/api/c']])
    expect(w.seen('/auth/token/refresh')).toHaveLength(1)
  })

  test('what changes something carries the CSRF token and the body, again when it is sent again', async () => {
    const got: unknown[] = []
    const { api, server } = await inPage(1, { api: async (request) => (got.push(await request.json()), Response.json({ ok: true })) })
    server.advanceTo('access-expired')
    expect((await after(100, api.put('/x', { letter: 'a' }))).data).toEqual({ ok: true })
    expect(got).toEqual([{ letter: 'a' }])
  })

  test('interceptors see a request and its answer once', async () => {
    const { api, server } = await inPage()
    let requests = 0
    let answers = 0
    api.interceptors.request.use((config) => (requests++, config))
    api.interceptors.response.use((answer) => (answers++, answer))
    server.advanceTo('access-expired')
    await after(100, api.get('/x'))
    expect([requests, answers]).toEqual([1, 1])
  })

  test('an upstream 401 is the error axios makes of it', async () => {
    const { api, w } = await inPage(1, { api: () => Response.json({ action: 'refresh' }, { status: 401 }) })
    const error = await after(100, api.get('/x').catch((e: unknown) => e))
    expect(error).toBeInstanceOf(AxiosError)
    expect(error).toMatchObject({ response: { status: 401, data: { action: 'refresh' } } })
    expect(w.seen('/auth/token/refresh')).toHaveLength(0)
  })

  test('a session that has ended is the error axios makes of it, and the page knows', async () => {
    const { api, server, auth } = await inPage()
    server.endSession()
    await expect(after(100, api.get('/x'))).rejects.toMatchObject({ response: { status: 401, data: { code: 'token_revoked' } } })
    expect(auth.getSnapshot().status).toBe('expired')
  })

  test('a request waits for sign-in where it is to', async () => {
    const { api, server, auth } = await inPage()
    server.endSession()
    const parked = api.post('/x', { x: 1 }, { park: true })
    await pass(1000)
    await after(100, auth.login({ username: 'ada', password: 'secret' }))
    expect((await after(100, parked)).status).toBe(200)
  })

  test('another origin gets neither token nor cookies', async () => {
    const sent: Request[] = []
    const { auth } = await signedIn()
    const api = withAuth(
      axios.create({ adapter: 'fetch', env: { fetch: async (input: Request, init: RequestInit) => (sent.push(new Request(input, init)), Response.json({})) } } as object),
      auth,
    )
    await api.post('https://evil.example/x', { x: 1 })
    expect(sent[0]!.headers.get('X-CSRFToken')).toBe(null)
    expect(sent[0]!.credentials).not.toBe('include')
  })

  test('one that is cancelled is cancelled as axios does it, also while it waits', async () => {
    const { api, server } = await inPage()
    server.endSession()
    const abort = new AbortController()
    const parked = api.get('/x', { park: true, signal: abort.signal }).catch((e: unknown) => e)
    await pass(1000)
    abort.abort()
    expect(axios.isCancel(await parked)).toBe(true)
  })
})
