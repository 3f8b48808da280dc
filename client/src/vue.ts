export { createAuthPlugin } from './vue/create-auth-plugin.js'
export { guardRouter, type GuardedRouter, type RouteGuardOptions, type RouteLike } from './vue/guard-router.js'
export { useAuth, type AuthState } from './vue/use-auth.js'
