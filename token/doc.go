// Package token signs and verifies JSON Web Tokens: claims, keys, key rings and the JWK Set to publish (RFC 7515,
// 7517, 7519, under the advice of RFC 8725). It imports nothing of tokenjar's but its strict JSON reader, and nothing
// outside the standard library.
//
// # Where to start
//
//   - [GenerateKey], [NewKey], [ParseKey] and [ParseKeySet] make a [Key], bound to one algorithm and one kid, or say
//     why it is refused.
//   - [NewRing] makes a [Ring]: one key signs, all verify; [Ring.JWKS] is what other services verify with.
//   - [NewEncoder] issues tokens, [NewDecoder] takes them. Both need to know typ, so an access token and a refresh
//     token are never taken for each other.
//
// # What is promised
//
//   - The algorithm is the key's; the header must name the same and decides nothing. There is no "none".
//   - A token without exp, iss or aud, or with another iss or aud, is refused. Nothing left out means "any".
//   - One token has one spelling, of at most 8 KiB ([MaxSize]), checked before any work; no duplicate JSON members, no
//     case folding, no second way to write base64url. The exception is the twin every ECDSA signature has: recognise
//     a token again by its jti, never by its text.
//   - No header can make this package open a file or a connection, try several keys, or unpack anything.
//   - Keys, rings, encoders and decoders cannot be changed once made and are safe for concurrent use. Key material
//     does not show in logs, formatted output or errors, and neither does a token.
//   - [ErrExpired] means that the token was good in every other respect.
//
// # What is left to the caller
//
// Revocation, one-time use of a jti, and whether the user still exists. Rotation: a [Ring] is immutable, so a program
// that rotates keys swaps rings behind the [KeySet] interface.
//
// Only compact JWS is implemented. Encrypted tokens, the JSON serialisation, keys or key addresses in headers and
// compressed payloads are refused.
package token
