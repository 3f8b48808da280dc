import type { Auth } from '../auth.js'

/** The part of a route of vue-router's that is looked at. */
export interface RouteLike {
  readonly fullPath: string
  readonly meta: Record<PropertyKey, unknown>
}

/** The part of vue-router that is used. Any router of this shape will do. */
export interface GuardedRouter<Route extends RouteLike, Target> {
  beforeEach(guard: (to: Route) => Promise<true | Target>): () => void
  replace(to: Target): unknown
  readonly currentRoute: { readonly value: Route }
}

export interface RouteGuardOptions<Route, Target> {
  /** Where to send whoever opens a route that needs somebody. */
  signIn: (to: Route) => Target
  /**
   * Which routes need somebody signed in.
   *
   * @default those with `meta.requiresAuth`
   */
  required?: (to: Route) => boolean
  /**
   * Whether an open page stays when its session ends without the user's wish, for an application that shows its sign-in in front
   * of the page. Signing out leaves the page in any case.
   *
   * @default false
   */
  stay?: boolean
}

/**
 * Keeps routes for whoever is signed in: a navigation waits until it is known who is here, and a page is left when the user signs
 * out, in this tab or another. Returns how to stop.
 *
 * What may be seen is decided by the server: this keeps a page from being shown, and no secret. Give `<RouterView>` the user's
 * id as its key, so that nothing one user has loaded is shown to the next.
 */
export function guardRouter<Route extends RouteLike, Target>(
  router: GuardedRouter<Route, Target>,
  auth: Auth,
  { signIn, required = (to) => !!to.meta['requiresAuth'], stay }: RouteGuardOptions<Route, Target>,
): () => void {
  const status = () => auth.getSnapshot().status
  const remove = router.beforeEach(async (to) => {
    if (!required(to)) return true
    // A server draws one page and has nothing to wait for: there it fails when nobody can say who is here.
    if (status() === 'unknown') await (typeof document === 'undefined' ? auth.load() : known(auth))
    return status() === 'authenticated' || signIn(to)
  })
  const stop = auth.subscribe(() => {
    const { value: here } = router.currentRoute
    if ((status() === 'anonymous' || (status() === 'expired' && !stay)) && required(here)) router.replace(signIn(here))
  })
  return () => {
    remove()
    stop()
  }
}

/** The client asks by itself, again and again while nobody answers: then the page waits, and nobody is sent away. */
function known(auth: Auth): Promise<void> {
  return new Promise((resolve) => {
    const stop = auth.subscribe(() => {
      if (auth.getSnapshot().status === 'unknown') return
      stop()
      resolve()
    })
  })
}
