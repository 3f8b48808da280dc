// Package token signs and verifies JSON Web Tokens: claims, keys, key rings, a cache of what was verified, and the JWK Set to
// publish (RFC 7515, 7517, 7519, under the advice of RFC 8725). It imports nothing of tokenjar's but two packages inside it,
// the strict JSON reader and the memory of the cache, and nothing outside the standard library.
//
// # Where to start
//
// Keys. A [Key] is bound to one algorithm and one kid, or refused with the reason.
//
//   - [ParseKeys] reads what a setting holds, PEM, a JWK or a JWK Set, with errors that name the setting. [ParsePEM],
//     [ParseKey] and [ParseKeySet] read one form each, [NewKey] takes a key of the standard library, [GenerateKey] makes one.
//   - [NewRing] makes a [Ring]: one key signs, all verify; [Ring.JWKS] is what other services verify with.
//   - A program whose keys rotate puts a [LiveRing] in place of the ring and replaces the ring in it.
//   - Keys of somebody else, that have to be fetched and change without notice, are package jwks' business. What it makes is a
//     [ContextKeySet] for a [Decoder].
//
// Issuing. [NewEncoder] makes an [Encoder]: [Encoder.Encode] fills in issuer, audience, times and jti and signs.
// [Encoder.Complete] and [Encoder.Sign] are its halves, for who needs to know jti or exp.
//
// Accepting. [NewDecoder] makes a [Decoder], once, at start: it says whose tokens are taken, for whom, of which typ, and by
// which further [Rule] for each claim. [Decoder.Decode] gives the [Claims].
//
//   - On the road of every request, put a [Cache] in front of it: [NewCache] takes the decoder, [Cache.Verify] gives a
//     [Verified]. A token that was verified before costs a hundred nanoseconds and no allocation. Both are a [Verifier].
//   - Issuers that leave out aud, or tokens without exp, need [DecoderConfig.InsecureAnyAudience] and
//     [DecoderConfig.InsecureOptionalExpiry]. Read there what you take over.
//   - [Decoder.Check] judges claims that came another way. [Ring.Verify] with [ReadClaims] is for programs that judge
//     everything but the signature themselves.
//
// # What is promised
//
//   - The algorithm is the key's; the header must name the same and decides nothing. There is no "none".
//   - A token without exp, iss or aud, or with another iss or aud, is refused. Nothing left out means "any", unless a setting
//     whose name begins with Insecure says so.
//   - One token has one spelling, of at most 8 KiB ([MaxSize]), checked before any work; no duplicate JSON members, no
//     case folding, no second way to write base64url. The exception is the twin every ECDSA signature has: recognise
//     a token again by its jti, never by its text.
//   - No header can make this package open a file or a connection, try several keys, or unpack anything.
//   - A cache answers as its decoder would at that moment: times are judged at every call, and a key that is gone takes the
//     tokens of its along, from the next call on. Refused tokens are not remembered and push nothing out.
//   - Keys, rings, encoders and decoders cannot be changed once made; they, live rings and caches are safe for concurrent
//     use. Nothing runs in the background. Key material does not show in logs, formatted output or errors, and neither does
//     a token. Errors about configuration name the setting.
//   - [ErrExpired] means that the token was good in every other respect.
//
// # What is left to the caller
//
//   - Revocation, and whether the user still exists or may do what is asked: a token is good until exp, and neither decoder nor
//     cache knows more. Ask at every request, also after a cache's hit.
//   - One-time use: remember the jti until exp, and refuse it the second time.
//   - Whether sub is there: it is judged where it is, and an Essential [Rule] demands it.
//   - Publishing a key before it signs, and letting it verify until its last token is dead: a [LiveRing] replaces rings as it
//     is told.
//   - One ring for one purpose. A secret that also protects something else, such as CSRF tokens, is two purposes.
//
// Only compact JWS is implemented. Encrypted tokens, the JSON serialisation, keys or key addresses in headers and
// compressed payloads are refused.
package token
