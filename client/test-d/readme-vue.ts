import { createAuth } from '@tokenjar/client'
import { createAuthPlugin, guardRouter, type GuardedRouter, type RouteLike } from '@tokenjar/client/vue'
import type { App } from 'vue'

declare const app: App
declare const router: GuardedRouter<RouteLike, { path: string; query: { next: string } }>

const auth = createAuth()

app.use(createAuthPlugin(auth)) // in components: const { auth, session } = useAuth()
guardRouter(router, auth, { signIn: (to) => ({ path: '/sign-in', query: { next: to.fullPath } }) }) // routes with meta.requiresAuth
