import type { Auth } from './auth.js'
import { keepOpen, type KeepOpenOptions, type Stream } from './keep-open.js'

/**
 * Opens an event stream and opens it anew when it ends, until the session ends. The browser does so itself as long as it gets
 * an answer; after a 401 it gives up, and this renews and goes on.
 *
 * @example
 * const stream = openEvents(auth, '/api/events', (source) => {
 *   source.onmessage = ({ data }) => show(data)
 * })
 */
export function openEvents(auth: Pick<Auth, 'ensure' | 'refresh'>, url: string | URL, opened: (source: EventSource) => void, options: KeepOpenOptions = {}): Stream {
  return keepOpen(
    auth,
    (ended) => {
      const address = new URL(url, location.href)
      const source = new EventSource(address, { withCredentials: address.origin !== location.origin })
      let first = true
      source.addEventListener('open', () => {
        ended.opened()
        if (first) opened(source)
        first = false
      })
      source.addEventListener('error', () => {
        if (source.readyState === source.CLOSED) ended(false)
      })
      return source
    },
    options,
  )
}
