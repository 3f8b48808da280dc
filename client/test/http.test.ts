import { describe, expect, test, vi } from 'vitest'
import { createAuthIn } from '../src/create-auth-in.js'
import type { AuthOptions } from '../src/index.js'
import { after, origin, pass, signedIn, stopTime, world } from './world.js'

stopTime()

/** A client whose requests are looked at instead of sent. */
function watched(options: AuthOptions = {}, answer: (url: string, headers: Headers, init: RequestInit) => Response = () => Response.json({}), cookie = '__Host-csrftoken=t1') {
  const sent: { url: string; headers: Headers; init: RequestInit }[] = []
  const auth = createAuthIn(
    {
      fetch: async (input, init = {}) => {
        const url = input instanceof Request ? input.url : String(input)
        const headers = new Headers(init.headers ?? (input as Request).headers)
        sent.push({ url, headers, init })
        return answer(url, headers, init)
      },
      location: { origin, href: origin + '/app/page' },
      document: { baseURI: origin + '/app/page', cookie, hidden: false },
    },
    options,
  )
  return { auth, sent }
}

const post = { method: 'POST', body: 'x' }

describe('the CSRF token', () => {
  test.each([
    ['__Host-csrftoken=t1; csrftoken=other', {}, 't1'],
    ['csrftoken=other; __Host-csrftoken=t1', {}, 't1'],
    ['__Secure-csrftoken=t2', {}, 't2'],
    ['a=b; csrftoken=t3', {}, 't3'],
    ['xcsrftoken=no; csrftokenx=no', {}, null],
    ['__Host-mine=t4; csrftoken=other', { csrfCookie: 'mine' }, 't4'],
    ['', {}, null],
  ])('of the cookies %j with %j is %s', async (cookie, options, want) => {
    const { auth, sent } = watched(options, undefined, cookie)
    await auth.fetch('/api/x', post)
    expect(sent[0]!.headers.get('X-CSRFToken')).toBe(want)
  })

  test.each([['GET', null], ['HEAD', null], ['get', null], ['OPTIONS', null], ['POST', 't1'], ['PUT', 't1'], ['PATCH', 't1'], ['DELETE', 't1'], ['QUERY', 't1']])(
    'goes with %s: %s',
    async (method, want) => {
      const { auth, sent } = watched()
      await auth.fetch('/api/x', { method })
      expect(sent[0]!.headers.get('X-CSRFToken')).toBe(want)
    },
  )

  test.each([
    'https://evil.example/api', '//evil.example/api', '\\\\evil.example\\api', '/\\evil.example', 'https:\\\\evil.example', ' https://evil.example',
    'https://app.example.com@evil.example/', 'https://app.example.com.evil.example/', 'http://app.example.com/api', 'https://app.example.com:8443/',
    'https://APP.example.com.:443/', 'data:text/plain,x', 'https://evil.example/#https://app.example.com', '/\t/evil.example', 'ht\ntps://evil.example',
  ])('CL-06 a request to %j passes through with nothing of ours', async (url) => {
    const { auth, sent } = watched({ park: true }, () => new Response('', { status: 401, headers: { 'X-Tokenjar-Problem': 'token_expired' } }))
    expect((await auth.fetch(url, { ...post, passive: true })).status).toBe(401)
    expect(sent).toHaveLength(1)
    expect([...sent[0]!.headers]).toEqual([])
    expect(sent[0]!.init).toEqual(post)
  })

  test('CL-06 a page whose base address is another origin sends it nothing', async () => {
    const sent: Headers[] = []
    const auth = createAuthIn(
      {
        fetch: async (_, init) => (sent.push(new Headers(init?.headers)), new Response()),
        location: { origin, href: origin + '/' },
        document: { baseURI: 'https://evil.example/', cookie: 'csrftoken=t1', hidden: false },
      },
      {},
    )
    await auth.fetch('/api/x', post)
    expect([...sent[0]!]).toEqual([])
  })

  test('a redirect to another origin cannot take it along', async () => {
    const { auth, sent } = watched()
    await auth.fetch('/api/x', post)
    await auth.fetch('/api/x')
    await auth.fetch('/api/x', { ...post, mode: 'cors' })
    expect(sent.map(({ init }) => init.mode)).toEqual(['same-origin', undefined, 'cors'])
  })

  test('a page of another origin gets it from the server, once, and sends cookies', async () => {
    const { auth, sent } = watched({ baseUrl: 'https://api.example.com' }, (url) =>
      Response.json(url.endsWith('/csrf') ? { csrf_token: 'mem' } : { authenticated: true, user: { id: '1' } }),
    )
    await auth.load()
    await Promise.all([auth.fetch('/x', post), auth.fetch('/y', post), auth.fetch('https://api.example.com/z', post)])
    expect(sent.map(({ url }) => url)).toEqual([
      'https://api.example.com/auth/session', 'https://api.example.com/auth/csrf', 'https://api.example.com/x', 'https://api.example.com/y', 'https://api.example.com/z',
    ])
    expect(sent.slice(2).map(({ headers }) => headers.get('X-CSRFToken'))).toEqual(['mem', 'mem', 'mem'])
    expect(sent.map(({ init }) => init.credentials)).toEqual(Array(5).fill('include'))
  })

  test('further origins are the server too, and no others', async () => {
    const { auth, sent } = watched({ origins: ['https://files.example.com'] })
    await auth.fetch('https://files.example.com/a', post)
    await auth.fetch('https://files.example.com.evil.example/a', post)
    expect(sent.map(({ headers, init }) => [headers.get('X-CSRFToken'), init.credentials])).toEqual([['t1', 'include'], [null, undefined]])
  })

  test('one that is refused is fetched anew, and the request sent once more', async () => {
    let kept = 'old'
    const { auth, sent } = watched({}, (url, headers) => {
      if (url.endsWith('/csrf')) return Response.json({ csrf_token: (kept = 'new') })
      if (url.endsWith('/session')) return Response.json({ authenticated: true, user: { id: '1' } })
      return headers.get('X-CSRFToken') === 'new' ? Response.json({}) : new Response('', { status: 403, headers: { 'X-Tokenjar-Problem': 'csrf_failed' } })
    })
    expect((await auth.fetch('/api/x', post)).status).toBe(200)
    expect((await auth.fetch('/api/x', post)).status).toBe(200)
    expect(kept).toBe('new')
    expect(sent.map(({ url }) => url.replace(origin, ''))).toEqual(['/api/x', '/auth/csrf', '/auth/session', '/api/x', '/api/x'])
  })

  test('one that is refused with a stream is fetched anew, so that the next try works', async () => {
    const { auth, sent } = watched({}, (url, headers) => {
      if (url.endsWith('/csrf')) return Response.json({ csrf_token: 'new' })
      if (url.endsWith('/session')) return Response.json({ authenticated: true, user: { id: '1' } })
      return headers.get('X-CSRFToken') === 'new' ? Response.json({}) : new Response('', { status: 403, headers: { 'X-Tokenjar-Problem': 'csrf_failed' } })
    })
    const stream = () => ({ method: 'POST', body: new Blob(['x']).stream(), duplex: 'half' }) as RequestInit
    await expect(auth.fetch('/api/x', stream())).rejects.toMatchObject({ code: 'body_not_replayable' })
    expect((await auth.fetch('/api/x', stream())).status).toBe(200)
    expect(sent.filter(({ url }) => url.endsWith('/api/x'))).toHaveLength(2)
  })

  test('one that is refused again is the answer', async () => {
    const { auth, sent } = watched({}, (url) => {
      if (url.endsWith('/csrf')) return Response.json({ csrf_token: 'new' })
      if (url.endsWith('/session')) return Response.json({ authenticated: true, user: { id: '1' } })
      return new Response('', { status: 403, headers: { 'X-Tokenjar-Problem': 'csrf_failed' } })
    })
    expect((await auth.fetch('/api/x', post)).status).toBe(403)
    expect(sent).toHaveLength(4)
  })

  test('a question that is refused for the lack of one, which no server does, is the answer', async () => {
    const { auth } = watched({}, (url) =>
      url.endsWith('/csrf') ? Response.json({ csrf_token: 'new' }) : new Response('', { status: 403, headers: { 'X-Tokenjar-Problem': 'csrf_failed' } }),
    )
    await expect(auth.load()).rejects.toMatchObject({ code: 'network' })
  })

  test('a 403 of somebody else is the answer', async () => {
    const { auth, sent } = watched({}, () => new Response('csrf_failed', { status: 403 }))
    expect((await auth.fetch('/api/x', post)).status).toBe(403)
    expect(sent).toHaveLength(1)
  })
})

describe("the server's own paths", () => {
  test.each([
    ['/auth', '/auth/login'], ['auth', '/auth/login'], ['/auth/', '/auth/login'], ['//auth//', '/auth/login'], ['/', '/login'], ['/api/auth', '/api/auth/login'],
    ['.evil.example/auth', '/.evil.example/auth/login'], ['@evil.example/auth', '/@evil.example/auth/login'], [':1@evil.example', '/:1@evil.example/login'],
    ['//evil.example', '/evil.example/login'], ['\\\\evil.example', '///evil.example/login'],
  ])('with authPath %j the password goes to %s of the same origin', async (authPath, want) => {
    for (const baseUrl of [undefined, origin]) {
      const { auth, sent } = watched({ authPath, ...(baseUrl && { baseUrl }) }, () => Response.json({ user: { id: '1' } }))
      await auth.login({ username: 'ada', password: 'secret' })
      expect(sent.map(({ url }) => url)).toEqual([origin + want])
    }
  })
})

describe('fetch', () => {
  test('null is no init, as for fetch itself', async () => {
    const { auth, sent } = watched()
    expect((await auth.fetch('/api/x', null)).status).toBe(200)
    expect(sent).toHaveLength(1)
  })

  test('what is given is what is sent', async () => {
    const { auth, sent } = watched()
    const init: RequestInit = { method: 'PUT', headers: { 'Content-Type': 'text/plain', 'X-Mine': '1' }, body: 'x', cache: 'no-cache', keepalive: true, redirect: 'error' }
    await auth.fetch(new URL('/api/x?y=1#z', origin), init)
    expect(sent[0]!.url).toBe(origin + '/api/x?y=1#z')
    expect(Object.fromEntries(sent[0]!.headers)).toEqual({ 'content-type': 'text/plain', 'x-mine': '1', 'x-csrftoken': 't1' })
    expect(sent[0]!.init).toMatchObject({ method: 'PUT', body: 'x', cache: 'no-cache', keepalive: true, redirect: 'error' })
  })

  test('relative addresses are those of the page, or of the server when one is named', async () => {
    const one = watched()
    await one.auth.fetch('x')
    const two = watched({ baseUrl: 'https://api.example.com/v1/' })
    await two.auth.fetch('x')
    expect([one.sent[0]!.url, two.sent[0]!.url]).toEqual([origin + '/app/x', 'https://api.example.com/v1/x'])
  })

  test('passive requests say so, and no user is behind the renewal they cause', async () => {
    const { w, auth, server } = await signedIn()
    server.advanceTo('access-expired')
    await after(100, auth.fetch('/api/poll', { passive: true }))
    expect(w.server.requests.map((r) => [r.path, r.passive]).slice(1)).toEqual([['/api/poll', true], ['/auth/token/refresh', true], ['/api/poll', true]])
  })

  test.each(['before it is sent', 'while it waits for a refresh'])('is given up %s when its signal says so, and the refresh goes on', async (when) => {
    let hold = () => {}
    const { w, auth, server } = await signedIn(1, {
      network: async (request, phase) => {
        if (phase === 'sent' && request.url.endsWith('/refresh')) await new Promise<void>((go) => (hold = go))
      },
    })
    server.advanceTo('access-expired')
    const abort = new AbortController()
    if (when.startsWith('before')) abort.abort(new Error('given up'))
    const request = auth.fetch('/api/x', { signal: abort.signal })
    const other = when.startsWith('before') ? undefined : auth.fetch('/api/y')
    const failed = expect(request).rejects.toThrow('given up')
    await pass(10)
    abort.abort(new Error('given up'))
    await failed
    hold()
    if (other) expect((await after(10, other)).status).toBe(200)
    expect(w.seen('/api/x').filter((r) => r.status === 200)).toHaveLength(0)
  })

  test('calls of the client are given up when their signal says so', async () => {
    const { auth, server } = await signedIn()
    const signal = AbortSignal.abort(new Error('given up'))
    await pass(15_000)
    server.advanceTo('access-expired')
    for (const call of [
      () => auth.load({ signal }), () => auth.extend({ signal }), () => auth.ensure({ signal }), () => auth.login({ username: 'ada', password: 'secret' }, { signal }),
      () => auth.logout({ signal }), () => auth.call('GET', '/user', { signal }),
    ]) {
      await expect(after(10, call())).rejects.toThrow('given up')
    }
    expect(auth.getSnapshot().status).toBe('authenticated')
  })

  test('the fetch of the page is looked up when a request is sent', async () => {
    const w = world()
    const host = { fetch: w.server.fetch, location: { origin, href: origin } }
    const auth = createAuthIn(host, {})
    host.fetch = vi.fn(async () => new Response('later'))
    expect(await (await auth.fetch('/x')).text()).toBe('later')
  })
})
