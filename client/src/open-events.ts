import { keepOpen, type KeepOpenOptions, type Stream, type StreamAuth } from './keep-open.js'

/**
 * Opens an event stream and opens it anew when it ends, until the session ends. The browser does so itself as long as it gets
 * an answer; after a 401 it gives up, and this renews and goes on. A relative address is relative to the page, whatever `baseUrl`
 * says.
 *
 * @example
 * const stream = openEvents(auth, '/api/events', (source) => {
 *   source.onmessage = ({ data }) => show(data)
 * })
 */
export function openEvents(auth: StreamAuth, url: string | URL, opened: (source: EventSource) => void, options: KeepOpenOptions = {}): Stream {
  const address = new URL(url, location.href)
  return keepOpen(
    auth,
    (ended) => {
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
