// Package csrf judges whether a request that a browser's cookies authenticate was made by our own pages.
//
// # The two rules
//
// Both are pure checks on the request's header:
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
// # Where to start
//
//   - With sessions of tokenjar: nowhere here. The guard of package session asks both rules in their order.
//   - A program with a token of its own in a cookie: package middleware asks both, or [NewOrigins] and [NewTokens] when it starts; on every request that a
//     cookie authenticates and whose method is not GET, HEAD or OPTIONS, rule 1, then the token's verification, then
//     rule 2 with a claim of it.
//   - The program's own login, refresh and logout routes: [Origins.Protect] around them. Without it another site can
//     sign a visitor in to an account of its choice, or out.
//
// # What is promised
//
// A refusal is an *[Error] with the rule and one stable word, and matches [ErrOrigin] or [ErrToken]. It holds nothing the
// client sent. A header that was sent twice, is malformed or unknown is refused, never skipped. All checks take constant
// memory; that of the token takes the same time whichever byte differs. All functions and methods may be called at the
// same time.
//
// # What remains the caller's
//
//   - Naming the claim that the token is bound to. It must stay the same as long as the page that holds the token may
//     use it, and be nobody else's: sid, the session's id. Where a token has none, sub does, but then one CSRF token
//     serves all sessions of the user, past and future. Never jti: it changes with each refresh, and every open tab
//     would be refused. One program keeps to one claim, so that a value of one is never taken for another.
//   - Taking that claim from the token that the request's own cookie verified, never from a header, a body, or a token
//     that failed.
//   - Changing nothing on GET, HEAD and OPTIONS, which no rule guards.
//   - Knowing its own origin from the configuration; see [Origins.Check].
//   - Which requests are judged. One with a verified bearer token and no cookie needs neither rule: no page can make a
//     browser send it.
//   - Not issuing a token to other origins: whoever may read our answers by CORS can read it there.
//
// The package imports nothing else of tokenjar.
package csrf
