// What the adapters' types promise. `npm run typecheck` reads it; nothing runs it.

import type { ReactNode } from 'react'
import type { App } from 'vue'
import { createAuth, type Auth, type Snapshot, type User } from '@tokenjar/client'
import { AuthProvider, RequireAuth, useAuth, useSession } from '@tokenjar/client/react'
import { createServerAuth } from '@tokenjar/client/ssr'
import { createAuthPlugin, guardRouter, useAuth as useVueAuth } from '@tokenjar/client/vue'

/** Holds for one type only. */
const exactly = <Want>() => <Got>(_: Got, ..._same: [Want] extends [Got] ? ([Got] extends [Want] ? [] : [never]) : [never]) => {}

export function Page(): ReactNode {
  exactly<Auth>()(useAuth())
  const session = useSession()
  exactly<Snapshot>()(session)
  exactly<User | null>()(session.user)
  if (session.status === 'authenticated') exactly<User>()(session.user)
  // @ts-expect-error nobody may be signed in
  session.user.username
  const present = useSession({ required: true, onExpired: ({ user }) => exactly<User>()(user) })
  exactly<User>()(present.user)
  exactly<'authenticated' | 'expired'>()(present.status)
  exactly<Snapshot>()(useSession({ onExpired: () => {} }))
  // @ts-expect-error a page that needs somebody says what stands in its place
  const wrong = RequireAuth({ children: null })
  return [wrong, RequireAuth({ fallback: 'sign in', expired: null }), AuthProvider({ auth: createAuth() })]
}

export async function vue(app: App, auth: Auth): Promise<void> {
  app.use(createAuthPlugin(auth))
  const { session } = useVueAuth()
  exactly<Snapshot>()(session.value)
  // @ts-expect-error the session is the client's to change
  session.value = auth.getSnapshot()

  type Route = { fullPath: string; meta: Record<PropertyKey, unknown>; name: string }
  const router = {
    currentRoute: { value: {} as Route },
    beforeEach: (_: (to: Route) => Promise<true | { path: string }>) => () => {},
    replace: (_: { path: string }) => {},
  }
  const stop: () => void = guardRouter(router, auth, { signIn: ({ name }) => ({ path: '/' + name }) })
  stop()
  // @ts-expect-error no way to sign in
  guardRouter(router, auth, {})
}

export async function ssr(request: Request): Promise<Headers> {
  const page = await createServerAuth({ cookie: request.headers.get('Cookie'), baseUrl: 'https://app.example.com', origin: request.headers.get('Origin') })
  const headers = new Headers(page.headers())
  if (page.state) createAuth().hydrate(page.state)
  // @ts-expect-error without the browser's cookies there is nobody
  await createServerAuth({ baseUrl: 'https://app.example.com' })
  return headers
}
