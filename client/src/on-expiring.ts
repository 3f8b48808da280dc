import type { Auth } from './auth.js'

/** Timers count 31 bits of milliseconds; sessions may live longer. */
const furthest = 2 ** 31 - 1

/**
 * Calls the listener some time before the session ends because nobody uses it, once for each such end. {@link Auth.extend} moves
 * it. Returns how to stop.
 *
 * @example
 * const stop = onExpiring(auth, (expiresAt) => showWarning(expiresAt, () => auth.extend()))
 */
export function onExpiring(auth: Auth, listener: (expiresAt: number) => void, seconds = 60): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let warned: number | null = null
  let stopped = false
  /** Milliseconds until the warning is due. */
  const left = () => {
    const { expiresAt } = auth.getSnapshot()
    return expiresAt && expiresAt !== warned ? expiresAt - seconds * 1000 - Date.now() : Infinity
  }
  const plan = () => {
    clearTimeout(timer)
    if (left() < Infinity) timer = setTimeout(look, Math.min(left(), furthest))
  }
  const look = async () => {
    // The end may have moved: the server renews on the way of requests, and does not say so.
    if (left() <= 0) await auth.load().catch(() => {})
    if (stopped) return
    if (left() <= 0) listener((warned = auth.getSnapshot().expiresAt)!)
    plan()
  }
  const stop = auth.subscribe(plan)
  plan()
  return () => {
    stopped = true
    stop()
    clearTimeout(timer)
  }
}
