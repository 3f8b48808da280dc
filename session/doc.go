// Package session stands between net/http and a handler: it finds out who sends a request, and lets it through or
// refuses it. It imports no SQL, no OpenAPI and no command line.
//
// A [Guard] judges a request in this order, and the first refusal ends it with nothing changed and no cookie set:
//
//  1. origin: an unsafe request that bears a cookie of ours comes from a page of ours
//  2. credentials: who is it? Nothing changes yet
//  3. CSRF token: an unsafe request that a cookie authenticates carries the token of that session
//  4. session: of a live access token, as far as the service's SessionCheck asks; the store judges renewals itself
//  5. renewal: the access token has run out and the refresh token is good, so the session is renewed on the way;
//     from here on every answer carries the new cookies, whatever its status
//  6. the handler, with the [tokenjar.Identity] in its context
//
// The ordinary request, with one access cookie that was verified before, is judged in the same order the short way:
// recognize in guard.go, which must say what the long way says.
//
// Host, method and path are judged before, by the server that owns them.
package session
