// Package csrf judges whether a request that a browser's cookies authenticate was made by our own pages.
//
// It holds two rules, both pure checks on the request's header:
//
//   - Rule 1, the origin: [Origins.Check] compares Origin and Sec-Fetch-Site with our own origin and an exact list
//     of trusted ones (RFC 6454; W3C Fetch Metadata). It is [net/http.CrossOriginProtection] made stricter: the whole
//     origin is compared, never only the host; the two headers may not contradict each other; same-site is not
//     same-origin. [Origins.CheckHandshake] is the same for a WebSocket handshake, where an Origin is needed.
//   - Rule 2, the token: [Tokens.Check] wants the header X-CSRFToken to hold the token that [Tokens.Issue] made for
//     this very session. It is a MAC over the session id, so it needs no storage, and no cookie takes part in the
//     comparison: a tossed, missing or damaged CSRF cookie changes nothing.
//
// A request with neither Origin nor Sec-Fetch-Site passes rule 1, because it comes from a program or from a browser
// older than both headers; [HasBrowserSignal] tells the caller so, and rule 2 is what then protects the session.
// Referer is never looked at: it may be missing, trimmed or forged by referrer policies.
//
// The package imports nothing else of tokenjar. Which requests are judged (unsafe methods that a cookie
// authenticates, login, refresh, logout, handshakes) is decided by package session and by the HTTP API.
package csrf
