// Package jwks verifies tokens of another issuer with the keys it publishes (RFC 7517 section 5), following them as they
// change. It imports package token and the standard library, nothing else.
//
// # Where to start
//
// [New] takes a [Config] with the URL of the issuer's key set and makes a [Remote]. It goes where a ring would: into
// [token.DecoderConfig] as Keys. Decode with [token.Decoder.DecodeContext], so that a request that has ended stops
// waiting. [Remote.Load] at the start of a program tells early whether the keys can be had.
//
// For keys in hand, read with [token.ParseKeySet], this package is not needed.
//
// # What is promised
//
//   - A token decides nothing about keys: not where they are fetched, not their algorithm, not how often. The URL is the
//     configuration's; no header is followed; a token that is malformed or names an algorithm that is not allowed makes
//     nobody fetch.
//   - However many tokens name unknown keys, there is one fetch at a time and, while the issuer answers, one in
//     Config.Cooldown. At most 1024 callers wait for one; the next is refused at once.
//   - [token.ErrSignature] (an HTTP server's 401) is said of a token that was judged by keys that are known.
//     [token.ErrKeysUnavailable] (503) is said when they cannot be had. An outage of the issuer signs nobody out: the last
//     keys go on for Config.MaxStale.
//   - A key that the issuer withdraws verifies nothing once Config.MaxAge has passed and the next fetch has ended; while
//     the issuer cannot be reached, nothing once MaxAge and MaxStale have. [Remote.Epoch] moves then, for caches of what
//     was verified.
//   - Connections go to public addresses alone, judged when connecting, whatever a name resolved to before. No proxy of the
//     environment, no redirect, no cookie, no compression; an answer is 256 KiB and Config.Timeout at most.
//   - An answer that is no key set, or has no key to verify with, changes nothing. Keys that are weak, symmetric, doubled,
//     for something else or published with their private part are ignored: see [token.ParseForeignKeySet].
//   - A clock that is set back neither stops the renewal of keys nor lets it run wild. Nothing runs while nothing is
//     fetched.
//
// # What is left to the caller
//
// Everything a signature does not say: issuer, audience, type, times ([token.Decoder] asks for them), revocation at the
// issuer, and whether its sub means one of your users. Give each issuer its own Remote and Decoder: keys of two issuers in
// one set would let one speak for the other.
//
// Where the URL comes from. It is a matter of trust, so write it down; discovery (RFC 8414, OpenID Connect) would fetch it.
//
// Two habits of issuers are met late: one that replaces a key under the same kid, and one that signs without kid, are
// noticed when the set is renewed, not before. One that signs with a key in the moment it publishes it, within
// Config.Cooldown of a fetch, has tokens refused until then: RFC 7517 has no cure for that but publishing first.
//
// A lookup of names by the C library cannot be stopped; there, that thread may outlive a fetch.
package jwks
