import type { Snapshot } from './snapshot.js'

/** Holds the snapshot. It is replaced only when something in it changes. */
export interface Store {
  get(): Snapshot
  set(next: Snapshot): void
  subscribe(listener: () => void): () => void
  /** Calls all listeners, so that they look again. */
  rouse(): void
}

export function createStore(): Store {
  let snapshot: Snapshot = nobody('unknown')
  const listeners = new Set<() => void>()
  const rouse = () => {
    for (const listener of [...listeners]) listener()
  }
  return {
    get: () => snapshot,
    set(next) {
      if (JSON.stringify(next) === JSON.stringify(snapshot)) return
      snapshot = next
      rouse()
    },
    subscribe(listener) {
      const entry = () => listener() // one function may subscribe twice
      listeners.add(entry)
      return () => void listeners.delete(entry)
    },
    rouse,
  }
}

export function nobody(status: 'unknown' | 'anonymous'): Snapshot {
  return { status, user: null, expiresAt: null, reason: null }
}
