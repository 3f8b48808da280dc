// Package cookie owns the cookies: what they are called, how they are built, read and cleared (RFC 6265; RFC 6265bis
// for prefixes, SameSite and limits).
//
// # Where to start
//
//   - The three cookies of a session, access, refresh and CSRF: a [Policy], made by [New] from a [Config]. The guard of
//     package session and the HTTP API use it; most programs need no more than its Config.
//   - One cookie for a token of the program's own: a [JWT], and a [CSRF] for the cookie that goes with it. Each is a
//     struct literal that is declared once, and sets and deletes in one line.
//   - Any other cookie: [Set], [Delete] and [Read].
//
// A Policy names the three cookies so:
//
//	access    __Host-access_token   HttpOnly  Secure  SameSite=Lax  Path=/  Max-Age = rest of the token's life
//	refresh   __Host-refresh_token  HttpOnly  Secure  SameSite=Lax  Path=/  Max-Age, or none for a session cookie
//	CSRF      __Host-csrftoken                Secure  SameSite=Lax  Path=/  as long as the refresh cookie
//
// A JWT begins with the attributes of the access cookie, as a session cookie. With a Domain, or a Path other than /, the
// prefix is __Secure-; on loopback http, where browsers allow neither Secure nor prefixes everywhere, the names are bare
// and Secure is off. Leaving out the prefix on https has to be spelled out ([None]).
//
// # What is promised
//
//   - A mix that browsers would reject, or that would be unsafe, is an error that names the field and the fix:
//     SameSite=None without Secure, a prefix without its attributes, a Domain shared with strangers. Nothing is quietly
//     dropped.
//   - What holds a token is HttpOnly. That cannot be switched off, and Set refuses to write a token without it.
//   - A deletion has the name, path, domain and flags of the cookie it deletes.
//   - What is written is read back as it was; name and value never exceed [MaxSize] bytes. On error nothing is
//     written, and no error holds a value.
//   - A cookie is never overlooked. [Policy.Read], [JWT.Read] and [Read] look at the raw Cookie header instead of using
//     [net/http.Request.Cookie], which strips quotes, so that one token has two spellings; drops what it finds odd, so
//     that a bad cookie looks like none; and returns an empty list when there are too many. Here every cookie of a
//     name is seen, clean ones as values and the others as a count, and too many are an error.
//
// All functions and methods may be called at the same time.
//
// # What remains the caller's
//
//   - Whether a value verifies, and which of several counts: package session judges it for the three cookies, package middleware for a JWT.
//   - Deciding that a request may change something. A cookie is sent whoever made the request; SameSite=Lax alone leaves
//     sibling hosts and a few minutes' grace in some browsers. Package csrf has the checks.
//   - Cache-Control: no-store on the answers that set or delete a cookie, and Strict-Transport-Security.
//   - Ending the token itself: deleting a cookie takes it from one browser, not from whoever has a copy.
//
// The package imports nothing else of tokenjar.
package cookie
