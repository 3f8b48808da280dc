/** The work, or the signal's reason, whichever comes first. The work itself goes on: others may wait for it too. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return work
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    void work.then(resolve, reject).then(() => signal.removeEventListener('abort', abort))
  })
}
