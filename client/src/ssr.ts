export { createServerAuth, type ServerAuth, type ServerAuthOptions } from './ssr/create-server-auth.js'
