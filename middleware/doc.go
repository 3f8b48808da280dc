// Package middleware lets those requests through to a net/http handler which speak for somebody: by a JWT in the
// Authorization field or in a cookie, of the program's own keys or a foreign issuer's, for users of the program's own
// type. It needs no store, no configuration and no session of ours; programs that run a tokenjar.Service lend it the
// guard of package session as one more [Authenticator].
//
// # Where to start
//
//   - [NewBearer] and [NewCookie] make an [Authenticator] of a [token.Verifier] (a *token.Cache over a *token.Decoder)
//     and of a [Resolver], which turns claims into your user.
//   - [Required], [Optional] and [Public] make an [Access] of one or several of them. [Access.With] and [Access.Where]
//     demand scopes, roles, a recent sign-in, or whatever you can tell of a user.
//   - [Access.Protect] wraps a handler, also as the middleware of a router; [Access.Func] wraps a function that is
//     given the user. Behind Protect, [UserFromContext] tells who it is, in your type.
//   - [Methods] has an access for each method, [Routes] one for each path prefix: a whole tree in one declaration.
//
// # What is promised
//
//   - A request is judged in this order: origin of an unsafe request with a cookie, token, CSRF token, user,
//     conditions. The first refusal ends it, with nothing changed, no cookie set and a problem document (RFC 9457) that
//     says what to do.
//   - CSRF is on for cookies: the origin is judged where the cookie is there, the CSRF token where it verifies as well.
//     What a bearer authenticates needs none.
//   - In a chain the first that succeeds counts. A dead cookie never hides a good bearer; a failed CSRF check is never
//     made good by another credential; two users in one request are refused.
//   - A user who is not found is 401, and anonymous behind [Optional]. A database that does not answer is 503, behind
//     Optional as well: nobody is taken for anonymous on its account.
//   - Nothing of a request is kept in an authenticator or an access: all are safe for concurrent use.
//   - Answers that depend on a credential are private to their user and vary with Cookie and Authorization, whatever
//     the handler says.
//
// # What is left to the caller
//
// Revocation: a token is good until it expires, unless the Resolver says otherwise. Putting [Cookie.ProtectOrigin]
// around the handlers that sign in and out. Limiting tries to sign in. Host and method overrides: no handler behind
// should let a header or a form field change the method that was judged. CORS: put a handler in front that answers
// preflights.
package middleware
