import type { Auth } from './auth.js'
import type { Outcome } from './outcome.js'

/** A stream that is kept open. */
export interface Stream {
  close(): void
}

export interface KeepOpenOptions {
  /** Closes the stream for good. */
  signal?: AbortSignal
  /** Called when the session has ended, so that the stream is not opened again. */
  onEnded?: (outcome: Outcome) => void
}

/** What a stream calls at its end, with whether the server ended it because of the session. */
export interface Ended {
  (bySession: boolean): void
  /** It has been open, so the next one may be tried at once. */
  opened(): void
}

/** Opens a stream again whenever it ends, with a good access token each time and less and less often while that fails. */
export function keepOpen(auth: Pick<Auth, 'ensure' | 'refresh'>, open: (ended: Ended) => Stream, { signal, onEnded }: KeepOpenOptions): Stream {
  let stream: Stream | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0
  let closed = false

  const close = () => {
    closed = true
    clearTimeout(timer)
    signal?.removeEventListener('abort', close)
    stream?.close()
  }

  const again = (seconds: number, bySession: boolean) => {
    timer = setTimeout(() => void begin(bySession), seconds * 1000 * (1 + Math.random() / 4))
  }

  const begin = async (bySession: boolean) => {
    const outcome = await (bySession ? auth.refresh() : auth.ensure())
    if (closed) return
    if (outcome.outcome === 'try_later') return again(outcome.after, bySession)
    if (outcome.outcome === 'session_ended') {
      close()
      onEnded?.(outcome)
      return
    }
    let wasOpen = false
    const ended = (ofSession: boolean) => {
      if (closed) return
      // Why a handshake failed is not told. The first time it is taken for a token that the server no longer takes.
      const doubtful = !wasOpen && failures === 0
      again(Math.min(60, 2 ** failures++), ofSession || doubtful)
    }
    ended.opened = () => {
      wasOpen = true
      failures = 0
    }
    stream = open(ended)
  }

  if (signal?.aborted) closed = true
  else {
    signal?.addEventListener('abort', close)
    void begin(false)
  }
  return { close }
}
