import type { Host } from './host.js'
import type { AuthOptions } from './options.js'

/** Which addresses are the server's. To all others a request goes as it is, with nothing of ours. */
export interface Address {
  /** Where the server's own operations begin, as an absolute address. */
  readonly root: string
  /** Whether the server is of the page's own origin, so that the page sees its readable cookie. */
  readonly home: boolean
  /** The address as it would be fetched, or nothing when it is not the server's. */
  own(url: string): URL | undefined
}

export function createAddress(host: Pick<Host, 'location' | 'document'>, { baseUrl, origins = [], authPath = '/auth' }: AuthOptions): Address {
  const here = host.location
  const base = baseUrl ? new URL(baseUrl, here?.href) : here
  const origin = base?.origin
  return {
    // Slashes are put here, whatever is written: without the first one the path would go on with the server's name.
    root: [origin, ...authPath.split('/').filter(Boolean)].join('/'),
    home: origin === here?.origin,
    own(text) {
      try {
        const url = new URL(text, baseUrl ? base?.href : (host.document?.baseURI ?? here?.href))
        // By the parsed address alone: fetch goes by it too.
        if ([origin, ...origins].includes(url.origin)) return url
      } catch {
        // fetch will say what is wrong with it
      }
      return
    },
  }
}
