// @vitest-environment happy-dom
import { act, createElement as h, Fragment, startTransition, StrictMode, Suspense, useEffect, useState, type ReactNode } from 'react'
import { createRoot, hydrateRoot, type Root } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createAuth, type Auth } from '../src/index.js'
import { AuthProvider, RequireAuth, useAuth, useSession } from '../src/react.js'
import { fakeServer, type FakeServer, type FakeServerOptions } from '../src/testing.js'

const origin = 'http://localhost'
const ada = { username: 'ada', password: 'secret' }
const bob = { username: 'bob', password: 'secret' }

let server: FakeServer
let auth: Auth
let root: Root | undefined
let hold: Promise<void> | undefined
const begin = (options: FakeServerOptions = {}) => {
  server = fakeServer({ origin, users: [{ username: 'ada' }, { username: 'bob' }], network: async (_, phase) => (phase === 'sent' ? hold : undefined), ...options })
  auth = createAuth({ baseUrl: origin, fetch: server.fetch, csrfCookie: 'none' })
}

/** Draws, and waits for what the page knows by then. */
async function draw(node: ReactNode, { strict = false } = {}) {
  document.body.innerHTML = '<div id="app"></div>'
  root = createRoot(document.getElementById('app')!)
  const page = h(AuthProvider, { auth, children: node })
  await act(async () => root!.render(strict ? h(StrictMode, null, page) : page))
}
const text = () => document.body.textContent
const until = (is: () => void) => act(() => vi.waitFor(is))
const looks = () => server.requests.filter((r) => r.path === '/auth/session').length
const signedOut = h('p', null, 'signed out')

function Name() {
  const { user } = useSession({ required: true })
  return h('p', null, 'hello ' + user.username)
}

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })
  hold = undefined
  begin()
})
afterEach(async () => {
  await act(async () => root?.unmount())
  root = undefined
  auth.close()
  vi.restoreAllMocks()
})

describe('RequireAuth', () => {
  test('neither page is drawn until it is known who is here', async () => {
    server.signIn()
    let go!: () => void
    hold = new Promise((resolve) => (go = resolve))
    const drawn: string[] = []
    const observer = new MutationObserver(() => drawn.push(text()))
    observer.observe(document, { childList: true, subtree: true, characterData: true })
    await draw(h(RequireAuth, { fallback: signedOut, pending: 'wait', children: h(Name) }))
    expect(text()).toBe('wait')
    await act(async () => go())
    await until(() => expect(text()).toBe('hello ada'))
    observer.disconnect()
    expect(drawn.join()).not.toContain('signed out')
  })

  test('whoever is signed out sees the fallback, and the page after signing in', async () => {
    await draw(h(RequireAuth, { fallback: signedOut, children: h(Name) }))
    await until(() => expect(text()).toBe('signed out'))
    await act(async () => void (await auth.login(ada)))
    expect(text()).toBe('hello ada')
  })

  test('a page that needs a user is never drawn without one, however it loses the user', async () => {
    server.signIn()
    await draw(h(RequireAuth, { fallback: signedOut, children: [h(Name, { key: 1 }), h(Name, { key: 2 })] }), { strict: true })
    await until(() => expect(text()).toBe('hello adahello ada'))
    await act(() => auth.logout())
    expect(text()).toBe('signed out')
  })

  test('a session that ends leaves what was typed where it is, with the form in front', async () => {
    server.signIn()
    await draw(h(RequireAuth, { fallback: signedOut, expired: h('dialog', null, 'again'), children: h('input') }))
    await until(() => expect(document.querySelector('input')).not.toBeNull())
    const input = document.querySelector('input')!
    input.value = 'half a note'
    server.endSession()
    await act(async () => void (await auth.fetch('/api/note')))
    expect(text()).toBe('again')
    expect(document.querySelector('input')).toBe(input)
    await act(async () => void (await auth.login(ada)))
    expect(text()).toBe('')
    expect(document.querySelector('input')).toBe(input)
    expect(input.value).toBe('half a note')
  })

  test('without a form in front, the page goes when the session ends', async () => {
    server.signIn()
    await draw(h(RequireAuth, { fallback: signedOut, children: h(Name) }))
    await until(() => expect(text()).toBe('hello ada'))
    server.endSession()
    await act(async () => void (await auth.fetch('/api/note')))
    expect(text()).toBe('signed out')
  })

  test('another user finds nothing of what the first one typed', async () => {
    server.signIn()
    await draw(h(RequireAuth, { fallback: signedOut, expired: 'again', children: h('input') }))
    await until(() => expect(document.querySelector('input')).not.toBeNull())
    const input = document.querySelector('input')!
    input.value = 'a secret of ada'
    server.endSession()
    await act(async () => void (await auth.fetch('/api/note')))
    await act(async () => void (await auth.login(bob)))
    expect(document.querySelector('input')).not.toBe(input)
    expect(document.querySelector('input')!.value).toBe('')
  })
})

describe('useSession', () => {
  test('effects that run twice ask the server once and listen once', async () => {
    server.signIn()
    let listeners = 0
    const { subscribe } = auth
    auth.subscribe = (listener) => {
      listeners++
      const stop = subscribe(listener)
      return () => (listeners--, stop())
    }
    await draw(h(RequireAuth, { fallback: signedOut, children: h(Name) }), { strict: true })
    await until(() => expect(text()).toBe('hello ada'))
    expect(looks()).toBe(1)
    expect(listeners).toBe(2)
    await act(async () => root!.render(null))
    expect(listeners).toBe(0)
  })

  test('the end of a session is told once, to the newest callback', async () => {
    server.signIn()
    const told: string[] = []
    let again!: (n: number) => void
    function Page() {
      const [n, set] = useState(0)
      again = set
      useSession({ onExpired: ({ user }) => void told.push(`${n} ${user.username}`) })
      return null
    }
    await draw(h(Page), { strict: true })
    await until(() => expect(auth.getSnapshot().status).toBe('authenticated'))
    await act(async () => again(1))
    server.endSession()
    await act(async () => void (await auth.fetch('/api/note')))
    await act(async () => again(2))
    expect(told).toEqual(['1 ada'])
    await act(async () => void (await auth.login(ada)))
    server.endSession()
    await act(async () => void (await auth.fetch('/api/note')))
    expect(told).toEqual(['1 ada', '2 ada'])
  })

  test('signing out is no end without the wish of the user', async () => {
    server.signIn()
    const onExpired = vi.fn()
    const Page = () => (useSession({ onExpired }), null)
    await draw(h(Page))
    await until(() => expect(auth.getSnapshot().status).toBe('authenticated'))
    await act(() => auth.logout())
    expect(onExpired).not.toHaveBeenCalled()
  })

  test('all parts of a page show one session, though it changes while they are drawn', async () => {
    server.signIn()
    await auth.load()
    const pairs: string[] = []
    const Part = () => h('i', null, useSession().user?.username ?? 'nobody')
    let show!: (on: boolean) => void
    function Slow({ at }: { at: number }) {
      if (at === 5 && auth.getSnapshot().user?.username === 'ada') {
        auth.hydrate({ authenticated: true, user: { ...auth.getSnapshot().user!, id: 'u2', username: 'bob' } })
      }
      return h(Part)
    }
    function Page() {
      const [on, set] = useState(false)
      show = set
      return on ? Array.from({ length: 10 }, (_, at) => h(Slow, { at, key: at })) : null
    }
    await draw(h(Page))
    const observer = new MutationObserver(() => pairs.push([...new Set([...document.querySelectorAll('i')].map((i) => i.textContent))].join()))
    observer.observe(document, { childList: true, subtree: true, characterData: true })
    vi.spyOn(console, 'error').mockImplementation(() => {}) // React says that a component must not do this
    await act(async () => startTransition(() => show(true)))
    await until(() => expect(text()).toBe('bob'.repeat(10)))
    observer.disconnect()
    expect(new Set(pairs)).toEqual(new Set(['bob']))
  })

  test('a component that needs a user and has none is an error with a code', async () => {
    await auth.load()
    await expect(draw(h(Name))).rejects.toMatchObject({ code: 'not_authenticated' })
  })

  test('without a provider the error says so', () => {
    expect(() => renderToString(h(() => (useAuth(), null)))).toThrow('AuthProvider')
  })
})

describe('a page that a server has drawn', () => {
  const user = { id: 'u1', username: 'ada', email: 'ada@example.com', email_verified: true, first_name: '', last_name: '' }
  const state = { authenticated: true, user, access_expiration: null, access_expires_in: null, refresh_expiration: '2999-01-01T00:00:00Z' }
  const page = (children: ReactNode) => h(AuthProvider, { auth, children: h(RequireAuth, { fallback: signedOut, pending: 'wait', children }) })

  test('is taken over without a difference, whatever is learned before a late part wakes up', async () => {
    const bob = { ...state, user: { ...user, username: 'bob' } }
    const Learns = () => (useEffect(() => auth.hydrate(bob), []), null)
    const late = h(Suspense, { fallback: 'late', children: h(Name) })
    const all = page([h(Learns, { key: 1 }), h(Fragment, { key: 2 }, late)])
    auth.hydrate(state)
    const html = renderToString(all)
    expect(html).toContain('hello ada')
    document.body.innerHTML = `<div id="app">${html}</div>`
    const recovered: unknown[] = []
    hold = new Promise(() => {}) // the server has nothing to say here
    await act(async () => {
      root = hydrateRoot(document.getElementById('app')!, all, { onRecoverableError: (error) => recovered.push(error) })
    })
    expect(text()).toBe('hello bob')
    expect(recovered).toEqual([])
  })

  test('is drawn as pending when the server does not know, and nobody is asked while it is drawn', () => {
    expect(renderToString(page(h(Name)))).toBe('wait')
    expect(server.requests).toEqual([])
  })

  test('of one user holds nothing of another that is drawn in between', async () => {
    const other = createAuth({ baseUrl: origin, fetch: server.fetch })
    auth.hydrate(state)
    other.hydrate({ ...state, user: { ...user, id: 'u2', username: 'bob' } })
    const html = (of: Auth) => renderToString(h(AuthProvider, { auth: of, children: h(Name) }))
    expect([html(auth), html(other), html(auth)].map((all) => /hello (\w+)/.exec(all)![1])).toEqual(['ada', 'bob', 'ada'])
  })
})
