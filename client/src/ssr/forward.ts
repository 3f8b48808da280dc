import type { Cookies } from './cookies.js'
import type { ServerAuthOptions } from './create-server-auth.js'

/** A browser follows twenty redirects. */
const furthest = 20

/**
 * What a browser says of its own request, and of the way to this server, is wrong of any other: the length of another body, a
 * condition on another answer, where it comes from.
 */
const theirs =
  /^(accept|accept-encoding|authorization|cache-control|connection|content-.*|cookie|expect|if-.*|keep-alive|origin|pragma|proxy-.*|range|referer|sec-.*|te|trailer|transfer-encoding|upgrade.*|x-csrftoken)$/

/** The browser's part in front of the server: its cookies go out, what is set comes in. Other origins get none of it. */
export function createForward(cookies: Cookies, root: string, options: ServerAuthOptions): typeof fetch {
  const { fetch: send = globalThis.fetch, origin } = options
  const home = new URL(root).origin
  return async (input, init) => {
    // Looked at before a Request is made of it, which would use up the body.
    if (new URL(input instanceof Request ? input.url : input).origin !== home) return send(input, init)
    let request = new Request(input, init)
    const safe = /^(GET|HEAD|OPTIONS)$/.test(request.method)
    const renewal = request.url === root + '/token/refresh'
    if (!safe && !renewal && !origin) {
      // The CSRF token is added here, for whoever caused the request. Its origin is what is left to judge it by.
      throw new TypeError(`createServerAuth needs the origin of the browser's request for ${request.method}`)
    }
    const { redirect } = request
    for (let hops = 0; ; hops++) {
      const headers = new Headers(request.headers)
      new Headers(options.headers).forEach((value, name) => headers.has(name) || theirs.test(name) || headers.set(name, value))
      if (cookies.header) headers.set('Cookie', cookies.header)
      if (!safe && !renewal) headers.set('Origin', origin!)
      // Redirects are followed here: cookies go to no other origin, and none that is set on the way is lost. What one user is
      // answered must not lie in a cache of the framework's.
      const response = await send(new Request(request, { headers, redirect: 'manual', cache: 'no-store' }))
      cookies.receive(response.headers.getSetCookie())
      const location = response.headers.get('Location')
      if (!safe || redirect !== 'follow' || !location || response.status < 300 || response.status > 399 || hops === furthest) return response
      const next = new URL(location, request.url)
      if (next.origin !== home) return response
      request = new Request(next, { method: request.method, headers: request.headers, signal: request.signal })
    }
  }
}
