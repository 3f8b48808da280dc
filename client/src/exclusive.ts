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
  const locks = host.navigator?.locks
  let running: Promise<T> | undefined
  try {
    await locks!.request(name, { ifAvailable: true }, (lock) => lock && (running = run(false)))
    if (!running) await locks!.request(name, { signal: AbortSignal.timeout(patience) }, () => (running = run(true)))
  } catch {
    // Not granted in time, or there are none, or not here: some browsers refuse locks in private mode.
  }
  return running ?? run(!!host.location)
}
