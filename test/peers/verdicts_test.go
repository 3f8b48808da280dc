package peers_test

import (
	"strings"
)

// What is known to differ, and why. Both tables are held in both directions: a difference that is not here fails, and so
// does a row that nothing shows any more.

// A verdict lists the libraries that answer unlike us for a class of tokens, to the question of the signature and to that
// of the claims: names, "all" for the three of them, or "".
type verdict struct{ class, signature, claims, reason string }

// Why we accept what others refuse.
const (
	notAsked      = "only the signature is asked for, and any bytes can be signed; golang-jwt reads claims even then. Decode refuses"
	wholeNumbers  = "a number of RFC 8259 in a member nobody reads; we keep its digits, they read float64"
	wholeSeconds  = "RFC 7519 section 2 allows fractions: until exp there is time left. golang-jwt cuts dates to seconds"
	acme          = "not a member of JWS but of ACME (RFC 8555), which go-jose speaks; RFC 7515 section 4: ignore what you do not know"
	insignificant = "RFC 8259 section 2 allows blanks there, and they are signed; jws of jwx wants a brace first, jwt of jwx does not"
	thumbprints   = "x5t and x5t#S256 are never read, so neither is their shape; trust does not come from certificates"
)

var laxerTable = []verdict{
	{"claims: byte order mark", "golang-jwt", "", notAsked},
	{"claims: control character in text", "golang-jwt", "", notAsked},
	{"claims: not JSON", "golang-jwt", "", notAsked},
	{"claims: text after the JSON", "golang-jwt", "", notAsked},
	{"exp: leading zero", "golang-jwt", "", notAsked},
	{"claims: number beyond float64", "", "golang-jwt jwx", wholeNumbers},
	{"header: unknown member, number beyond float64", "all", "go-jose golang-jwt", wholeNumbers},
	{"exp: fraction within this second", "", "golang-jwt", wholeSeconds},
	{"header: ACME's nonce and url, of the wrong shape", "go-jose", "go-jose", acme},
	{"header: blanks in the JSON", "jwx", "", insignificant},
	{"header: certificate thumbprint not text", "jwx", "", thumbprints},
}

// Why we refuse what others accept.
const (
	oneSpelling  = "one token has one spelling: RFC 7515 section 2, RFC 4648 section 3.5"
	unsigned     = "the signature covers the header as it was sent: RFC 7515 section 5.2; jws of jwx drops what follows the JSON first"
	oneReading   = "no two readings: RFC 7515 section 4, RFC 7519 section 4, RFC 8725 section 2.4"
	textIsText   = "text that is no text, or ends early in other programs: RFC 7519 section 7.2 wants UTF-8"
	strictJSON   = "not JSON: RFC 8259"
	bounded      = "a bound of ours, far beyond what tokens need"
	isName       = "whom a claim names must be text, not empty and without control characters"
	dates        = "a date is written in digits, between 1970 and 9999: RFC 7519 section 2"
	expires      = "every token ends: RFC 7519 section 4.1.4 leaves exp out, RFC 9068 section 2.2 does not"
	expiredAtExp = "RFC 7519 section 4.1.4: on or after exp it must not be accepted"
	notBefore    = "RFC 7519 section 4.1.5: before nbf it must not be accepted, be it by half a second"
	algorithm    = "alg must be there, under its name: RFC 7515 section 4.1.1"
	keysInHeader = "keys and their addresses are the sender's: RFC 8725 section 3.10"
	critical     = "what changes the meaning of a signature is refused, crit or not: RFC 7515 section 4.1.11, RFC 7797"
	nestedToken  = "no token within a token: RFC 7519 section 5.2"
	encryption   = "a member of JWE"
	keyID        = "the kid chooses the key and must be one we have; the others are given the key and do not ask"
	saltLength   = "RFC 7518 section 3.5: the salt of PS256 is as long as the hash"
	purpose      = "a token of another purpose: RFC 8725 section 3.11; the others have no such check"
)

var stricterTable = []verdict{
	{"base64: blanks around the token", "all", "all", oneSpelling},
	{"base64: line break inside", "all", "all", oneSpelling},
	{"base64: padding", "jwx", "jwx", oneSpelling},
	{"base64: standard alphabet", "jwx", "jwx", oneSpelling},
	{"base64: unused bits", "go-jose jwx", "go-jose jwx", oneSpelling},
	{"base64: line break inside, signed so", "golang-jwt", "golang-jwt jwx", oneSpelling},
	{"base64: padding, signed so", "", "jwx", oneSpelling},
	{"base64: standard alphabet, signed so", "", "jwx", oneSpelling},
	{"base64: unused bits, signed so", "", "jwx", oneSpelling},
	{"text: after the header's JSON, not signed", "jwx", "", unsigned},
	{"signature: PSS with a salt of another length", "golang-jwt go-jose", "golang-jwt go-jose", saltLength},
	{"claims: duplicate name, one escaped", "", "golang-jwt jwx", oneReading},
	{"claims: duplicate registered name", "", "golang-jwt jwx", oneReading},
	{"claims: duplicate unknown name", "", "all", oneReading},
	{"claims: name in other letters instead of ours", "", "go-jose", oneReading},
	{"header: duplicate alg", "golang-jwt jwx", "golang-jwt jwx", oneReading},
	{"header: duplicate alg, one name escaped", "golang-jwt jwx", "golang-jwt jwx", oneReading},
	{"header: duplicate kid or typ", "golang-jwt jwx", "golang-jwt jwx", oneReading},
	{"header: duplicate unknown member", "golang-jwt jwx", "golang-jwt jwx", oneReading},
	{"claims: NUL in text", "", "all", textIsText},
	{"claims: half a surrogate pair", "", "all", textIsText},
	{"claims: invalid UTF-8", "", "all", textIsText},
	{"claims: invalid UTF-8 in sub", "", "all", textIsText},
	{"header: NUL in text", "all", "all", textIsText},
	{"header: half a surrogate pair", "all", "all", textIsText},
	{"header: invalid UTF-8", "all", "all", textIsText},
	{"claims: text after the JSON", "", "jwx", strictJSON},
	{"header: control character in text", "", "jwx", strictJSON},
	{"header: not JSON", "", "jwx", strictJSON},
	{"aud: list of more than 64", "", "all", bounded},
	{"aud: longer than 255 bytes beside ours", "", "all", bounded},
	{"claims: nested deeper than 16", "", "all", bounded},
	{"header: larger than 2 KiB", "all", "all", bounded},
	{"header: unknown member, nested deeper than 4", "all", "all", bounded},
	{"structure: larger than 8 KiB", "all", "all", bounded},
	{"sub or jti: longer than 255 bytes", "", "all", bounded},
	{"aud: list with an empty text", "", "all", isName},
	{"sub or jti: control characters", "", "all", isName},
	{"sub or jti: empty", "", "all", isName},
	{"sub or jti: not text", "", "golang-jwt", isName},
	{"sub or jti: null", "", "go-jose golang-jwt", isName},
	{"exp: beyond the year 9999", "", "all", dates},
	{"exp: exponent form", "", "all", dates},
	{"exp: text", "", "jwx", dates},
	{"nbf or iat: beyond the year 9999", "", "golang-jwt", dates},
	{"nbf or iat: exponent form", "", "all", dates},
	{"nbf or iat: minus zero", "", "all", dates},
	{"nbf or iat: negative", "", "all", dates},
	{"nbf or iat: null", "", "go-jose", dates},
	{"nbf or iat: text", "", "jwx", dates},
	{"exp: missing", "", "go-jose", expires},
	{"exp: null", "", "go-jose", expires},
	{"exp: fraction just before now", "", "go-jose", expiredAtExp},
	{"exp: now", "", "go-jose", expiredAtExp},
	{"nbf or iat: fraction within this second", "", "go-jose golang-jwt", notBefore},
	{"header: alg missing", "jwx", "jwx", algorithm},
	{"header: empty object", "jwx", "jwx", algorithm},
	{"header: member in other letters instead of ours", "jwx", "jwx", algorithm},
	{"header: address of keys", "all", "all", keysInHeader},
	{"header: certificate", "all", "all", keysInHeader},
	{"header: jwk embedded", "all", "all", keysInHeader},
	{"header: b64 without crit", "all", "go-jose golang-jwt", critical},
	{"header: b64 without crit, payload as it is", "go-jose jwx", "", critical},
	{"header: crit malformed", "all", "all", critical},
	{"header: crit of b64", "go-jose golang-jwt", "go-jose golang-jwt", critical},
	{"header: crit of b64, payload as it is", "go-jose", "", critical},
	{"header: crit of something unknown", "golang-jwt", "golang-jwt", critical},
	{"header: cty", "all", "all", nestedToken},
	{"header: of encryption", "all", "all", encryption},
	{"header: of encryption, of key management", "all", "all", encryption},
	{"header: of encryption, of the wrong shape", "all", "all", encryption},
	{"header: kid not text", "all", "all", keyID},
	{"header: kid of another key", "all", "all", keyID},
	{"header: typ missing", "", "all", purpose},
	{"header: typ not text", "all", "all", purpose},
	{"header: typ of another purpose", "", "all", purpose},
}

// taken are the classes of which we accept every token with its claims. Of all others we accept none.
var taken = map[string]bool{
	"aud: list with ours":                              true,
	"claims: as they were, others added":               true,
	"claims: blanks in the JSON":                       true,
	"claims: name in other letters beside ours":        true,
	"claims: name with escapes":                        true,
	"claims: nested, up to 16":                         true,
	"claims: number beyond float64":                    true,
	"claims: number of many digits":                    true,
	"exp: fraction later":                              true,
	"exp: fraction within this second":                 true,
	"exp: in a second":                                 true,
	"exp: the year 9999":                               true,
	"header: ACME's nonce and url":                     true,
	"header: ACME's nonce and url, of the wrong shape": true,
	"header: alg with escapes":                         true,
	"header: as it was, another order":                 true,
	"header: blanks in the JSON":                       true,
	"header: certificate thumbprint":                   true,
	"header: certificate thumbprint not text":          true,
	"header: claims repeated":                          true,
	"header: kid missing":                              true,
	"header: kid with escapes":                         true,
	"header: member in other letters beside ours":      true,
	"header: typ with escapes":                         true,
	"header: unknown member":                           true,
	"header: unknown member, nested":                   true,
	"header: unknown member, number beyond float64":    true,
	"iss: with escapes":                                true,
	"nbf or iat: fraction in the past":                 true,
	"nbf or iat: missing":                              true,
	"nbf or iat: now":                                  true,
	"nbf or iat: zero":                                 true,
	"signature: ECDSA twin":                            true,
	"sub or jti: missing":                              true,
	"unchanged":                                        true,
}

// differences spells a table out.
func differences(table []verdict) map[difference]string {
	all := make(map[difference]string)
	for _, v := range table {
		for question, names := range map[string]string{signature: v.signature, claims: v.claims} {
			if names == "all" {
				names = "golang-jwt go-jose jwx"
			}
			for _, name := range strings.Fields(names) {
				all[difference{question, v.class, name}] = v.reason
			}
		}
	}
	return all
}

// The same for Wycheproof's tokens.
const (
	notClaims  = "a payload that is no JSON; golang-jwt reads nothing but claims"
	roca       = "a modulus of a broken generator, CVE-2017-15361; Wycheproof refuses it too"
	mixedSet   = "symmetric beside asymmetric keys: RFC 8725 section 2.1; Wycheproof refuses it too"
	shortKey   = "a key under the least size of RFC 7518, sections 3.2 and 3.3; Wycheproof refuses it too"
	twoKeys    = "two keys of one kid; Wycheproof refuses it too"
	wrongUse   = "use or key_ops say that the key is for something else: RFC 7517 section 4; Wycheproof refuses it too"
	sampleKey  = "a key of zeros, or one printed in RFC 7520, is refused when it is read"
	keyPolicy  = "a key that counts 00 01 02, and keys for HS384 and HS512, which are not offered"
	notOffered = "PS384 and PS512 are not offered, and a key for one of them verifies no other"
)

var vectorsLaxer = []verdict{
	{"json_web_crypto_test.json valid: acceptsValid", "golang-jwt", "", notClaims},
	{"json_web_key_test.json valid: acceptsValid", "golang-jwt", "", notClaims},
	{"json_web_signature_test.json valid: Figure13", "golang-jwt", "", notClaims},
	{"json_web_signature_test.json valid: acceptsValid", "golang-jwt", "", notClaims},
	{"json_web_signature_test.json valid: allZeroPayload", "golang-jwt", "", notClaims},
	{"json_web_signature_test.json valid: emptyPayload", "golang-jwt", "", notClaims},
	{"json_web_signature_test.json valid: normalPayload", "golang-jwt", "", notClaims},
	{"json_web_signature_test.json valid: oneBytePayload", "golang-jwt", "", notClaims},
	{"json_web_signature_test.json valid: valid", "golang-jwt", "", notClaims},
}

var vectorsStricter = []verdict{
	{"json_web_crypto_test.json invalid: rejectsKeyWithRocaVulnerability", "go-jose jwx", "", roca},
	{"json_web_crypto_test.json invalid: rejectsValid", "go-jose jwx", "", mixedSet},
	{"json_web_key_test.json invalid: key_too_short", "jwx", "", shortKey},
	{"json_web_key_test.json invalid: rejects1024bitRsaKey", "go-jose", "", shortKey},
	{"json_web_key_test.json invalid: rejectsDuplicateKid", "go-jose jwx", "", twoKeys},
	{"json_web_key_test.json invalid: rejectsKeyWithRocaVulnerability", "go-jose jwx", "", roca},
	{"json_web_key_test.json invalid: rejectsModifiedKey", "go-jose", "", wrongUse},
	{"json_web_key_test.json invalid: rejectsValid", "go-jose jwx", "", mixedSet},
	{"json_web_key_test.json valid: long_key", "go-jose jwx", "", keyPolicy},
	{"json_web_signature_test.json invalid: ModifiedUnusedBitsInPayload", "go-jose jwx", "", oneSpelling},
	{"json_web_signature_test.json invalid: SaltLenChanged", "go-jose golang-jwt", "", saltLength},
	{"json_web_signature_test.json invalid: invalidBase64Padding", "go-jose jwx", "", oneSpelling},
	{"json_web_signature_test.json invalid: invalidBase64PaddingInPayload", "go-jose jwx", "", oneSpelling},
	{"json_web_signature_test.json valid: Figure35", "go-jose jwx", "", sampleKey},
	{"json_web_signature_test.json valid: ValidEdgeCaseMac", "go-jose jwx", "", sampleKey},
	{"json_web_signature_test.json valid: ValidMac", "go-jose jwx", "", sampleKey},
	{"json_web_signature_test.json valid: ValidSpacesInJsonHeader", "go-jose jwx", "", sampleKey},
	{"json_web_signature_test.json valid: ValidWhiteSpaceInJsonHeader", "go-jose jwx", "", sampleKey},
	{"json_web_signature_test.json valid: allZeroPayload", "go-jose jwx", "", notOffered},
	{"json_web_signature_test.json valid: emptyPayload", "go-jose jwx", "", notOffered},
	{"json_web_signature_test.json valid: normalPayload", "go-jose jwx", "", notOffered},
	{"json_web_signature_test.json valid: oneBytePayload", "go-jose jwx", "", notOffered},
}
