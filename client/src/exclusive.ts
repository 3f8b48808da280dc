import type { Host } from './host.js'

/** How long a tab waits for another one that renews. A frozen tab keeps its lock; a closed one does not. */
const patience = 2000

/**
 * Runs one after the other across all tabs, where the browser has locks. Without them, or when the holder takes too long, it
 * runs all the same: the server gives parallel renewals the same successor, so the lock saves requests and nothing else.
 *
 * `waited` says that another tab may have done the work meanwhile. `run` must not reject.
 */
export async function exclusive<T>(host: Host, name: string, run: (waited: boolean) => Promise<T>): Promise<T> {
  const locks = host.location && host.navigator?.locks
  let running: Promise<T> | undefined
  if (locks) {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    try {
      const free = await locks.request(name, { ifAvailable: true }, async (lock) => lock && (await (running = run(false)), true))
      if (!free) {
        timer = setTimeout(() => abort.abort(), patience)
        await locks.request(name, { signal: abort.signal }, () => {
          clearTimeout(timer)
          return (running = run(true))
        })
      }
    } catch {
      // Not granted in time, or not allowed here at all: some browsers refuse locks in private mode.
    } finally {
      clearTimeout(timer)
    }
  }
  return running ?? run(!!host.location)
}
