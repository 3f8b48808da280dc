import type { Auth } from './auth.js'
import type { Outcome } from './outcome.js'

/** The part of the client that streams need. */
export type StreamAuth = Pick<Auth, 'ensure' | 'refresh' | 'load' | 'subscribe' | 'getSnapshot'>

/** A stream that is kept open. */
export interface Stream {
  close(): void
}

export interface KeepOpenOptions {
  /** Closes the stream for good. */
  signal?: AbortSignal
  /** Called when the session has ended or is another user's, so that the stream is closed and not opened again. */
  onEnded?: (outcome: Outcome) => void
}

/** What a stream calls at its end, with whether the server ended it because of the session. */
export interface Ended {
  (bySession: boolean): void
  /** It has been open, so the next one may be tried at once. */
  opened(): void
}

/**
 * Opens a stream again whenever it ends, with a good access token each time and less and less often while that fails. It is one
 * user's: what the next one gets is nothing for the first one's handlers.
 */
export function keepOpen(auth: StreamAuth, open: (ended: Ended) => Stream, { signal, onEnded }: KeepOpenOptions): Stream {
  let stream: Stream | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let whose = auth.getSnapshot().user?.id
  let failures = 0
  let refused = 0 // handshakes since the last stream that was open
  let closed = false

  const close = () => {
    closed = true
    clearTimeout(timer)
    stop()
    signal?.removeEventListener('abort', close)
    stream?.close()
  }

  const over = (outcome: Outcome) => {
    close()
    onEnded?.(outcome)
  }

  const again = (seconds: number, bySession: boolean) => {
    timer = setTimeout(() => void begin(bySession), seconds * 1000 * (1 + Math.random() / 4))
  }

  const begin = async (bySession: boolean) => {
    // After the first handshake that failed the token has been renewed. If the next one fails, the server may still be asked.
    if (refused > 1) await auth.load().catch(() => {})
    const outcome = await (bySession ? auth.refresh() : auth.ensure())
    if (closed) return
    if (outcome.outcome === 'try_later') return again(outcome.after, bySession)
    if (outcome.outcome === 'session_ended') return over(outcome)
    whose ??= auth.getSnapshot().user?.id
    let wasOpen = false
    const ended = (ofSession: boolean) => {
      if (closed) return
      // Why a handshake failed is not told. The first time it is taken for a token that the server no longer takes.
      const doubtful = !wasOpen && refused++ === 0
      again(Math.min(60, 2 ** failures++), ofSession || doubtful)
    }
    ended.opened = () => {
      wasOpen = true
      failures = refused = 0
    }
    stream = open(ended)
  }

  const stop = auth.subscribe(() => {
    const { status, user } = auth.getSnapshot()
    if (whose && (status === 'anonymous' || (user && user.id !== whose))) over({ outcome: 'session_ended', reason: 'session_ended' })
  })
  if (signal?.aborted) close()
  else {
    signal?.addEventListener('abort', close)
    void begin(false)
  }
  return { close }
}
