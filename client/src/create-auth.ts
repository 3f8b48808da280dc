import type { Auth } from './auth.js'
import { createAuthIn } from './create-auth-in.js'
import type { Host } from './host.js'
import type { AuthOptions } from './options.js'

/**
 * Makes the client: one for each page, and on a server that renders pages one for each request. It stores nothing and patches
 * nothing; the tokens are in cookies that no script can read. {@link Auth.close} stops what it does by itself.
 *
 * @example
 * const auth = createAuth()
 * const orders = await auth.fetch('/api/orders')
 */
export function createAuth(options: AuthOptions = {}): Auth {
  return createAuthIn(globalThis as unknown as Host, options)
}
