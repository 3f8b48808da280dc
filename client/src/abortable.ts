/** A promise that ends with the signal at the latest. `start` may return how to stop what it began. */
export function abortable<T>(
  signal: AbortSignal | null | undefined,
  start: (done: (value: T) => void, fail: (reason: unknown) => void) => (() => void) | void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let stop: (() => void) | void
    const ending =
      <V>(settle: (value: V) => void) =>
      (value: V) => {
        signal?.removeEventListener('abort', abort)
        stop?.()
        settle(value)
      }
    const fail = ending(reject)
    const abort = () => fail(signal!.reason)
    if (signal?.aborted) return abort()
    signal?.addEventListener('abort', abort)
    stop = start(ending(resolve), fail)
  })
}
