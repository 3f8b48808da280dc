import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { world, type WorldOptions } from './world.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Date.UTC(2026, 0, 1) }))
afterEach(() => void vi.useRealTimers())

const strict: WorldOptions = { transparentRenewal: false }

async function signedIn(options: WorldOptions = strict, count = 1) {
  const w = world(options)
  w.server.signIn('ada')
  const tabs = Array.from({ length: count }, () => w.open())
  await Promise.all(tabs.map((tab) => tab.auth.load()))
  return { w, tabs, tab: tabs[0]!, auth: tabs[0]!.auth }
}

/** Lets everything happen that happens within a time. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('single flight', () => {
  test('CL-01 fifty requests that meet an expired token share one refresh and are sent once more each', async () => {
    const { w, auth } = await signedIn()
    w.server.advanceTo('access-expired')
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => auth.fetch('/api/' + i)))
    expect(answers.map((a) => a.status)).toEqual(Array(50).fill(200))
    expect(w.seen('/auth/token/refresh')).toHaveLength(1)
    expect(w.server.requests.filter((r) => r.path.startsWith('/api/'))).toHaveLength(100)
  })

  test('CL-02 ten tabs that meet an expired token share one refresh', async () => {
    const { w, tabs } = await signedIn(strict, 10)
    w.server.advanceTo('access-expired')
    const all = Promise.all(tabs.flatMap(({ auth }) => [auth.fetch('/api/a'), auth.fetch('/api/b', { method: 'POST', body: 'x' })]))
    await pass(5000)
    expect((await all).map((a) => a.status)).toEqual(Array(20).fill(200))
    expect(w.seen('/auth/token/refresh')).toHaveLength(1)
  })
})
