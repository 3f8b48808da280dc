import { abortable } from './abortable.js'
import type { Address } from './address.js'
import type { Answer, AuthRequestInit, Guarded, OperationOptions } from './auth.js'
import type { Csrf } from './csrf.js'
import { AuthError, type ErrorCode } from './error.js'
import type { Host } from './host.js'
import type { AuthOptions } from './options.js'
import { known, refreshed } from './outcome.js'
import type { SessionCore } from './session.js'
import type { Store } from './store.js'
import { patience } from './times.js'
import type { Problem } from './wire.js'

/** Only answers of the server itself carry it. A 401 without it is somebody else's, and no reason to do anything. */
const problemHeader = 'X-Tokenjar-Problem'

const csrfHeader = 'X-CSRFToken'

/** A request of the client's own: the CSRF token goes with it, and a 401 is its answer. */
interface Plain {
  plain?: boolean | undefined
}

/** What goes over the network, and what happens around it. */
export interface Http {
  guard<T extends Answer>(request: Guarded & Plain, attempt: (headers: Record<string, string> | null) => Promise<T>): Promise<T>
  fetch(input: RequestInfo | URL, init?: (AuthRequestInit & Plain) | null): Promise<Response>
  /** Calls an operation of the server's and reads the answer. Throws AuthError, or the signal's reason. */
  call(method: string, path: string, options?: OperationOptions & Plain & { body?: unknown }): Promise<any>
}

export function createHttp(host: Host, options: AuthOptions, address: Address, csrf: Csrf, session: SessionCore, store: Store): Http {
  let refused = 0 // until then a 401 is no reason to renew
  const { fetch: pass = (...args) => host.fetch(...args) } = options
  let asking: Promise<string> | undefined

  /** Gets the CSRF token from the server, '' when there is none: then the request itself will say what is wrong. */
  const ask = () =>
    (asking ??= call('GET', '/csrf', { plain: true })
      .then(({ csrf_token }) => csrf.keep(csrf_token), () => '')
      .finally(() => (asking = undefined)))

  const guard: Http['guard'] = async ({ url, method = 'GET', replayable = true, passive, park = !passive && options.park, signal, plain }, attempt) => {
    if (!address.own(url)) return attempt(null)
    let owner = ''
    // Nothing is sent as somebody else, and no answer given to somebody else. Where nobody is known, it is for whoever is there.
    const same = () => {
      if (!plain && (owner ||= session.owner) !== session.owner) throw new AuthError('session_ended')
    }
    const parked = () => park && owner === session.owner && store.is('expired')
    const send = (token: string) => attempt({ ...(token && { [csrfHeader]: token }), ...(passive && { 'X-Passive': '1' }) } as {})
    const unsafe = !/^(get|head|options)$/i.test(method)

    if (!plain && !passive) session.touch()
    let asked = ''
    for (let again = true; ; ) {
      // Each of these takes its time, in which the others may change. When none is left, the request goes out at once.
      for (;;) {
        same()
        if (parked()) {
          await abortable(store.until(() => !parked()), signal)
          again = true
        } else if (owner && session.unsure()) known(await abortable(session.check(), signal))
        else if (unsafe && !csrf.token() && !asked && store.is('authenticated')) asked = (await ask()) || ' '
        else break
      }
      const { generation } = session
      const result = await send(unsafe ? csrf.token() : '')
      const code = result.headers.get(problemHeader)
      let next
      if (unsafe && code === 'csrf_failed') {
        // The token that did not do may be that of the user who is shown, and the new one somebody else's.
        if (!asked && (asked = await ask())) next = session.check()
      } else if (!plain && result.status === 401 && code && !store.is('anonymous')) {
        const { action }: Partial<Problem> = await (result.clone?.() ?? result).json().catch(() => ({}))
        if (action === 'refresh') {
          // A new token that is refused like the old one: another would be as well, so for a while nobody asks for one.
          if (!again) refused = Date.now() + patience
          if (Date.now() >= refused) next = session.renew(generation, true)
        }
        // A sign-in that is too old for one request is no end of the session.
        else if (action === 'login' && code !== 'step_up_required') next = session.check(code as ErrorCode)
      }
      const outcome = next && known(await abortable(next, signal))
      same()
      if (!next || (outcome === refreshed ? !again : !parked())) return result
      if (!replayable) throw new AuthError('body_not_replayable')
      again = code === 'csrf_failed'
    }
  }

  const fetch: Http['fetch'] = (input, given) => {
    const { park, passive, plain, ...init } = given ?? {}
    const source: Partial<Request> = input instanceof Request ? input : { url: String(input) }
    const url = source.url!
    return guard<Response>(
      {
        url,
        park,
        passive,
        plain,
        method: init.method ?? source.method,
        signal: init.signal ?? source.signal,
        // A Request is kept until its answer is there. A stream is not: it may be larger than the memory.
        replayable: !(init.body instanceof ReadableStream),
      },
      (extra) => {
        if (!extra) return pass(input, init)
        const own = address.own(url)!
        const headers = new Headers(init.headers ?? source.headers)
        for (const name in extra) headers.set(name, extra[name]!)
        // Unless it says otherwise, a page whose policy is no-referrer says "Origin: null" in mode same-origin (Fetch, section 3.2),
        // and no server can believe that.
        const all: RequestInit = { referrerPolicy: 'origin', ...init, headers }
        // A redirect to another origin would take the token along. From another origin it cannot be told apart: none is followed.
        const secret = extra[csrfHeader]
        if (own.origin !== host.location?.origin) {
          all.credentials ??= 'include'
          if (secret) all.redirect ??= 'error'
        } else if (secret) all.mode ??= 'same-origin'
        return pass(source.clone?.() ?? own, all)
      },
    )
  }

  const call: Http['call'] = async (method, path, { body, signal, plain, passive } = {}) => {
    let response: Response | undefined
    let answer
    let cause
    try {
      response = await fetch(address.root + path, {
        method,
        plain,
        passive,
        body: (body && JSON.stringify(body)) as string,
        headers: (body && { 'Content-Type': 'application/json' }) as {},
        signal: signal ?? (plain ? AbortSignal.timeout(patience) : null),
      })
      answer = await response.json()
      if (response.ok) return answer
    } catch (error) {
      if (signal?.aborted || error instanceof AuthError) throw error
      cause = error
    }
    const code = cause ? null : (response!.headers.get(problemHeader) as ErrorCode | null)
    throw new AuthError(code ?? 'network', +response?.headers.get('Retry-After')! || 0, code ? answer : undefined, cause)
  }

  return { guard, fetch, call }
}
