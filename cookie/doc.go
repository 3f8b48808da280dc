// Package cookie owns the three cookies: what they are called, how they are built, read and cleared (RFC 6265;
// RFC 6265bis for prefixes, SameSite and limits).
//
// A [Policy] is made once from the configuration and refuses mixes that browsers would reject or that would be
// unsafe. It builds the access, refresh and CSRF cookie, and their deletions with the same attributes:
//
//	access    __Host-access_token   HttpOnly  Secure  SameSite=Lax  Path=/  Max-Age = rest of the token's life
//	refresh   __Host-refresh_token  HttpOnly  Secure  SameSite=Lax  Path=/  Max-Age, or none for a session cookie
//	CSRF      __Host-csrftoken                Secure  SameSite=Lax  Path=/  as long as the refresh cookie
//
// On loopback http, where browsers allow neither Secure nor prefixes everywhere, the names are bare and Secure is
// off; with a Domain the prefix is __Secure-.
//
// [Policy.Read] and [Read] look at the raw Cookie header instead of using [net/http.Request.Cookie], which strips
// quotes, so that one token has two spellings; drops what it finds odd, so that a bad cookie looks like none; and
// returns an empty list when there are too many. Here every cookie of a name is seen, clean ones as values and the
// others as a count, and too many are an error.
//
// The package imports nothing else of tokenjar. Whether a value verifies, and which of several counts, is judged by
// package middleware.
package cookie
