// The words of the wire, taken from the OpenAPI document (api.ts), so that they cannot differ from what the server says.

import type { components } from './api.js'

type Schemas = components['schemas']

/** Who is signed in. */
export type User = Schemas['User']

/** One place where the user is signed in. */
export type Session = Schemas['Session']

/** The answer of `GET /auth/session`. A server that renders pages hands it to `hydrate`. */
export type SessionState = Schemas['SessionState']

/** A refusal of the server (RFC 9457). */
export type Problem = Schemas['Problem']

/** A member of the request that cannot be taken. */
export type Field = Schemas['Field']

/** User name or e-mail address, and the password as typed. */
export type Credentials = Schemas['LoginInputBody']

/** What a user may change of the profile. */
export type Profile = Schemas['UpdateUserInputBody']
