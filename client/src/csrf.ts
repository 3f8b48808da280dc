import type { Host } from './host.js'

/** The CSRF token: from the readable cookie, or, for a page that cannot read it, from the server, kept in memory. */
export interface Csrf {
  cookie(): string
  token(): string
  /** Keeps a token while the cookie stays as it is: it was asked for because that cookie did not do. */
  keep(token: string): string
}

export function createCsrf(host: Host | false, name = 'csrftoken'): Csrf {
  let kept = ''
  let beside = ''
  const csrf: Csrf = {
    cookie() {
      try {
        for (const prefix of ['__Host-', '__Secure-', '']) {
          for (const pair of (host as Host).document!.cookie.split('; ')) {
            const [key, value] = pair.split('=')
            if (key === prefix + name && value) return value
          }
        }
      } catch {
        // A worker has no document, a sandboxed frame no cookies, and those of another origin are not to be seen.
      }
      return ''
    },
    token() {
      const cookie = csrf.cookie()
      return (cookie === beside && kept) || cookie
    },
    keep(token) {
      beside = csrf.cookie()
      return (kept = token)
    },
  }
  return csrf
}
