import { beforeEach, describe, expect, test } from 'vitest'
import { createServerAuth, type ServerAuthOptions } from '../src/ssr.js'

// The server as a browser without script sees it: cookies in, Set-Cookie out. One session for each user, by name.

const baseUrl = 'https://app.example.com'
const users = new Map<string, { generation: number; ended?: boolean; expired?: boolean }>()
let seen: Request[] = []
let delay = () => 0

const cookie = (user: string, { access = true, generation = 0 } = {}) =>
  `theme=dark; __Host-refresh_token=${user}.${generation}` + (access ? `; __Host-access_token=${user}.${generation}` : '')

const problem = (code: string, action: string, status = 401) =>
  Response.json({ code, action, status }, { status, headers: { 'X-Tokenjar-Problem': code } })

const server: typeof fetch = async (input, init) => {
  const request = new Request(input, init)
  seen.push(request)
  await new Promise((resolve) => setTimeout(resolve, delay()))
  const { pathname, searchParams } = new URL(request.url)
  const jar = new Map((request.headers.get('Cookie') ?? '').split('; ').map((pair) => [pair.split('=')[0], pair.split('=')[1]]))
  const [name = '', shown] = (jar.get('__Host-refresh_token') ?? '').split('.')
  const session = users.get(name)
  const spendable = session && !session.ended && Number(shown) === session.generation ? session : undefined
  const live = spendable && !spendable.expired && jar.get('__Host-access_token') === `${name}.${session!.generation}`
  const user = { id: 'u-' + name, username: name, first_name: '</script><script>alert(1)</script>' }
  const life = { access_expiration: new Date(Date.now() + 300_000).toISOString(), access_expires_in: 300, refresh_expiration: '2999-01-01T00:00:00Z' }
  const grant = (body: object) => {
    const headers = new Headers()
    const n = ++session!.generation
    session!.expired = false
    headers.append('Set-Cookie', `__Host-access_token=${name}.${n}; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Lax`)
    headers.append('Set-Cookie', `__Host-refresh_token=${name}.${n}; Path=/; Expires=Fri, 01 Jan 2999 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax`)
    headers.append('Set-Cookie', `__Host-csrftoken=csrf-${name}; Path=/; Secure; SameSite=Lax`)
    return Response.json(body, { headers })
  }
  if (request.url.startsWith('https://elsewhere.example')) {
    return Response.json({ cookie: request.headers.get('Cookie') }, { headers: { 'Set-Cookie': 'spy=1; Path=/' } })
  }
  switch (pathname) {
    case '/api/circle':
      return new Response(null, { status: 307, headers: { Location: pathname } })
    case '/auth/session':
      if (!spendable) return Response.json({ authenticated: false })
      return Response.json({
        authenticated: true, user, csrf_token: 'csrf-' + name, access: 'eyJ.secret', ...life,
        ...(!live && { access_expiration: null, access_expires_in: null }),
      })
    case '/auth/csrf':
      return Response.json({ csrf_token: 'csrf-' + name })
    case '/auth/token/refresh': {
      if (!spendable) {
        const gone = problem('session_ended', 'login')
        for (const c of ['access_token', 'refresh_token']) gone.headers.append('Set-Cookie', `__Host-${c}=; Path=/; Max-Age=0`)
        return gone
      }
      if (request.headers.get('X-CSRFToken') !== 'csrf-' + name) return problem('csrf_failed', 'fix_request', 403)
      return grant(life)
    }
    case '/api/moved':
      return new Response(null, { status: 307, headers: { Location: searchParams.get('to')!, 'Set-Cookie': 'hop=1; Path=/api' } })
  }
  if (!spendable) return problem('not_authenticated', 'login')
  if (request.method !== 'GET' && request.headers.get('Origin') !== baseUrl) return problem('origin_not_allowed', 'fix_request', 403)
  return live ? Response.json({ orders: name }) : grant({ orders: name })
}

const open = (given: string | null, options: Partial<ServerAuthOptions> = {}) => createServerAuth({ cookie: given, baseUrl, fetch: server, ...options })
const setCookies = (page: Awaited<ReturnType<typeof open>>) => page.headers().filter(([name]) => name === 'Set-Cookie').map(([, line]) => line)

beforeEach(() => {
  users.clear()
  for (const name of ['ada', 'bob']) users.set(name, { generation: 0 })
  seen = []
  delay = () => 0
})

describe('createServerAuth', () => {
  test('says who sent the request, with one question and no cookie', async () => {
    const page = await open(cookie('ada'))
    expect(page.auth.getSnapshot()).toMatchObject({ status: 'authenticated', user: { username: 'ada' } })
    expect(seen.map((r) => [r.method, r.url, r.headers.get('Cookie')])).toEqual([['GET', baseUrl + '/auth/session', cookie('ada')]])
    expect(page.headers()).toEqual([['Cache-Control', 'no-store']])
  })

  test('nobody is anonymous', async () => {
    for (const nobody of [null, '', 'theme=dark', cookie('eve')]) {
      const page = await open(nobody)
      expect(page.auth.getSnapshot().status).toBe('anonymous')
      expect(page.state).toEqual({ authenticated: false })
    }
  })

  test('a session whose access token has run out is renewed before the page begins, each cookie a header of its own', async () => {
    const page = await open(cookie('ada', { access: false }))
    const lines = setCookies(page)
    expect(lines.map((line) => line.split(';')[0])).toEqual(['__Host-access_token=ada.1', '__Host-refresh_token=ada.1', '__Host-csrftoken=csrf-ada'])
    expect(lines[1]).toContain('Expires=Fri, 01 Jan 2999') // the comma joins nothing
    const response = new Response('page')
    for (const [name, value] of page.headers()) response.headers.append(name, value)
    expect(response.headers.getSetCookie()).toEqual(lines)
    expect(page.state).toMatchObject({ authenticated: true, access_expires_in: 300 })
    expect(await (await page.auth.fetch('/api/orders')).json()).toEqual({ orders: 'ada' })
    expect(seen.at(-1)!.headers.get('Cookie')).toBe('theme=dark; __Host-access_token=ada.1; __Host-refresh_token=ada.1; __Host-csrftoken=csrf-ada')
  })

  test('what is renewed on the way of a request reaches the browser, once', async () => {
    const page = await open(cookie('ada'))
    expect(setCookies(page)).toEqual([])
    users.get('ada')!.expired = true // while the page is drawn
    for (let i = 0; i < 3; i++) expect(await (await page.auth.fetch('/api/orders')).json()).toEqual({ orders: 'ada' })
    expect(users.get('ada')!.generation).toBe(1)
    expect(setCookies(page).map((line) => line.split('=')[0])).toEqual(['__Host-access_token', '__Host-refresh_token', '__Host-csrftoken'])
  })

  test('a session that has ended is told to the browser as such', async () => {
    users.get('ada')!.ended = true
    const page = await open(cookie('ada'))
    expect(page.state).toEqual({ authenticated: false })
    expect(page.auth.getSnapshot().status).toBe('anonymous')
  })

  test.each([
    ['fails', async () => Promise.reject(new TypeError('fetch failed'))],
    ['answers 503', async () => problem('store_unavailable', 'retry', 503)],
    ['answers a page', async () => new Response('<!doctype html>')],
    ['answers something else', async () => Response.json({ hello: 1 })],
  ] as const)('a server that %s leaves it open who is here', async (_, fetch) => {
    const page = await open(cookie('ada'), { fetch })
    expect(page.auth.getSnapshot().status).toBe('unknown')
    expect([page.state, page.json]).toEqual([null, 'null'])
    expect(setCookies(page)).toEqual([])
  })

  test('what goes into the page holds no token and no CSRF token, and ends no script element', async () => {
    const page = await open(cookie('ada', { access: false }))
    expect(Object.keys(page.state!).sort()).toEqual(['access_expiration', 'access_expires_in', 'authenticated', 'refresh_expiration', 'user'])
    expect(page.json).not.toMatch(/csrf|eyJ|ada\.\d/)
    expect(page.json).not.toContain('<')
    expect(JSON.parse(page.json)).toEqual(page.state)
  })

  test('cookies go to the server alone, and none comes from elsewhere', async () => {
    const page = await open(cookie('ada'))
    for (const url of ['https://elsewhere.example/x', '/api/moved?to=https://elsewhere.example/x']) {
      const response = await page.auth.fetch(url)
      expect(JSON.stringify(await response.text())).not.toContain('ada')
    }
    expect(seen.filter((r) => r.url.startsWith('https://elsewhere.example/')).map((r) => r.headers.get('Cookie'))).toEqual([null])
    expect(setCookies(page)).toEqual(['hop=1; Path=/api'])
  })

  test('a Request to elsewhere goes out as it is, its body unread', async () => {
    const got: string[] = []
    const page = await open(cookie('ada'), {
      fetch: async (input, init) => {
        const request = new Request(input, init)
        if (request.url.startsWith(baseUrl)) return server(request)
        got.push(`${request.method} ${await request.text()} ${request.headers.get('Cookie')}`)
        return new Response()
      },
    })
    await page.auth.fetch(new Request('https://elsewhere.example/x', { method: 'POST', body: 'hello' }))
    await page.auth.fetch('https://elsewhere.example/x', { method: 'POST', body: new Blob(['stream']).stream(), duplex: 'half' } as RequestInit)
    expect(got).toEqual(['POST hello null', 'POST stream null'])
  })

  test.each(['auth', '/auth/', '//auth'])('with authPath %j the cookies go to the same server', async (authPath) => {
    await open(cookie('ada'), { authPath })
    expect(seen.map((r) => r.url)).toEqual([baseUrl + '/auth/session'])
  })

  test('a redirect inside the site is followed, and ends', async () => {
    const page = await open(cookie('ada'))
    expect(await (await page.auth.fetch('/api/moved?to=/api/orders')).json()).toEqual({ orders: 'ada' })
    seen = []
    expect((await page.auth.fetch('/api/circle')).status).toBe(307)
    expect(seen.length).toBeLessThan(25)
  })

  test('what changes something is not sent without the origin of the browser\'s request', async () => {
    const post = { method: 'POST', body: '{}' }
    const without = await open(cookie('ada'))
    seen = []
    await expect(without.auth.fetch('/api/orders', post)).rejects.toThrow('origin')
    expect(seen.filter((r) => r.method === 'POST')).toEqual([])
    const forged = await open(cookie('ada'), { origin: 'https://evil.example' })
    expect((await forged.auth.fetch('/api/orders', post)).status).toBe(403)
    const own = await open(cookie('ada'), { origin: baseUrl })
    expect((await own.auth.fetch('/api/orders', post)).status).toBe(200)
    expect(seen.at(-1)!.headers.get('X-CSRFToken')).toBe('csrf-ada')
  })

  test('headers of the browser are passed on, and never to another origin', async () => {
    const page = await open(cookie('ada'), { headers: { 'User-Agent': 'Firefox', Cookie: 'theirs=1', Origin: 'https://evil.example' } })
    await page.auth.fetch('https://elsewhere.example/x')
    expect(seen.map((r) => r.headers.get('User-Agent'))).toEqual(['Firefox', null])
    expect(seen[0]!.headers.get('Cookie')).toBe(cookie('ada'))
  })

  test('of all the headers of a browser, those about its own request stay here', async () => {
    const page = await open(cookie('ada', { access: false }), {
      headers: new Headers({
        'User-Agent': 'Firefox', 'X-Forwarded-For': '192.0.2.1', Host: 'app.example.com', 'Accept-Language': 'nl', Accept: 'text/html', 'Accept-Encoding': 'br',
        'Content-Length': '5', 'Content-Type': 'text/plain', 'If-None-Match': '"1"', Range: 'bytes=0-1', 'Sec-Fetch-Site': 'cross-site', Authorization: 'Bearer x',
        Cookie: 'theirs=1', Origin: 'https://evil.example', Referer: 'https://evil.example/', Connection: 'close', 'Upgrade-Insecure-Requests': '1',
      }),
    })
    expect(page.auth.getSnapshot().status).toBe('authenticated')
    for (const { headers } of seen) {
      const passed = ['user-agent', 'x-forwarded-for', 'host', 'accept-language'].map((name) => headers.get(name))
      expect(passed).toEqual(['Firefox', '192.0.2.1', 'app.example.com', 'nl'])
      const names = [...headers.keys()].filter((name) => !['user-agent', 'x-forwarded-for', 'host', 'accept-language', 'cookie', 'x-csrftoken'].includes(name))
      expect(names).toEqual([])
      expect(headers.get('Cookie')).not.toContain('theirs')
    }
  })

  test('no cache between here and the server keeps an answer', async () => {
    const page = await open(cookie('ada'))
    await page.auth.fetch('/api/orders')
    expect(new Set(seen.map((r) => r.cache))).toEqual(new Set(['no-store']))
  })

  test('a hundred pages of two users at the same time never mix', async () => {
    delay = () => Math.random() * 5
    const pages = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const name = i % 2 ? 'ada' : 'bob'
        const page = await open(cookie(name))
        const [one, two] = await Promise.all([page.auth.fetch('/api/orders'), page.auth.fetch('/api/orders?x')])
        return { name, page, said: [await one.json(), await two.json()] }
      }),
    )
    for (const { name, page, said } of pages) {
      expect(page.auth.getSnapshot().user?.username).toBe(name)
      expect(page.state!.user!.username).toBe(name)
      expect(said).toEqual([{ orders: name }, { orders: name }])
      expect(setCookies(page)).toEqual([])
    }
  })

  test('two users are renewed at the same time, and each gets the own cookies', async () => {
    delay = () => Math.random() * 5
    const pages = await Promise.all(['ada', 'bob'].map((name) => open(cookie(name, { access: false }))))
    for (const [i, name] of ['ada', 'bob'].entries()) {
      const lines = setCookies(pages[i]!)
      expect(lines).toHaveLength(3)
      for (const line of lines) expect(line).toContain(name)
    }
  })

  test('a cookie that is deleted on the way is sent no more', async () => {
    const page = await open(cookie('ada') + '; gone=1', {
      fetch: async (input, init) => {
        const response = await server(input, init)
        if (new URL(new Request(input, init).url).pathname === '/api/leave') response.headers.append('Set-Cookie', 'gone=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT')
        return response
      },
    })
    await page.auth.fetch('/api/leave')
    await page.auth.fetch('/api/orders')
    expect(seen.at(-2)!.headers.get('Cookie')).toContain('gone=1')
    expect(seen.at(-1)!.headers.get('Cookie')).not.toContain('gone')
    expect(setCookies(page)).toEqual(['gone=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT'])
  })
})
