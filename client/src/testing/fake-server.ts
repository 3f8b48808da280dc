import type { Problem, SessionState, User } from '../wire.js'
import { FakeSessions, type FakeSession, type Grant, type Jar } from './fake-sessions.js'
import { refusal } from './refusal.js'

/** Somebody who can sign in. */
export interface FakeUser extends Partial<User> {
  username: string
  password?: string
}

export interface FakeServerOptions {
  /** @default one user, `ada` with the password `secret` */
  users?: readonly FakeUser[]
  /** The origin of relative addresses. @default 'http://localhost' */
  origin?: string
  /** @default '/auth' */
  authPath?: string
  /** Life of an access token in seconds. @default 300 */
  accessLife?: number
  /** After how many seconds without use a session ends. @default 1209600, two weeks */
  sessionLife?: number
  /** @default 10 */
  grace?: number
  /** Whether requests are renewed on their way, as by the real server's default; false makes them meet a 401. @default true */
  transparentRenewal?: boolean
  /** Answers requests of a signed-in user to all other paths. @default 200 with the user's name, the method and the path */
  api?: (request: Request, user: User) => Response | Promise<Response>
  /**
   * Called when a request has been sent, and again when it has been answered but the answer has not arrived. What it waits for
   * delays the request; when it throws, the request or the answer is lost.
   */
  network?: (request: Request, phase: 'sent' | 'answered') => void | Promise<void>
}

/** Where the server's clock can be moved to. */
export type Moment = 'access-expired' | 'idle-warning' | 'session-expired'

/** A request that reached the server, and what it was answered. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly code: string
  readonly passive: boolean
  /** Names the refresh token it came with, empty without one. */
  readonly session: string
}

/** A server in memory, and the browser in front of it. */
export interface FakeServer {
  /** Give it to `createAuth({ fetch })`, or let a mock of the page's fetch call it. All who share it share its cookies. */
  readonly fetch: typeof fetch
  /** What has reached the server. */
  readonly requests: readonly Seen[]
  /** What script sees of the cookies. */
  readonly cookie: string
  /** Who is signed in, by the cookies that the browser has now. */
  readonly signedIn: User | null
  /** Signs a user in, as another tab would. */
  signIn(username?: string): User
  /** Ends the session on the server; the browser keeps its cookies. A refresh is told the code, other requests `token_revoked`. */
  endSession(code?: Problem['code']): void
  /** Moves the server's clock on: to the end of the access token, to a minute before the session goes idle, or past that. */
  advanceTo(moment: Moment): void
  /** Answers the next requests to the server's own paths, or to one of them, with a refusal. */
  refuse(code: Problem['code'], options?: { times?: number; path?: string; retryAfter?: number }): void
}

/**
 * A server for the tests of applications: the operations that the client uses, sessions that end and are renewed, and the CSRF
 * rule, without a process or a browser. It holds nothing outside of what it returns and needs no test runner.
 *
 * @example
 * const server = fakeServer()
 * const auth = createAuth({ baseUrl: 'http://localhost', fetch: server.fetch })
 * await auth.login({ username: 'ada', password: 'secret' })
 * server.advanceTo('access-expired')
 */
export function fakeServer(options: FakeServerOptions = {}): FakeServer {
  const { origin = 'http://localhost', authPath = '/auth', transparentRenewal = true } = options
  let ahead = 0
  const now = () => Date.now() + ahead
  const sessions = new FakeSessions(now, {
    access: options.accessLife ?? 300,
    session: options.sessionLife ?? 14 * 24 * 3600,
    grace: options.grace ?? 10,
  })
  const passwords = new Map<string, string>()
  const users = (options.users ?? [{ username: 'ada' }]).map(({ password = 'secret', ...given }, i): User => {
    passwords.set(given.username, password)
    return { id: `u${i + 1}`, email: given.username + '@example.com', email_verified: true, first_name: '', last_name: '', ...given }
  })
  const jar: Jar = {}
  const requests: Seen[] = []
  let refusals: { code: Problem['code']; times: number; path?: string; retryAfter?: number }[] = []

  const time = (ms: number) => new Date(ms).toISOString().replace('.000Z', 'Z')

  const times = (grant: Pick<Grant, 'access'>, session: FakeSession) => {
    const end = sessions.accessEnd(grant.access)
    return {
      access_expiration: time(end),
      access_expires_in: Math.max(0, Math.floor((end - now()) / 1000)),
      refresh_expiration: time(session.idleEnd),
    }
  }

  /** What the server does with a request and the cookies it came with. The cookies it sets go into `set`. */
  async function handle(request: Request, sent: Jar, set: (cookies: Jar) => void): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    const path = pathname.startsWith(authPath + '/') ? pathname.slice(authPath.length).replace(/\/$/, '') : ''
    const { method } = request
    const refused = refusals.find((r) => (path ? !r.path || r.path === path : r.path === pathname) && r.times-- > 0)
    if (refused) return refusal(refused.code, refused.retryAfter)
    const passive = request.headers.get('X-Passive') === '1'
    const body = async () => (await request.json().catch(() => ({}))) as Record<string, string>
    const clear = () => set({ access: undefined, refresh: undefined, csrf: undefined })

    const live = sessions.authenticate(sent.access)
    const named = sessions.of(sent.refresh) ?? sessions.of(sent.access)
    const unsafe = !['GET', 'HEAD'].includes(method)
    if (unsafe && path !== '/login' && named && !named.ended && request.headers.get('X-CSRFToken') !== 'csrf.' + named.id) {
      return refusal('csrf_failed')
    }

    switch (`${method} ${path}`) {
      case 'POST /login': {
        const { username, email, password } = await body()
        const user = users.find((u) => (username ? u.username === username : u.email === email))
        if (!user || passwords.get(user.username) !== password) return refusal('invalid_credentials')
        if (named && !named.ended) Object.assign(named, { ended: 'session_ended', replaced: true }) // one browser, one session
        const grant = sessions.open(user)
        set(grant)
        return Response.json({ user, ...times(grant, sessions.of(grant.refresh)!) })
      }
      case 'POST /logout':
        for (const session of sessions.all.values()) {
          if (session === named || (searchParams.has('all') && session.user.id === named?.user.id)) session.ended ??= 'session_ended'
        }
        clear()
        return Response.json({ detail: 'Successfully logged out.' })
      case 'POST /token/refresh': {
        const grant = sessions.rotate(sent.refresh, passive)
        if (typeof grant === 'string') {
          // An answer that comes late must not clear the cookies of a newer sign-in.
          if (!named?.replaced) clear()
          return refusal(grant)
        }
        set(grant)
        return Response.json(times(grant, sessions.of(grant.refresh)!))
      }
      case 'GET /session': {
        const session = live ?? sessions.spendable(sent.refresh)
        const state: SessionState = session ? { authenticated: true, user: session.user } : { authenticated: false }
        if (live) Object.assign(state, times({ access: sent.access! }, live))
        else if (session) Object.assign(state, { access_expiration: null, access_expires_in: null, refresh_expiration: time(session.idleEnd) })
        return Response.json(state)
      }
    }

    // Everything else needs somebody, and may be renewed on its way.
    let session = live
    if (!session && path !== '/csrf') {
      const spendable = sessions.spendable(sent.refresh)
      if (!transparentRenewal && spendable) return refusal('token_expired')
      const grant = spendable ? sessions.rotate(sent.refresh, passive) : undefined
      if (grant && typeof grant !== 'string') {
        set(grant)
        session = sessions.authenticate(grant.access)
      }
    }
    session ??= path === '/csrf' ? sessions.spendable(sent.refresh) : undefined
    if (!session) return refusal(sessions.revoked(sent.access) ? 'token_revoked' : (named?.ended ?? 'not_authenticated'))
    if (!path) {
      const { user } = session
      return (await options.api?.(request, user)) ?? Response.json({ user: user.username, method, path: pathname })
    }
    return operation(method, path, session, body, set)
  }

  /** The operations of a signed-in user. */
  async function operation(method: string, path: string, session: FakeSession, body: () => Promise<Record<string, string>>, set: (cookies: Jar) => void) {
    const { user } = session
    const own = [...sessions.all.values()].filter((s) => s.user.id === user.id && !sessions.of('.' + s.id)!.ended)
    const end = (list: FakeSession[]) => {
      for (const s of list) s.ended = 'session_ended'
      return list.length
    }
    switch (`${method} ${path}`) {
      case 'GET /csrf':
        set({ csrf: 'csrf.' + session.id })
        return Response.json({ csrf_token: 'csrf.' + session.id })
      case 'GET /user':
        return Response.json(user)
      case 'PUT /user':
      case 'PATCH /user':
        return Response.json(Object.assign(user, await body()))
      case 'GET /sessions':
        return Response.json({
          sessions: own.map((s) => ({
            id: s.id, name: s.name, user_agent: 'fake', ip: '192.0.2.1', created_at: time(s.created), last_used_at: time(s.rotated),
            expires_at: time(s.idleEnd), current: s === session,
          })),
        })
      case 'DELETE /sessions':
        return Response.json({ ended: end(own.filter((s) => s !== session)) })
      case 'POST /password/change': {
        const { old_password, new_password } = await body()
        if (passwords.get(user.username) !== old_password) return refusal('invalid_credentials')
        passwords.set(user.username, new_password!)
        end(own.filter((s) => s !== session))
        const grant = sessions.rotate(`refresh.${session.id}.${session.generation}`, false) as Grant
        set(grant)
        return Response.json({ detail: 'The password is changed.', ...times(grant, session) })
      }
    }
    const other = own.find((s) => path === '/sessions/' + s.id)
    if (!other) return refusal('not_found')
    if (method === 'DELETE') end([other])
    else other.name = (await body())['name'] ?? ''
    return Response.json({})
  }

  const fetch: FakeServer['fetch'] = async (input, init) => {
    const url = input instanceof Request ? input : new URL(String(input), origin)
    const request = new Request(url, init)
    const { signal } = request
    const sent = { ...jar } // cookies are those of the moment a request is sent
    const lost = new Promise<never>((_, reject) => {
      if (signal.aborted) reject(signal.reason)
      signal.addEventListener('abort', () => reject(signal.reason))
    })
    const work = async () => {
      try {
        await options.network?.(request, 'sent')
        const kept: Jar[] = []
        const response = await handle(request, sent, (cookies) => kept.push(cookies))
        requests.push({
          method: request.method,
          path: new URL(request.url).pathname,
          status: response.status,
          code: response.headers.get('X-Tokenjar-Problem') ?? '',
          passive: request.headers.get('X-Passive') === '1',
          session: sent.refresh?.replace('refresh.', '') ?? '',
        })
        await options.network?.(request, 'answered')
        if (!signal.aborted) Object.assign(jar, ...kept)
        return response
      } catch (cause) {
        throw new TypeError('Failed to fetch', { cause })
      }
    }
    return Promise.race([work(), lost])
  }

  return {
    fetch,
    requests,
    get cookie() {
      return jar.csrf ? 'csrftoken=' + jar.csrf : ''
    },
    get signedIn() {
      return sessions.spendable(jar.refresh)?.user ?? null
    },
    signIn(username = users[0]!.username) {
      const user = users.find((u) => u.username === username)
      if (!user) throw new Error(`There is no user ${username}.`)
      Object.assign(jar, sessions.open(user))
      return user
    },
    endSession(code = 'session_ended') {
      const session = sessions.of(jar.refresh)
      if (session) session.ended ??= code
    },
    advanceTo(moment) {
      const session = sessions.of(jar.refresh)
      if (!session) throw new Error('Nobody is signed in.')
      const target = {
        'access-expired': sessions.accessEnd(jar.access!),
        'idle-warning': session.idleEnd - 60_000,
        'session-expired': session.idleEnd,
      }[moment]
      ahead += Math.max(0, target - now())
    },
    refuse(code, { times = 1, ...rest } = {}) {
      refusals = [...refusals.filter((r) => r.times > 0), { code, times, ...rest }]
    },
  }
}
