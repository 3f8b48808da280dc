import { keepOpen, type KeepOpenOptions, type Stream, type StreamAuth } from './keep-open.js'

/**
 * Opens a WebSocket and opens it anew when it ends, until the session ends. The server closes a WebSocket with 4401 when its
 * session is over or its claims have changed; and it never renews a session on the way of a handshake, so that is done before.
 * A relative address is relative to the page, whatever `baseUrl` says.
 *
 * @example
 * const stream = openSocket(auth, '/api/live', (socket) => {
 *   socket.onmessage = ({ data }) => show(data)
 * })
 */
export function openSocket(
  auth: StreamAuth,
  url: string | URL,
  opened: (socket: WebSocket) => void,
  options: KeepOpenOptions & { protocols?: string | string[] } = {},
): Stream {
  const address = new URL(url, location.href)
  address.protocol = address.protocol.replace('http', 'ws')
  return keepOpen(
    auth,
    (ended) => {
      const socket = new WebSocket(address, options.protocols)
      socket.addEventListener('open', () => {
        ended.opened()
        opened(socket)
      })
      socket.addEventListener('close', ({ code }) => ended(code === 4401))
      return socket
    },
    options,
  )
}
