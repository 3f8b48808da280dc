import type { Snapshot } from './snapshot.js'

/** Holds the snapshot. It is replaced only when something in it changes. */
export interface Store {
  get(): Snapshot
  is(status: Snapshot['status']): boolean
  set(status: Snapshot['status'], user?: Snapshot['user'], expiresAt?: number | null, reason?: Snapshot['reason']): void
  subscribe(listener: () => void): () => void
  /** Waits until something holds. */
  until(holds: () => boolean): Promise<void>
  /** Calls all listeners, so that they look again. */
  rouse(): void
}

export function createStore(): Store {
  let snapshot: Snapshot
  const listeners = new Set<() => void>()
  const store: Store = {
    get: () => snapshot,
    is: (status) => snapshot.status === status,
    set(status, user = null, expiresAt = null, reason = null) {
      const next = { status, user, expiresAt, reason } as Snapshot
      if (JSON.stringify(next) === JSON.stringify(snapshot)) return
      snapshot = next
      store.rouse()
    },
    subscribe(listener) {
      const entry = () => listener() // one function may subscribe twice
      listeners.add(entry)
      return () => void listeners.delete(entry)
    },
    until: (holds) =>
      new Promise((done) => {
        const stop = store.subscribe(() => {
          if (holds()) done(stop())
        })
      }),
    rouse() {
      for (const listener of [...listeners]) {
        try {
          listener()
        } catch (error) {
          queueMicrotask(() => {
            throw error // to the page's own error handler: it is no fault of the session's
          })
        }
      }
    },
  }
  store.set('unknown')
  return store
}
