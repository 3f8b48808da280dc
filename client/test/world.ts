import { afterEach, beforeEach, vi } from 'vitest'
import { createAuthIn } from '../src/create-auth-in.js'
import type { Channel, Host, PageEvent } from '../src/host.js'
import type { Auth, AuthOptions } from '../src/index.js'
import { fakeServer, type FakeServer, type FakeServerOptions } from '../src/testing.js'

// A browser with tabs, for tests with fake timers: locks, channels, cookies and events as a browser has them.

/** Time stands still in tests, and moves when it is told to. */
export function stopTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Date.UTC(2026, 0, 1) })
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const limit = new AbortController()
      setTimeout(() => limit.abort(new DOMException('The time is over.', 'TimeoutError')), ms)
      return limit.signal
    })
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.useRealTimers()
  })
}

/** Lets everything happen that happens within a time. */
export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** The result of something that needs time to pass. */
export async function after<T>(ms: number, work: Promise<T>): Promise<T> {
  const caught = work.then(
    (value) => () => value,
    (error: unknown) => () => {
      throw error
    },
  )
  await pass(ms)
  return (await caught)()
}

/** Tabs of a browser in which somebody is signed in. Requests are not renewed on their way unless that is asked for. */
export async function signedIn(count = 1, options: WorldOptions = {}, authOptions: AuthOptions = {}) {
  const w = world({ transparentRenewal: false, ...options })
  w.server.signIn()
  const tabs = Array.from({ length: count }, () => w.open(authOptions))
  await after(100, Promise.all(tabs.map(({ auth }) => auth.load())))
  const [tab] = tabs as [Tab]
  return { w, server: w.server, tabs, tab, auth: tab.auth }
}

export const origin = 'https://app.example.com'

export interface WorldOptions extends FakeServerOptions {
  /** Whether the browser has locks. @default true */
  locks?: boolean
  /** Whether it has channels. @default true */
  channels?: boolean
  /** How long a message to another tab takes, in milliseconds. @default 1 */
  messageDelay?: () => number
}

export interface Tab {
  readonly auth: Auth
  readonly host: Host
  /** Turns the page into one that is not seen, and back. */
  visible: boolean
  /** The browser closes the tab: nothing of it goes on, and its locks are free. */
  kill(): void
  /** The browser stops the tab: nothing of it goes on, and what it holds stays held. */
  freeze(): void
  thaw(): void
  fire(type: string, persisted?: boolean): void
}

export interface World {
  readonly server: FakeServer
  readonly tabs: readonly Tab[]
  online: boolean
  open(options?: AuthOptions, place?: Partial<Host>): Tab
  /** What has reached a path. */
  seen(path: string): FakeServer['requests']
  /** Sends a message as another page of this origin would. */
  post(message: unknown): void
  close(): void
}

interface Wanted {
  name: string
  run: () => void
  tab: object
}

/** Exclusive locks, granted in the order they are asked for. */
function lockManager() {
  let waiting: Wanted[] = []
  const held = new Map<string, object>()
  const grant = () => {
    for (const wanted of waiting) {
      if (held.has(wanted.name)) continue
      held.set(wanted.name, wanted.tab)
      waiting = waiting.filter((w) => w !== wanted)
      wanted.run()
    }
  }
  const release = (name: string, tab: object) => {
    if (held.get(name) === tab) held.delete(name)
    grant()
  }
  return {
    held,
    forget(tab: object) {
      waiting = waiting.filter((w) => w.tab !== tab)
      for (const [name, holder] of held) if (holder === tab) release(name, tab)
    },
    of: (tab: object) => ({
      async request(name: string, options: LockOptions, callback: (lock: object | null) => unknown) {
        if (options.ifAvailable && (held.has(name) || waiting.some((w) => w.name === name))) return callback(null)
        await new Promise<void>((resolve, reject) => {
          const wanted = { name, run: resolve, tab }
          waiting.push(wanted)
          options.signal?.addEventListener('abort', () => {
            if (!waiting.includes(wanted)) return
            waiting = waiting.filter((w) => w !== wanted)
            reject(options.signal!.reason)
          })
          queueMicrotask(grant)
        })
        try {
          return await callback({ name })
        } finally {
          release(name, tab)
        }
      },
    }),
  }
}

export function world(options: WorldOptions = {}): World {
  const server = fakeServer({ origin, ...options })
  const locks = lockManager()
  const channels = new Set<{ tab: { stopped: boolean; held: (() => void)[]; dead: boolean }; name: string; channel: Channel }>()
  const tabs: Tab[] = []
  const delay = options.messageDelay ?? (() => 1)

  const w: World = {
    server,
    tabs,
    online: true,
    seen: (path) => server.requests.filter((r) => r.path === path),
    post(message) {
      for (const { channel } of channels) channel.onmessage?.({ data: message })
    },
    close() {
      for (const tab of tabs) tab.auth.close()
    },
    open(authOptions = {}, place = {}) {
      const state = { stopped: false, dead: false, held: [] as (() => void)[] }
      const listeners = new Map<string, Set<(event: PageEvent) => void>>()
      let visible = true
      // Nothing reaches a page that is stopped, and nothing at all one that is closed.
      const arrive = () => new Promise<void>((resolve) => (state.stopped ? state.held.push(resolve) : state.dead || resolve()))

      class TabChannel implements Channel {
        onmessage: Channel['onmessage'] = null
        readonly entry
        constructor(name: string) {
          this.entry = { tab: state, name, channel: this }
          channels.add(this.entry)
        }
        postMessage(message: unknown) {
          if (!channels.has(this.entry)) throw new DOMException('The channel is closed.', 'InvalidStateError')
          const copy = structuredClone(message)
          for (const other of channels) {
            if (other === this.entry || other.name !== this.entry.name) continue
            setTimeout(() => {
              const deliver = () => channels.has(other) && other.channel.onmessage?.({ data: copy })
              if (other.tab.stopped) other.tab.held.push(deliver)
              else if (!other.tab.dead) deliver()
            }, delay())
          }
        }
        close() {
          channels.delete(this.entry)
        }
      }

      const host: Host = {
        fetch: async (input, init) => {
          if (!w.online) throw new TypeError('Failed to fetch')
          try {
            return await server.fetch(input, init)
          } finally {
            await arrive()
          }
        },
        location: { origin, href: origin + '/' },
        document: {
          baseURI: origin + '/',
          get cookie() {
            return server.cookie
          },
          get hidden() {
            return !visible
          },
        },
        navigator: {
          get onLine() {
            return w.online
          },
          ...(options.locks !== false && { locks: locks.of(state) as unknown as Pick<LockManager, 'request'> }),
        },
        BroadcastChannel: options.channels === false ? undefined : TabChannel,
        addEventListener(type, listener, { signal }) {
          const set = listeners.get(type) ?? new Set()
          listeners.set(type, set.add(listener))
          signal.addEventListener('abort', () => set.delete(listener))
        },
        ...place,
      }

      const tab: Tab = {
        auth: createAuthIn(host, authOptions),
        host,
        get visible() {
          return visible
        },
        set visible(now) {
          visible = now
          tab.fire('visibilitychange')
        },
        kill() {
          state.dead = true
          state.stopped = false
          tab.auth.close()
          locks.forget(state)
        },
        freeze() {
          state.stopped = true
        },
        thaw() {
          state.stopped = false
          for (const go of state.held.splice(0)) go()
        },
        fire(type, persisted = false) {
          for (const listener of listeners.get(type) ?? []) listener({ type, persisted })
        },
      }
      tabs.push(tab)
      return tab
    },
  }
  return w
}
