import type { Outcome } from './outcome.js'
import type { Snapshot } from './snapshot.js'
import type { Credentials, SessionState, User } from './wire.js'

/** Every call that waits can be given up. What the server has done by then is done. */
export interface CallOptions {
  signal?: AbortSignal | undefined
}

/** What an operation of the server's may say. */
export interface OperationOptions extends CallOptions {
  /** No user is behind this call: it does not keep the session from going idle. @default false */
  passive?: boolean | undefined
}

/** What a request may say beside what `fetch` knows. */
export interface AuthRequestInit extends RequestInit {
  /** Wait while the user signs in again, instead of answering 401. @default the option `park` of createAuth, unless passive */
  park?: boolean | undefined
  /** No user is behind this request: it does not keep the session from going idle. @default false */
  passive?: boolean | undefined
}

/** A request as {@link Auth.guard} sees it, of whatever library. */
export interface Guarded {
  url: string
  /** @default 'GET' */
  method?: string | undefined
  /** Whether it can be sent a second time. @default true */
  replayable?: boolean | undefined
  park?: boolean | undefined
  passive?: boolean | undefined
  signal?: AbortSignal | null | undefined
}

/** The part of an answer that {@link Auth.guard} looks at. A Response is one. */
export interface Answer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  /** Reads the body; of a copy, where there is a way to make one. */
  json(): Promise<any>
  clone?(): Answer
}

/** What {@link createAuth} makes: one session, seen from one page. */
export interface Auth {
  /**
   * `fetch`, without thinking of tokens: cookies, the CSRF token, renewal and one more try are its business. Requests to origins
   * that are not the server's pass through untouched.
   *
   * It resolves to what the server or the service behind it answered, a 401 included. It throws what `fetch` throws, and an
   * {@link AuthError} when the session cannot be renewed right now (the code says why, and nobody is signed out), when the body
   * cannot be sent twice (`body_not_replayable`), and when the user signed out or changed (`session_ended`). Where the user that
   * is shown may have changed in another tab, the server is asked before the request goes out.
   */
  fetch(input: RequestInfo | URL, init?: AuthRequestInit | null): Promise<Response>

  /** Signs in. Requests that wait for it go on, if it is the same user; those of another user end with `session_ended`. */
  login(credentials: Credentials, options?: CallOptions): Promise<User>

  /** Signs out, here and in all tabs; with `everywhere` on all devices. When it throws, the session is still there. */
  logout(options?: CallOptions & { everywhere?: boolean }): Promise<void>

  /** Asks the server who is here. Parallel calls share one request. */
  load(options?: CallOptions): Promise<Snapshot>

  /** Takes over what a server found out while it rendered the page. Null, where it found out nothing, changes nothing. */
  hydrate(state: SessionState | null): void

  /**
   * Renews the access token, once for all tabs and callers. A token younger than the grace is left alone. Seldom needed: `fetch`
   * does it by itself.
   */
  refresh(options?: CallOptions): Promise<Outcome>

  /** Renews only what has run out or is about to: for what does not go through `fetch`, such as WebSockets and downloads. */
  ensure(options?: CallOptions): Promise<Outcome>

  /** Tells the server that the user is still here, so that the session does not go idle. Asks at once, whatever failed before. */
  extend(options?: CallOptions): Promise<Outcome>

  /** Calls the listener at each change of the snapshot. The first subscriber makes the client ask who is here. Returns how to stop. */
  subscribe(listener: () => void): () => void

  /** Who is here, as far as the page knows: a stable object, as `useSyncExternalStore` wants it. */
  getSnapshot(): Snapshot

  /**
   * Calls an operation of the server's, below its `auth.path`, and reads the answer; throws an {@link AuthError} when it is a
   * refusal. After a change it asks anew who is here, in all tabs. {@link account} has the operations by name.
   */
  call(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, options?: OperationOptions & { body?: unknown }): Promise<unknown>

  /**
   * The engine of `fetch`, for other HTTP libraries. `attempt` sends the request once, with the headers it is given and with
   * cookies, also to another origin. For an origin that is not the server's it is given null and adds neither.
   */
  guard<T extends Answer>(request: Guarded, attempt: (headers: Record<string, string> | null) => Promise<T>): Promise<T>

  /** Stops timers and listeners. Requests that wait for a sign-in end with `session_ended`. The session itself goes on. */
  close(): void
}
