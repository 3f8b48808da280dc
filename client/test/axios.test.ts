import axios, { AxiosError, type InternalAxiosRequestConfig, type ResponseType } from 'axios'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Auth } from '../src/index.js'
import { withAuth } from '../src/axios.js'
import { after, origin, pass, signedIn, stopTime } from './world.js'

stopTime()

/** An axios that sends with fetch, as in a page, through the tab's network. */
async function inPage(...args: Parameters<typeof signedIn>) {
  const page = await signedIn(...args)
  const instance = axios.create({ baseURL: origin + '/api', adapter: 'fetch', env: { fetch: page.tab.host.fetch } } as object)
  return { ...page, api: withAuth(instance, page.auth) }
}

/** Hands bodies over as axios does in Node: as a Buffer. */
const inNode = (fetch: typeof globalThis.fetch) => async (config: InternalAxiosRequestConfig) => {
  const answer = await fetch(config.baseURL! + config.url!, { method: config.method!.toUpperCase() })
  const response = { data: Buffer.from(await answer.arrayBuffer()), status: answer.status, statusText: '', headers: Object.fromEntries(answer.headers), config }
  if (!answer.ok) throw new AxiosError('refused', undefined, config, undefined, response)
  return response
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

  test('a redirect to another origin does not take the token along, in Node', async () => {
    const seen: IncomingHttpHeaders[] = []
    const listen = async (answer: RequestListener) => {
      const server = createServer(answer).listen(0, '127.0.0.1')
      await once(server, 'listening')
      onTestFinished(() => void server.close())
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    }
    const elsewhere = await listen((request, response) => void (seen.push(request.headers), response.end('{}')))
    const home = await listen((request, response) => {
      if (request.url === '/here') seen.push(request.headers)
      response.writeHead(request.url === '/here' ? 200 : 307, { Location: request.url === '/away' ? elsewhere + '/x' : '/here' }).end('{}')
    })
    const told: string[] = []
    const guard = ((_: unknown, attempt: (headers: object) => unknown) => attempt({ 'X-CSRFToken': 'secret' })) as Auth['guard']
    const api = withAuth(axios.create({ baseURL: home, adapter: 'http', beforeRedirect: (options) => void told.push(options['href']) }), { guard })
    await api.post('/away', {})
    await api.post('/moved', {})
    expect(seen.map((headers) => headers['x-csrftoken'])).toEqual([undefined, 'secret'])
    expect(told).toEqual([elsewhere + '/x', home + '/here'])
  })

  test.each([
    ['of the page', origin, 'same-origin', 'follow'],
    ['of another page', 'https://other.example', 'cors', 'error'],
  ])('with fetch a redirect of the origin %s cannot take it along', async (_, here, mode, redirect) => {
    vi.stubGlobal('location', { origin: here, href: here + '/' })
    onTestFinished(() => void vi.unstubAllGlobals())
    const sent: Request[] = []
    const { auth } = await signedIn()
    const fetch = async (input: Request, init: RequestInit) => (sent.push(new Request(input, init)), Response.json({}))
    const api = withAuth(axios.create({ adapter: 'fetch', env: { fetch } } as object), auth)
    await after(100, api.post(origin + '/api/x', {}))
    expect(sent.map((r) => [r.headers.get('X-CSRFToken') !== null, r.mode, r.redirect])).toEqual([[true, mode, redirect]])
  })

  test('a relative address is the page\'s, as axios sends it, and not that of the server elsewhere', async () => {
    vi.stubGlobal('document', { baseURI: origin + '/page' })
    onTestFinished(() => void vi.unstubAllGlobals())
    const api = 'https://api.example.com'
    const { auth } = await signedIn(1, { origin: api }, { baseUrl: api })
    await after(100, auth.fetch('/x', { method: 'POST' })) // it has the token
    const sent: InternalAxiosRequestConfig[] = []
    const adapter = async (config: InternalAxiosRequestConfig) => (sent.push(config), { data: '{}', status: 200, statusText: '', headers: {}, config })
    await after(100, withAuth(axios.create({ adapter }), auth).post('/orders', {}))
    await after(100, withAuth(axios.create({ adapter, baseURL: api }), auth).post('/orders', {}))
    expect(sent.map((c) => [c.headers.has('X-CSRFToken'), c.withCredentials])).toEqual([[false, undefined], [true, true]])
  })

  test.each<[ResponseType, string]>([
    ['json', 'fetch'], ['text', 'fetch'], ['arraybuffer', 'fetch'], ['blob', 'fetch'], ['stream', 'fetch'], ['arraybuffer', 'Node'],
  ])('a 401 that is read as %s by %s is renewed', async (responseType, how) => {
    const page = await signedIn()
    const { api, server } = how === 'fetch' ? await inPage() : { api: withAuth(axios.create({ baseURL: origin + '/api', adapter: inNode(page.tab.host.fetch) }), page.auth), ...page }
    server.advanceTo('access-expired')
    expect((await after(100, api.get('/x', { responseType }))).status).toBe(200)
  })

  test('a stream that is handed on can still be read', async () => {
    const { api, server } = await inPage()
    server.endSession()
    const error: AxiosError<ReadableStream> = await after(100, api.get('/x', { responseType: 'stream' }).catch((e) => e))
    expect(await new Response(error.response!.data).json()).toMatchObject({ code: 'token_revoked' })
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
