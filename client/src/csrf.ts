import type { Host } from './host.js'

/**
 * The CSRF token: from the readable cookie, or, for a page that cannot read it, from the server, kept in memory.
 *
 * A token from the server counts while the cookie is the same as when it was asked for: it was asked for because that
 * cookie did not do, and a new cookie means a new session.
 */
export interface Csrf {
  cookie(): string
  token(): string
  keep(token: string): void
}

export function createCsrf(host: Host, names: readonly string[]): Csrf {
  let kept = { token: '', cookie: '' }
  const cookie = () => {
    // Workers have no document, and reading cookies throws in a sandboxed frame.
    let all: string[] = []
    try {
      all = host.document?.cookie.split('; ') ?? []
    } catch {}
    for (const name of names) {
      const found = all.find((pair) => pair.startsWith(name + '='))
      if (found) return found.slice(name.length + 1)
    }
    return ''
  }
  return {
    cookie,
    token() {
      const now = cookie()
      return (kept.cookie === now && kept.token) || now
    },
    keep(token) {
      kept = { token, cookie: cookie() }
    },
  }
}
