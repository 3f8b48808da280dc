// @vitest-environment happy-dom
import { createApp, createSSRApp, h, nextTick, type App } from 'vue'
import { renderToString } from 'vue/server-renderer'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createAuth, type Auth } from '../src/index.js'
import { fakeServer, type FakeServer } from '../src/testing.js'
import { createAuthPlugin, guardRouter, useAuth, type RouteLike } from '../src/vue.js'

const origin = 'http://localhost'
const ada = { username: 'ada', password: 'secret' }
const user = { id: 'u1', username: 'ada', email: 'ada@example.com', email_verified: true, first_name: '', last_name: '' }
const state = { authenticated: true, user, access_expiration: null, access_expires_in: null, refresh_expiration: '2999-01-01T00:00:00Z' }

let server: FakeServer
let auth: Auth
let app: App | undefined
let hold: Promise<void> | undefined

const Page = {
  setup() {
    const { session } = useAuth()
    return () => h('p', `${session.value.status} ${session.value.user?.username ?? 'nobody'}`)
  },
}
const mount = () => {
  document.body.innerHTML = '<div id="app"></div>'
  app = createApp({ render: () => [h(Page), h(Page)] }).use(createAuthPlugin(auth))
  app.mount('#app')
}
const text = () => document.body.textContent
const twice = (line: string) => vi.waitFor(() => expect(text()).toBe(line + line))

beforeEach(() => {
  hold = undefined
  server = fakeServer({ origin, users: [{ username: 'ada' }, { username: 'bob' }], network: async (_, phase) => (phase === 'sent' ? hold : undefined) })
  auth = createAuth({ baseUrl: origin, fetch: server.fetch, csrfCookie: 'none' })
})
afterEach(() => {
  app?.unmount()
  app = undefined
  auth.close()
})

describe('useAuth', () => {
  test('every component shows who is here, and the server is asked once', async () => {
    server.signIn()
    mount()
    await twice('authenticated ada')
    expect(server.requests.filter((r) => r.path === '/auth/session')).toHaveLength(1)
    await auth.logout()
    await twice('anonymous nobody')
    await auth.login(ada)
    server.endSession()
    await auth.fetch('/api/note')
    await twice('expired ada')
  })

  test('an application that is taken down listens no more', async () => {
    let listeners = 0
    const { subscribe } = auth
    auth.subscribe = (listener) => {
      listeners++
      const stop = subscribe(listener)
      return () => (listeners--, stop())
    }
    mount()
    expect(listeners).toBe(1)
    app!.unmount()
    app = undefined
    expect(listeners).toBe(0)
    expect(text()).toBe('')
  })

  test('the session cannot be changed by a component', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    app = createApp({ render: () => null }).use(createAuthPlugin(auth))
    const { session } = app.runWithContext(() => useAuth())
    const before = session.value
    Object.assign(session, { value: { status: 'authenticated', user } })
    expect(session.value).toBe(before)
    expect(warn).toHaveBeenCalled()
    warn.mockRestore()
  })

  test('without the plugin the error says so', () => {
    expect(() => createApp({}).runWithContext(() => useAuth())).toThrow('createAuthPlugin')
  })

  test('pages of two users that are drawn at the same time do not mix', async () => {
    const other = createAuth({ baseUrl: origin, fetch: server.fetch })
    auth.hydrate(state)
    other.hydrate({ ...state, user: { ...user, id: 'u2', username: 'bob' } })
    const html = (of: Auth) => {
      const ssr = createSSRApp({
        async setup() {
          const { session } = useAuth()
          await nextTick() // the other page is begun meanwhile
          return () => h('p', session.value.user!.username)
        },
      })
      return renderToString(ssr.use(createAuthPlugin(of)))
    }
    expect(await Promise.all([html(auth), html(other)])).toEqual(['<p>ada</p>', '<p>bob</p>'])
  })
})

/** A router as far as the guard looks at one. */
function fakeRouter(start: RouteLike) {
  const guards = new Set<(to: RouteLike) => Promise<unknown>>()
  const router = {
    currentRoute: { value: start },
    replaced: [] as unknown[],
    beforeEach: (guard: (to: RouteLike) => Promise<true | string>) => (guards.add(guard), () => void guards.delete(guard)),
    replace: (to: string) => router.replaced.push(to),
    open: (to: RouteLike) => Promise.all([...guards].map((guard) => guard(to))).then(([verdict = true]) => verdict),
  }
  return router
}
const secret: RouteLike = { fullPath: '/notes?tab=2', meta: { requiresAuth: true } }
const open: RouteLike = { fullPath: '/about', meta: {} }
const signIn = (to: RouteLike) => '/sign-in?next=' + encodeURIComponent(to.fullPath)

describe('guardRouter', () => {
  test('a route that needs nobody is opened without asking', async () => {
    const router = fakeRouter(open)
    hold = new Promise(() => {})
    guardRouter(router, auth, { signIn })
    expect(await router.open(open)).toBe(true)
  })

  test('whoever is not signed in is sent to sign in, with the way back', async () => {
    const router = fakeRouter(open)
    guardRouter(router, auth, { signIn })
    expect(await router.open(secret)).toBe('/sign-in?next=%2Fnotes%3Ftab%3D2')
    await auth.login(ada)
    expect(await router.open(secret)).toBe(true)
  })

  test('a server that does not answer sends nobody away: the page waits until it does', async () => {
    server.signIn()
    server.refuse('store_unavailable', { times: 2 })
    const router = fakeRouter(open)
    guardRouter(router, auth, { signIn })
    vi.useFakeTimers()
    try {
      let verdict: unknown
      void router.open(secret).then((v) => (verdict = v))
      await vi.advanceTimersByTimeAsync(500)
      expect(server.requests).toHaveLength(1)
      expect(verdict).toBeUndefined()
      await vi.advanceTimersByTimeAsync(10_000)
      expect(server.requests).toHaveLength(3)
      expect(verdict).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })

  test('signing out leaves the page', async () => {
    server.signIn()
    await auth.load()
    const router = fakeRouter(secret)
    guardRouter(router, auth, { signIn, stay: true })
    await auth.logout()
    expect(router.replaced).toEqual(['/sign-in?next=%2Fnotes%3Ftab%3D2'])
  })

  test.each([
    [false, ['/sign-in?next=%2Fnotes%3Ftab%3D2']],
    [true, []],
  ])('a session that ends leaves the page, unless it may stay (%s)', async (stay, want) => {
    server.signIn()
    await auth.load()
    const router = fakeRouter(secret)
    guardRouter(router, auth, { signIn, stay })
    server.endSession()
    await auth.fetch('/api/note')
    expect(router.replaced).toEqual(want)
    expect(await router.open(secret)).not.toBe(true)
  })

  test('a guard that was stopped does nothing', async () => {
    server.signIn()
    await auth.load()
    const router = fakeRouter(secret)
    guardRouter(router, auth, { signIn })()
    await auth.logout()
    expect(router.replaced).toEqual([])
    expect(await router.open(secret)).toBe(true)
  })

  test('the application says which routes need somebody', async () => {
    const router = fakeRouter(open)
    guardRouter(router, auth, { signIn, required: (to) => to.fullPath === '/about' })
    expect(await router.open(secret)).toBe(true)
    expect(await router.open(open)).toBe('/sign-in?next=%2Fabout')
  })
})
