/** How {@link createAuth} finds the server. A page that the server serves itself needs none of it. */
export interface AuthOptions {
  /**
   * Where the server is, when the page is of another origin. Relative addresses are relative to it.
   *
   * @default the page's own origin
   * @example 'https://api.example.com'
   */
  baseUrl?: string
  /**
   * Where the server's own paths begin: its `auth.path`. With or without slashes around it.
   *
   * @default '/auth'
   */
  authPath?: string
  /**
   * Further origins of the same server, as `location.origin` writes them: no slash at the end. They get the cookies and the CSRF
   * token; no other origin ever does.
   *
   * @default []
   */
  origins?: readonly string[]
  /**
   * Name of the CSRF cookie without its prefix: the server's `cookies.csrf`. A page of another origin cannot read it and asks
   * the server for the token.
   *
   * @default 'csrftoken'
   */
  csrfCookie?: string
  /**
   * What sends requests. The client gives it plain `fetch` arguments.
   *
   * @default the page's fetch, as it is at the time of the request
   */
  fetch?: typeof fetch
  /**
   * Whether requests wait while the user signs in again, instead of answering 401. A request may say otherwise, and one that is
   * passive has to.
   *
   * @default false
   */
  park?: boolean
  /**
   * Whether to renew the session before the access token runs out, while the page is visible and online. Without it the server
   * renews on the way, where it is allowed to, or a request meets a 401 and is sent again.
   *
   * @default true
   */
  proactive?: boolean
  /**
   * Seconds for which a token is not renewed again: the server's `session.grace`.
   *
   * @default 10
   */
  grace?: number
}
