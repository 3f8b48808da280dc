import { shallowReadonly, shallowRef, type Plugin } from 'vue'
import type { Auth } from '../auth.js'
import { authKey } from './use-auth.js'

/** Gives the client to all components of an application: `app.use(createAuthPlugin(auth))`. On a server, one for each request. */
export function createAuthPlugin(auth: Auth): Plugin<[]> {
  return {
    install(app) {
      // One listener for the application, however many components look. Shallow: a snapshot is replaced as a whole.
      const session = shallowRef(auth.getSnapshot())
      const stop = auth.subscribe(() => (session.value = auth.getSnapshot()))
      const { unmount } = app
      app.unmount = () => {
        stop()
        unmount.call(app)
      }
      app.provide(authKey, { auth, session: shallowReadonly(session) })
    },
  }
}
