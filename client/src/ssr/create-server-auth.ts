import type { Auth } from '../auth.js'
import { createAddress } from '../address.js'
import { createAuthIn } from '../create-auth-in.js'
import type { AuthOptions } from '../options.js'
import type { SessionState } from '../wire.js'
import { createCookies } from './cookies.js'
import { createForward } from './forward.js'

// All that is known here belongs to one request. There is no state in the module, so that what one user is told never reaches
// another, however many pages are drawn at the same time.

/** What of the server's answer goes into the page. */
const shown = ['user', 'access_expiration', 'access_expires_in', 'refresh_expiration'] as const

export interface ServerAuthOptions extends Pick<AuthOptions, 'authPath'> {
  /** The `Cookie` header of the browser's request. It goes to the server at `baseUrl` and nowhere else. */
  cookie: string | null | undefined
  /** Where the server is, as its `public_url` says. For another address on the way to it give `headers` the public `host`. */
  baseUrl: string
  /**
   * The `Origin` header of the browser's request. What changes something is sent with it, so that the server can refuse what a
   * foreign page has caused; without it `auth.fetch` sends nothing but GET, HEAD and OPTIONS.
   */
  origin?: string | null | undefined
  /**
   * Sent with each request to the server: the browser's `User-Agent`, so that the list of sessions names the browser, and
   * `X-Forwarded-For`, where the server trusts this one with it. All of the browser's headers may be given: those that are about
   * its own request are left out.
   */
  headers?: HeadersInit
  /** What sends requests. @default the global fetch */
  fetch?: typeof fetch
  /** Gives up waiting. @default after ten seconds */
  signal?: AbortSignal
}

/** What a page is drawn with, for one request. */
export interface ServerAuth {
  /** The client: its snapshot says who is here, its `fetch` asks as that user. */
  readonly auth: Auth
  /**
   * For `auth.hydrate` in the browser: who is here and until when. No token is in it and no CSRF token. Null when the server did
   * not answer: then the page's own client asks.
   */
  readonly state: SessionState | null
  /** The state as JSON that can stand in a script element, whatever the user's name is. */
  readonly json: string
  /**
   * The headers that the browser must get: the cookies of a renewed session, a header each, and that the page is nobody else's.
   * Ask when the page is drawn; of a page that is sent while it is drawn, before.
   *
   * @example
   * for (const [name, value] of server.headers()) response.headers.append(name, value)
   */
  headers(): [name: string, value: string][]
}

/**
 * Finds out who sent a request, for a server that renders pages. A session whose access token has run out is renewed right away,
 * so that its cookies are known before the page begins.
 *
 * It never throws because the server does not answer; it throws when the options are wrong.
 */
export async function createServerAuth(options: ServerAuthOptions): Promise<ServerAuth> {
  const { cookie, baseUrl, authPath = '/auth' } = options
  const cookies = createCookies(cookie ?? '')
  const { root } = createAddress({}, { baseUrl: new URL(baseUrl).origin, authPath })
  const fetch = createForward(cookies, root, options)
  const auth = createAuthIn({ fetch }, { baseUrl, authPath })
  const signal = options.signal ?? AbortSignal.timeout(10_000)

  let state: SessionState | null = null
  const look = async () => {
    const response = await fetch(root + '/session', { signal })
    if (!response.ok) return
    const said: SessionState = await response.json()
    if (typeof said.authenticated !== 'boolean') return
    state = { authenticated: said.authenticated }
    for (const name of shown) if (name in said) Object.assign(state, { [name]: said[name] })
    auth.hydrate(state)
  }

  try {
    await look()
    const { authenticated, access_expires_in, refresh_expiration } = state ?? ({} as Partial<SessionState>)
    // The page's requests come some seconds later. Only a session with cookies can be renewed; whoever opens a page uses it.
    if (authenticated && refresh_expiration && !((access_expires_in ?? 0) > 10)) {
      const { outcome } = await auth.extend({ signal })
      if (outcome !== 'try_later') await look()
    }
  } catch {
    // Nobody is signed out by it: what is not known here, the page finds out.
  }

  return {
    auth,
    state,
    json: JSON.stringify(state).replace(/</g, '\\u003c'),
    headers: () => [...cookies.lines.map((line): [string, string] => ['Set-Cookie', line]), ['Cache-Control', 'no-store']],
  }
}
