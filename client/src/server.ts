import type { Answer } from './auth.js'
import { createCsrf, type Csrf } from './csrf.js'
import { AuthError, type ErrorCode } from './error.js'
import type { Host } from './host.js'
import type { AuthOptions } from './options.js'

/** Only answers of the server itself carry it. A 401 without it is somebody else's, and no reason to do anything. */
export const problemHeader = 'X-Tokenjar-Problem'

/** After so many milliseconds without an answer there is none. */
const patience = 10_000

/** The server: which addresses are its own, and what goes with a request to them. */
export interface Server {
  /** Names this server among the page's locks and channels. */
  readonly name: string
  readonly csrf: Csrf
  /** The address as it would be fetched, or null when it is not the server's: then nothing of ours goes with it. */
  own(url: string): URL | null
  /** Sends a request to an address of the server's. */
  send(url: URL, input: RequestInfo | URL, init: RequestInit, extra: Record<string, string>): Promise<Response>
  /** Sends a request as it is. */
  readonly pass: typeof fetch
  /** Makes an attempt with the CSRF token, and one more when the token was not right. */
  withToken<T>(method: string, replayable: boolean, attempt: (extra: Record<string, string>) => Promise<T>, view: (result: T) => Answer): Promise<T>
  /** Calls an operation of the server's and reads the answer. Throws AuthError, or the signal's reason. */
  call(method: string, path: string, options?: Call): Promise<any>
}

export interface Call {
  body?: unknown
  signal?: AbortSignal | undefined
  headers?: Record<string, string> | undefined
  /** What sends it, where that is not the server itself. */
  via?: (url: string, init: RequestInit) => Promise<Response>
}

export const viewResponse = (response: Response): Answer => ({
  status: response.status,
  headers: response.headers,
  json: () => response.clone().json(),
})

export function createServer(host: Host, options: AuthOptions, signedIn: () => boolean): Server {
  const { fetch = (...args) => host.fetch(...args), csrfHeader = 'X-CSRFToken', csrfCookie } = options
  const here = host.location
  const base = options.baseUrl ? new URL(options.baseUrl, here?.href) : undefined
  const home = base?.origin ?? here?.origin ?? ''
  const origins = [home, ...(options.origins ?? [])]
  const root = home + (options.authPath ?? '/auth')
  // What cookies the page itself has says nothing about a server of another origin.
  const usual = home === here?.origin ? ['__Host-csrftoken', '__Secure-csrftoken', 'csrftoken'] : []
  const csrf = createCsrf(host, csrfCookie ? [csrfCookie] : usual)

  const send: Server['send'] = (url, input, init, extra) => {
    const headers = new Headers(init.headers ?? (input as Request).headers)
    for (const name in extra) headers.set(name, extra[name]!)
    const all: RequestInit = { ...init, headers }
    const secret = headers.has(csrfHeader) // a redirect to another origin would take it along
    if (url.origin !== here?.origin) {
      all.credentials ??= 'include'
      if (secret) all.redirect ??= 'error' // which origins are good cannot be said, so it is followed nowhere
    } else if (secret) {
      all.mode ??= 'same-origin'
      // In that mode a page whose policy is no-referrer says "Origin: null" (Fetch, section 3.2), which no server can believe.
      all.referrerPolicy ??= 'strict-origin'
    }
    return fetch(input, all)
  }

  let asking: Promise<string> | undefined
  const ask = () =>
    (asking ??= call('GET', '/csrf')
      .then(({ csrf_token }) => (csrf.keep(csrf_token), csrf_token))
      .catch(() => '') // the request itself will say what is wrong
      .finally(() => (asking = undefined)))

  const withToken: Server['withToken'] = async (method, replayable, attempt, view) => {
    if (/^(get|head|options)$/i.test(method)) return attempt({})
    const token = csrf.token() || (signedIn() && (await ask()))
    const result = await attempt(token ? { [csrfHeader]: token } : {})
    const { status, headers } = view(result)
    if (status !== 403 || headers.get(problemHeader) !== 'csrf_failed' || !replayable) return result
    const fresh = await ask()
    return fresh ? attempt({ [csrfHeader]: fresh }) : result
  }

  const call: Server['call'] = async (method, path, { body, signal, headers, via } = {}) => {
    const url = root + path
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(), patience)
    const init: RequestInit = { method, headers: { ...headers }, cache: 'no-store', signal: signal ?? (via ? null : limit.signal) }
    if (body) {
      init.body = JSON.stringify(body)
      init.headers = { ...headers, 'Content-Type': 'application/json' }
    }
    let response: Response | undefined
    let answer
    try {
      response = await (via
        ? via(url, init)
        : withToken(method, true, (extra) => send(new URL(url), url, init, extra), viewResponse))
      answer = await response.json()
    } catch (cause) {
      if (signal?.aborted || cause instanceof AuthError) throw cause
      throw new AuthError('network', { cause, retryAfter: retryAfter(response) })
    } finally {
      clearTimeout(timer)
    }
    if (response.ok) return answer
    const code = response.headers.get(problemHeader) as ErrorCode | null
    throw new AuthError(code ?? 'network', { problem: code ? answer : undefined, retryAfter: retryAfter(response) })
  }

  return {
    name: 'tokenjar:' + root,
    csrf,
    own(text) {
      try {
        const url = new URL(text, base ?? host.document?.baseURI ?? here?.href)
        return /^http/.test(url.protocol) && origins.includes(url.origin) ? url : null
      } catch {
        return null // fetch will say what is wrong with it
      }
    },
    send,
    pass: fetch,
    withToken,
    call,
  }
}

const retryAfter = (response: Response | undefined) => Number(response?.headers.get('Retry-After')) || 0
