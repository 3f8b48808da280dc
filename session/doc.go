// Package session stands between net/http and a handler, for programs that run a [tokenjar.Service]: it finds out who
// sends a request, and lets it through or refuses it. It imports no SQL, no OpenAPI and no command line.
//
// # Where to start
//
//   - [New] takes a [Config] with the service and the address under which browsers know the program, and makes a
//     [Guard].
//   - [Guard.Required] and [Guard.Optional] wrap a handler; behind them [tokenjar.IdentityFromContext] tells who it is.
//     [Guard.Identify] asks the same from within a handler that is not wrapped, and renews nothing.
//   - [Authenticator] lends the guard to package middleware, for scopes, roles, users of the program's own type, and
//     chains with other tokens.
//   - The routes to sign in, stay in and sign out are package httpapi's. The other methods of Guard are what they are
//     made of; most programs need none.
//
// # What is promised
//
// A guard judges a request in this order, and the first refusal ends it with nothing changed and no cookie set:
//
//  1. origin: an unsafe request that bears a cookie of ours comes from a page of ours
//  2. credentials: who is it? Nothing changes yet
//  3. CSRF token: an unsafe request that a cookie authenticates carries the token of that session
//  4. session: of a live access token, as far as the service's SessionCheck asks; the store judges renewals itself
//  5. renewal: the access token has run out and the refresh token is good, so the session is renewed on the way;
//     from here on every answer carries the new cookies, whatever its status
//  6. the handler, with the [tokenjar.Identity] in its context
//
// Further:
//
//   - A token that was verified before takes a shorter way to the same judgement: origin, times, revocation and CSRF
//     token are judged anew.
//   - A refusal is a problem document (RFC 9457) of package problem. A store that does not answer is 503, behind
//     Optional as well: nobody is signed out or taken for anonymous on its account.
//   - Answers are private to their user, and those that set a cookie of ours are stored by nobody, whatever the handler
//     says.
//   - A guard is safe for concurrent use, and keeps nothing of a request.
//
// # What is left to the caller
//
//   - Host, method and path are judged before, by the server that owns them. No handler behind should let a header or a
//     form field change the method that was judged.
//   - [tokenjar.Service.Run] has to run: it is how the guard learns of sessions that ended elsewhere, and of keys.
//   - A client address that [Config.ClientIP] takes from a header must come from a proxy that is trusted.
//   - What [Guard.Identify] leaves out: after it the handler calls [ProtectCaches].
//   - CORS: put a handler in front that answers preflights, and name the origins that may write in
//     [Config.TrustedOrigins].
package session
