package peers_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/test/peers"
)

// A mutator makes tokens that differ from valid ones in one thing, and says in which: the class. Everything follows from
// the random numbers it is given, except the salts of PS256.
type mutator struct {
	tb       testing.TB
	key      peers.Key
	payloads []string
	valid    []string
	other    []string // valid under another algorithm and key

	// Headers and payloads to sign, each list with other numbers in it.
	headers, claims [][]variant
}

// A variant is a class of headers or of payloads.
type variant struct {
	class string
	texts []string
}

// newMutator makes a few valid tokens of different length, so that all remainders of base64 occur.
func newMutator(tb testing.TB, key, other peers.Key) *mutator {
	m := &mutator{tb: tb, key: key}
	foreign := &mutator{tb: tb, key: other}
	for _, extra := range []string{``, `,"sid":"01JQ5T7W9Z"`, `,"scp":["read","write"]`, `,"x":"ÿÿÿ>>>???"`, `,"n":12`} {
		payload := strings.TrimSuffix(goodPayload, "}") + extra + "}"
		m.payloads = append(m.payloads, payload)
		m.valid = append(m.valid, m.sign(m.header(), payload))
		m.other = append(m.other, foreign.sign(foreign.header(), payload))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 32 {
		m.headers = append(m.headers, m.headerVariants(r))
		m.claims = append(m.claims, claimsVariants(r))
	}
	return m
}

const goodPayload = `{"iss":"https://id.example","aud":"https://api.example","sub":"user-1","jti":"token-1","iat":1772600767,"nbf":1772600767,"exp":1772601067}`

func (m *mutator) header() string {
	return `{"alg":"` + m.key.Algorithm + `","kid":"k","typ":"at+jwt"}`
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign signs any text as header and any as payload, with the key's own algorithm.
func (m *mutator) sign(header, payload string) string {
	return m.signInput(b64(header) + "." + b64(payload))
}

func (m *mutator) signInput(input string) string {
	signature, err := m.key.SignRaw([]byte(input))
	if err != nil {
		m.tb.Error(err) // not Fatal: it may be called by a worker
	}
	return input + "." + b64(string(signature))
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// split returns the three parts of a valid token.
func split(raw string) []string { return strings.SplitN(raw, ".", 3) }

func join(parts []string) string { return strings.Join(parts, ".") }

// next makes one token.
func (m *mutator) next(r *rand.Rand) (class, raw string) {
	switch n := r.IntN(100); {
	case n < 35:
		return m.text(r)
	case n < 45:
		return m.base64(r)
	case n < 52:
		return m.structure(r)
	case n < 60:
		return m.signature(r)
	case n < 80:
		return m.rewriteHeader(r)
	default:
		return m.rewritePayload(r)
	}
}

// text changes characters of a token, wherever they are. When the decoded parts stay what they were, the class is that of
// the spelling.
func (m *mutator) text(r *rand.Rand) (class, raw string) {
	original := pick(r, m.valid)
	b := []byte(original)
	at := r.IntN(len(b))
	switch r.IntN(5) {
	case 0:
		class = "text: bit flipped"
		b[at] ^= 1 << r.IntN(8)
	case 1:
		class = "text: byte inserted"
		const often = "\r\n =.-_+/?%\x00\t\"{\\\x80\xff"
		c := often[r.IntN(len(often))]
		if r.IntN(2) == 0 {
			c = byte(r.IntN(256))
		}
		b = append(b[:at], append([]byte{c}, b[at:]...)...)
	case 2:
		class = "text: byte removed"
		b = append(b[:at], b[at+1:]...)
	case 3:
		class = "text: byte doubled"
		b = append(b[:at], append([]byte{b[at]}, b[at:]...)...)
	default:
		class = "text: bytes exchanged"
		other := r.IntN(len(b))
		b[at], b[other] = b[other], b[at]
	}
	return spelling(class, original, string(b)), string(b)
}

// spelling returns the class of a token that says the same as original in other characters, and class for all others.
func spelling(class, original, raw string) string {
	if raw == original {
		return "unchanged"
	}
	outside := strings.TrimSpace(raw)
	if outside == original {
		return "base64: blanks around the token"
	}
	folded := strings.NewReplacer("\r", "", "\n", "").Replace(raw)
	if folded == original {
		return "base64: line break inside"
	}
	parts, was := strings.Split(raw, "."), strings.Split(original, ".")
	if len(parts) != 3 {
		return class
	}
	same := true
	for i := range parts {
		loose, err := base64.RawURLEncoding.DecodeString(parts[i])
		strict, _ := base64.RawURLEncoding.DecodeString(was[i])
		if i == 0 && parts[1] == was[1] && parts[2] == was[2] {
			url := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(parts[0])
			if longer, err := base64.RawURLEncoding.DecodeString(url); err == nil && len(longer) > len(strict) && bytes.HasPrefix(longer, strict) {
				return "text: after the header's JSON, not signed"
			}
		}
		same = same && err == nil && bytes.Equal(loose, strict)
	}
	if same {
		return "base64: unused bits"
	}
	return class
}

// base64 spells one part of a token another way, and signs that spelling or leaves the signature.
func (m *mutator) base64(r *rand.Rand) (class, raw string) {
	original := pick(r, m.valid)
	parts, which := split(original), r.IntN(3)
	part := parts[which]
	at := 1 + r.IntN(len(part)-1)
	switch r.IntN(8) {
	case 0:
		class = "base64: padding"
		parts[which] += strings.Repeat("=", 1+r.IntN(3))
		if r.IntN(2) == 0 {
			parts[which] = part + strings.Repeat("=", (4-len(part)%4)%4)
		}
	case 1:
		class = "base64: standard alphabet"
		parts[which] = strings.NewReplacer("-", "+", "_", "/").Replace(part)
	case 2, 3:
		class = "base64: line break inside"
		for range 1 + r.IntN(2) {
			parts[which] = parts[which][:at] + pick(r, []string{"\n", "\r", "\r\n"}) + parts[which][at:]
		}
	case 4:
		class = "base64: unused bits"
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, part[len(part)-1])
		if unused := len(part) * 6 % 8; unused > 0 {
			parts[which] = part[:len(part)-1] + string(alphabet[last|1+r.IntN(1<<unused-1)])
		}
	case 5:
		class = "base64: blank inside"
		parts[which] = part[:at] + pick(r, []string{" ", "\t", "\v", "\u00a0", "\u2028"}) + part[at:]
	case 6:
		blank := pick(r, []string{" ", "\t", "\n", "\r\n", "\v", "\u00a0"})
		if r.IntN(2) == 0 {
			return "base64: blanks around the token", blank + original
		}
		return "base64: blanks around the token", original + blank
	default:
		class = "base64: stray character"
		parts[which] = part[:at] + pick(r, []string{"?", "%3D", "~", "\x00", ",", "é", "\ufeff", "А"}) + part[at:]
	}
	class = spelling(class, original, join(parts))
	if which < 2 && class != "unchanged" && r.IntN(2) == 0 {
		return class + ", signed so", m.signInput(parts[0] + "." + parts[1])
	}
	return class, join(parts)
}

// structure changes the number and order of the parts, or the serialisation.
func (m *mutator) structure(r *rand.Rand) (class, raw string) {
	original, second := pick(r, m.valid), pick(r, m.valid)
	parts, foreign := split(original), split(pick(r, m.other))
	object := func(form string, values ...any) string { return fmt.Sprintf(form, values...) }
	variants := []func() (string, string){
		func() (string, string) {
			parts[r.IntN(3)] = split(second)[r.IntN(3)]
			return "structure: part of another token", join(parts)
		},
		func() (string, string) {
			which := r.IntN(3)
			parts[which] = foreign[which]
			return "structure: part of another key's token", join(parts)
		},
		func() (string, string) {
			i, j := r.IntN(3), r.IntN(3)
			parts[i], parts[j] = parts[j], parts[i]
			return "structure: parts exchanged", join(parts)
		},
		func() (string, string) { parts[r.IntN(3)] = ""; return "structure: empty part", join(parts) },
		func() (string, string) {
			return "structure: more parts", join(append(parts, pick(r, []string{"", "AA", parts[2], parts[1] + "." + parts[2]})))
		},
		func() (string, string) { return "structure: fewer parts", join(parts[:r.IntN(3)]) },
		func() (string, string) {
			return "structure: dots", strings.Repeat(".", 1+r.IntN(5)) + original + strings.Repeat(".", r.IntN(3))
		},
		func() (string, string) { return "structure: detached payload", parts[0] + ".." + parts[2] },
		func() (string, string) {
			return "structure: flattened JSON", object(`{"payload":%q,"protected":%q,"signature":%q}`, parts[1], parts[0], parts[2])
		},
		func() (string, string) {
			return "structure: general JSON", object(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2])
		},
		func() (string, string) {
			return "structure: general JSON, one signature good", object(
				`{"payload":%q,"signatures":[{"protected":%q,"signature":"AAAA"},{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[0], parts[2])
		},
		func() (string, string) {
			return "structure: JSON without protected header", object(`{"payload":%q,"header":%s,"signature":%q}`, parts[1], m.header(), parts[2])
		},
		func() (string, string) { return "structure: JSON string", object("%q", original) },
		func() (string, string) { return "structure: payload alone", goodPayload },
		func() (string, string) {
			name := pick(r, []string{"none", "None", "NONE", "nOnE", ""})
			return "structure: alg none", b64(object(`{"alg":%q,"kid":"k","typ":"at+jwt"}`, name)) + "." + parts[1] + "." + pick(r, []string{"", parts[2]})
		},
		func() (string, string) {
			payload := strings.TrimSuffix(goodPayload, "}") + `,"pad":"` + strings.Repeat("x", 6000+r.IntN(4000)) + `"}`
			raw := m.sign(m.header(), payload)
			if len(raw) <= 8<<10 {
				return "structure: large, up to 8 KiB", raw
			}
			return "structure: larger than 8 KiB", raw
		},
	}
	class, raw = pick(r, variants)()
	return spelling(class, original, raw), raw
}

// signature changes the bytes of a signature.
func (m *mutator) signature(r *rand.Rand) (class, raw string) {
	parts := split(pick(r, m.valid))
	original := join(parts)
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	half := len(signature) / 2
	switch n := r.IntN(9); {
	case n < 3 && isECDSA(m.key):
		public := m.key.Public.(*ecdsa.PublicKey)
		order := public.Params().N
		a, b := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		switch n {
		case 0:
			class = "signature: ECDSA twin"
			new(big.Int).Sub(order, b).FillBytes(signature[half:])
		case 1:
			class = "signature: ECDSA in DER"
			signature, _ = asn1.Marshal(struct{ R, S *big.Int }{a, b})
		default:
			class = "signature: ECDSA r and s with a leading zero"
			signature = append(append([]byte{0}, signature[:half]...), append([]byte{0}, signature[half:]...)...)
		}
	case n == 0 && m.key.Algorithm == "PS256":
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		salt := &rsa.PSSOptions{SaltLength: pick(r, []int{8, 20, 31, 33, 222})}
		var err error
		if signature, err = rsa.SignPSS(cryptorand.Reader, m.key.Private.(*rsa.PrivateKey), crypto.SHA256, digest[:], salt); err != nil {
			m.tb.Error(err)
		}
		class = "signature: PSS with a salt of another length"
	case n < 3:
		class = "signature: byte changed"
		signature[r.IntN(len(signature))] ^= byte(1 + r.IntN(255))
	case n == 3:
		class = "signature: truncated"
		signature = signature[:r.IntN(len(signature))]
	case n == 4:
		class = "signature: truncated in front"
		signature = signature[1+r.IntN(len(signature)-1):]
	case n == 5:
		class = "signature: extended"
		for range 1 + r.IntN(4) {
			signature = append(signature, byte(r.IntN(2)*r.IntN(256)))
		}
	case n == 6:
		class = "signature: extended in front"
		signature = append(make([]byte, 1+r.IntN(2)), signature...)
	case n == 7:
		class = "signature: zero"
		fill := byte(r.IntN(2) * 255)
		for i := range signature[r.IntN(2)*half:] {
			signature[i] = fill
		}
	default:
		class = "signature: twice"
		signature = append(signature, signature...)
	}
	parts[2] = b64(string(signature))
	return spelling(class, original, join(parts)), join(parts)
}

func isECDSA(key peers.Key) bool { _, yes := key.Public.(*ecdsa.PublicKey); return yes }

// rewriteHeader signs another header.
func (m *mutator) rewriteHeader(r *rand.Rand) (class, raw string) {
	v := pick(r, pick(r, m.headers))
	header, payload := pick(r, v.texts), pick(r, m.payloads)
	if v.class == "header: crit of b64" || v.class == "header: b64 without crit" {
		if r.IntN(2) == 0 { // RFC 7797: the payload as it is
			return v.class + ", payload as it is", m.signInput(b64(header) + "." + pick(r, []string{"AAAA", payload}))
		}
	}
	return v.class, m.sign(header, payload)
}

func (m *mutator) headerVariants(r *rand.Rand) []variant {
	alg := m.key.Algorithm
	with := func(members string) string { return `{"alg":"` + alg + `","kid":"k","typ":"at+jwt",` + members + `}` }
	public, _ := json.Marshal(publicJWK(m.key))
	filler := fmt.Sprintf(`"x%d":%d`, r.IntN(1000), r.IntN(1000))
	return []variant{
		{"header: as it was, another order", []string{`{"typ":"at+jwt","kid":"k","alg":"` + alg + `"}`}},
		{"header: alg in other letters", []string{strings.Replace(m.header(), alg, swapCase(alg), 1), strings.Replace(m.header(), alg, alg+" ", 1), strings.Replace(m.header(), alg, strings.ToLower(alg), 1)}},
		{"header: alg missing", []string{`{"kid":"k","typ":"at+jwt"}`}},
		{"header: alg not text", []string{`{"alg":null,"kid":"k","typ":"at+jwt"}`, `{"alg":256,"kid":"k","typ":"at+jwt"}`, `{"alg":["` + alg + `"],"kid":"k","typ":"at+jwt"}`}},
		{"header: alg of another algorithm", []string{strings.Replace(m.header(), alg, pick(r, []string{"none", "HS512", "RS384", "ES512", "PS512", "ES256K", "Ed25519", "RS1", ""}), 1)}},
		{"header: alg with escapes", []string{strings.Replace(m.header(), alg, fmt.Sprintf(`\u%04x`, alg[0])+alg[1:], 1), strings.Replace(m.header(), `"alg"`, `"\u0061lg"`, 1)}},
		{"header: duplicate alg", []string{with(`"alg":"` + alg + `"`), with(`"alg":"none"`), `{"alg":"none",` + m.header()[1:]}},
		{"header: duplicate alg, one name escaped", []string{with(`"\u0061lg":"` + alg + `"`), `{"al\u0067":"none",` + m.header()[1:]}},
		{"header: duplicate kid or typ", []string{with(`"kid":"k"`), with(`"kid":"other"`), with(`"typ":"at+jwt"`), `{"typ":"JWT",` + m.header()[1:]}},
		{"header: duplicate unknown member", []string{with(`"x":1,"x":2`), with(`"x":{"y":1,"y":1}`), with(`"` + "é" + `":1,"\u00e9":1`)}},
		{"header: member in other letters beside ours", []string{with(`"Alg":"none"`), with(`"ALG":"` + alg + `"`), with(`"KID":"other"`), with("\"\u212aid\":\"other\"")}},
		{"header: member in other letters instead of ours", []string{`{"Alg":"` + alg + `","kid":"k","typ":"at+jwt"}`, `{"ALG":"` + alg + `"}`}},
		{"header: crit of something unknown", []string{with(`"crit":["x"],"x":1`), with(`"crit":["exp"],"exp":1`), with(`"crit":["http://example/x"]`)}},
		{"header: crit malformed", []string{with(`"crit":[]`), with(`"crit":null`), with(`"crit":"x"`), with(`"crit":{}`), with(`"crit":["alg"]`)}},
		{"header: crit of b64", []string{with(`"crit":["b64"],"b64":true`), with(`"crit":["b64"],"b64":false`)}},
		{"header: b64 without crit", []string{with(`"b64":true`), with(`"b64":false`), with(`"b64":null`)}},
		{"header: typ of another purpose", []string{strings.Replace(m.header(), "at+jwt", pick(r, []string{"JWT", "refresh+jwt", "dpop+jwt", "AT+JWT", "application/at+jwt", "", "at+jwt "}), 1)}},
		{"header: typ not text", []string{strings.Replace(m.header(), `"at+jwt"`, pick(r, []string{"null", "1", `["at+jwt"]`, "{}"}), 1)}},
		{"header: typ missing", []string{`{"alg":"` + alg + `","kid":"k"}`}},
		{"header: typ with escapes", []string{strings.Replace(m.header(), `at+jwt`, `\u0061t+jwt`, 1)}},
		{"header: kid of another key", []string{strings.Replace(m.header(), `"k"`, pick(r, []string{`"K"`, `""`, `"k "`, `"../../etc/passwd"`, `"' OR 1=1 --"`, `"http://127.0.0.1:9/k"`}), 1)}},
		{"header: kid not text", []string{strings.Replace(m.header(), `"k"`, pick(r, []string{"null", "1", `["k"]`, `{"k":"k"}`}), 1)}},
		{"header: kid missing", []string{`{"alg":"` + alg + `","typ":"at+jwt"}`}},
		{"header: kid with escapes", []string{strings.Replace(m.header(), `"k"`, `"\u006b"`, 1)}},
		{"header: jwk embedded", []string{with(`"jwk":` + string(public)), with(`"jwk":{}`), with(`"jwk":null`)}},
		{"header: address of keys", []string{with(`"jku":"https://id.example/jwks"`), with(`"x5u":"https://id.example/x"`), with(`"jku":null`), with(`"x5u":1`)}},
		{"header: certificate", []string{with(`"x5c":[]`), with(`"x5c":["AAAA"]`), with(`"x5c":null`)}},
		{"header: certificate thumbprint", []string{with(`"x5t":"AAAA"`), with(`"x5t#S256":"AAAA"`)}},
		{"header: certificate thumbprint not text", []string{with(`"x5t":5`), with(`"x5t#S256":[]`), with(`"x5t":null`)}},
		{"header: cty", []string{with(`"cty":"JWT"`), with(`"cty":"json"`), with(`"cty":null`)}},
		{"header: of encryption", []string{with(`"enc":"A128GCM"`), with(`"zip":"DEF"`)}},
		{"header: of encryption, of key management", []string{with(`"epk":{"kty":"EC"}`), with(`"p2c":2147483647,"p2s":"AAAA"`), with(`"apu":"AAAA"`), with(`"iv":"AAAA","tag":"AAAA"`)}},
		{"header: of encryption, of the wrong shape", []string{with(`"epk":1`), with(`"p2c":"x"`), with(`"apu":[]`)}},
		{"header: ACME's nonce and url", []string{with(`"nonce":"AAAA"`), with(`"url":"https://id.example/"`)}},
		{"header: ACME's nonce and url, of the wrong shape", []string{with(`"nonce":5`), with(`"url":[]`), with(`"nonce":"?"`)}},
		{"header: claims repeated", []string{with(`"iss":"https://id.example"`), with(`"aud":"other"`), with(`"exp":1`)}},
		{"header: unknown member", []string{with(filler), with(`"x":null`), with(`"":1`), with(`"x":"\ud83d\ude00"`)}},
		{"header: unknown member, nested", []string{with(`"x":[[1]]`), with(`"x":{"alg":"none"}`), with(`"x":{"y":{"z":[]}}`)}},
		{"header: unknown member, nested deeper than 4", []string{with(`"x":[[[[[]]]]]`), with(`"x":` + strings.Repeat(`{"a":`, 10) + "1" + strings.Repeat("}", 10))}},
		{"header: unknown member, number beyond float64", []string{with(`"x":1e400`)}},
		{"header: larger than 2 KiB", []string{with(`"x":"` + strings.Repeat("x", 1600+r.IntN(3000)) + `"`)}},
		{"header: blanks in the JSON", []string{" " + m.header(), m.header() + "\n", strings.ReplaceAll(m.header(), `,`, " ,\t"), strings.ReplaceAll(m.header(), `:`, "\r\n: ")}},
		{"header: other blanks in the JSON", []string{"\v" + m.header(), m.header() + "\f", "\u00a0" + m.header(), strings.ReplaceAll(m.header(), `,`, ",\u2028")}},
		{"header: text after the JSON", []string{m.header() + "x", m.header() + m.header(), m.header() + "\x00", m.header() + "]", m.header() + "//"}},
		{"header: byte order mark", []string{"\ufeff" + m.header()}},
		{"header: invalid UTF-8", []string{with("\"x\":\"\xff\""), with("\"\xc0\xaf\":1"), with("\"x\":\"\xed\xa0\x80\"")}},
		{"header: half a surrogate pair", []string{with(`"x":"\ud800"`), with(`"\udc00":1`), with(`"x":"\ud800\ud800"`)}},
		{"header: NUL in text", []string{with(`"x":"\u0000"`), with(`"\u0000":1`)}},
		{"header: control character in text", []string{with("\"x\":\"\n\""), with("\"x\":\"\x01\""), with("\"x\x00\":1")}},
		{"header: not JSON", []string{with(`"x":1,`), with(`'x':1`), with(`x:1`), with(`"x":01`), with(`"x":.5`), with(`"x":NaN`), with(`"x":"\x"`), with(`"x":tru`), m.header()[:len(m.header())-1], ""}},
		{"header: not an object", []string{"[]", "null", "1", `"x"`, "[" + m.header() + "]"}},
		{"header: empty object", []string{"{}"}},
	}
}

func swapCase(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return c - 32
		case 'A' <= c && c <= 'Z':
			return c + 32
		}
		return c
	}, s)
}

// rewritePayload signs other claims.
func (m *mutator) rewritePayload(r *rand.Rand) (class, raw string) {
	v := pick(r, pick(r, m.claims))
	return v.class, m.sign(m.header(), pick(r, v.texts))
}

func claimsVariants(r *rand.Rand) []variant {
	replace := func(name, value string) string {
		var members []string
		for _, member := range strings.Split(strings.Trim(goodPayload, "{}"), ",") {
			if strings.HasPrefix(member, `"`+name+`":`) {
				if value == "" {
					continue
				}
				member = `"` + name + `":` + value
			}
			members = append(members, member)
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	each := func(name string, values ...string) []string {
		var all []string
		for _, value := range values {
			all = append(all, replace(name, value))
		}
		return all
	}
	with := func(members ...string) []string {
		var all []string
		for _, member := range members {
			all = append(all, strings.TrimSuffix(goodPayload, "}")+","+member+"}")
		}
		return all
	}
	now := testNow.Unix()
	start := pick(r, []string{"nbf", "iat"}) // judged alike
	return []variant{
		{"claims: as they were, others added", with(fmt.Sprintf(`"x%d":%d`, r.IntN(1000), r.IntN(1000)), `"x":[1,2,{"y":null}]`, `"scp":["a"]`, `"":1`)},
		{"claims: duplicate registered name", append(with(`"exp":9999999999`, `"aud":"other"`, `"sub":"admin"`, `"iss":"https://id.example"`), `{"sub":"admin",`+goodPayload[1:], `{"exp":1,`+goodPayload[1:])},
		{"claims: duplicate name, one escaped", with(`"su\u0062":"admin"`, `"\u0065xp":9999999999`)},
		{"claims: duplicate unknown name", with(`"x":1,"x":1`, `"x":{"y":1,"y":2}`)},
		{"claims: name with escapes", []string{strings.Replace(goodPayload, `"sub"`, `"s\u0075b"`, 1), strings.Replace(goodPayload, `"exp"`, `"e\u0078p"`, 1)}},
		{"claims: name in other letters beside ours", with(`"Sub":"admin"`, `"EXP":9999999999`, `"Aud":"other"`, "\"\u017fub\":\"admin\"")},
		{"claims: name in other letters instead of ours", []string{strings.Replace(goodPayload, `"exp"`, `"Exp"`, 1), strings.Replace(goodPayload, `"aud"`, `"AUD"`, 1), strings.Replace(goodPayload, `"iss"`, "\"i\u017fs\"", 1)}},
		{"claims: invalid UTF-8", with("\"x\":\"\xff\"", "\"\xc0\xaf\":1", "\"x\":\"\xed\xa0\x80\"")},
		{"claims: invalid UTF-8 in sub", each("sub", "\"user\xff\"")},
		{"claims: half a surrogate pair", with(`"x":"\ud800"`, `"\udc00":1`)},
		{"claims: NUL in text", with(`"x":"\u0000"`, `"\u0000":1`)},
		{"claims: control character in text", with("\"x\":\"\n\"", "\"x\":\"\x01\"")},
		{"claims: byte order mark", []string{"\ufeff" + goodPayload}},
		{"claims: text after the JSON", []string{goodPayload + "x", goodPayload + goodPayload, goodPayload + "\x00", goodPayload + ","}},
		{"claims: blanks in the JSON", []string{" " + goodPayload, goodPayload + "\r\n", strings.ReplaceAll(goodPayload, ",", "\t,\n")}},
		{"claims: not an object", []string{"[]", "null", "1", `"x"`, "[" + goodPayload + "]"}},
		{"claims: not JSON", []string{"", "foo", goodPayload[:len(goodPayload)-1], strings.ReplaceAll(goodPayload, `"`, `'`), goodPayload[:len(goodPayload)-1] + ",}"}},
		{"claims: empty object", []string{"{}"}},
		{"claims: nested, up to 16", with(`"x":` + nested(1+r.IntN(15)))},
		{"claims: nested deeper than 16", with(`"x":` + nested(16+r.IntN(200)))},
		{"claims: number beyond float64", with(`"x":1e400`, `"x":-1e999`)},
		{"claims: number of many digits", with(`"x":12345678901234567890123`, `"x":0.1234567890123456789`)},

		{"exp: now", each("exp", fmt.Sprint(now))},
		{"exp: a second ago", each("exp", fmt.Sprint(now-1))},
		{"exp: long ago", each("exp", "1", fmt.Sprint(now-86400))},
		{"exp: in a second", each("exp", fmt.Sprint(now+1))},
		{"exp: fraction within this second", each("exp", fmt.Sprintf("%d.5", now), fmt.Sprintf("%d.000000001", now))},
		{"exp: fraction later", each("exp", fmt.Sprintf("%d.5", now+1), fmt.Sprintf("%d.25", now+60))},
		{"exp: fraction just before now", each("exp", fmt.Sprintf("%d.5", now-1), fmt.Sprintf("%d.999999999", now-1))},
		{"exp: missing", each("exp", "")},
		{"exp: null", each("exp", "null")},
		{"exp: zero", each("exp", "0", "0.0", "-0")},
		{"exp: text", each("exp", fmt.Sprintf("%q", fmt.Sprint(now+60)), `"2030-01-01T00:00:00Z"`, `""`)},
		{"exp: boolean, list or object", each("exp", "true", "[9999999999]", "{}")},
		{"exp: negative", each("exp", "-1", "-9999999999")},
		{"exp: exponent form", each("exp", "1.9e9", "1e10", "19E8")},
		{"exp: beyond the year 9999", each("exp", "253402300800", "9.3e18", "9300000000000000000", "9223372036854775807", "99999999999999999999")},
		{"exp: beyond float64", each("exp", "1e400")},
		{"exp: the year 9999", each("exp", "253402300799")},
		{"exp: leading zero", each("exp", "01772601067")},

		{"nbf or iat: now", each(start, fmt.Sprint(now))},
		{"nbf or iat: in a second", each(start, fmt.Sprint(now+1))},
		{"nbf or iat: in a year", each(start, fmt.Sprint(now+31_536_000), "253402300799")},
		{"nbf or iat: fraction within this second", each(start, fmt.Sprintf("%d.5", now), fmt.Sprintf("%d.000000001", now))},
		{"nbf or iat: fraction in the past", each(start, fmt.Sprintf("%d.5", now-1), "0.5")},
		{"nbf or iat: missing", each(start, "")},
		{"nbf or iat: null", each(start, "null")},
		{"nbf or iat: zero", each(start, "0")},
		{"nbf or iat: minus zero", each(start, "-0")},
		{"nbf or iat: text", each(start, fmt.Sprintf("%q", fmt.Sprint(now)), `""`)},
		{"nbf or iat: boolean, list or object", each(start, "true", "[]", "{}")},
		{"nbf or iat: negative", each(start, "-1", "-1.5")},
		{"nbf or iat: exponent form", each(start, "1.7e9", "17E8")},
		{"nbf or iat: beyond the year 9999", each(start, "253402300800", "99999999999999999999", "9223372036854775807")},
		{"nbf or iat: beyond float64", each(start, "1e400")},

		{"aud: list with ours", each("aud", `["https://api.example"]`, `["other","https://api.example"]`, `["https://api.example","https://api.example"]`)},
		{"aud: list without ours", each("aud", `["other"]`, `["https://api.example/"]`)},
		{"aud: empty list", each("aud", `[]`)},
		{"aud: list with an empty text", each("aud", `["","https://api.example"]`)},
		{"aud: list with something else", each("aud", `["https://api.example",1]`, `["https://api.example",null]`, `["https://api.example",["x"]]`)},
		{"aud: list of more than 64", each("aud", `["https://api.example"`+strings.Repeat(`,"x"`, 64+r.IntN(100))+`]`)},
		{"aud: other text", each("aud", `"other"`, `"https://api.example/"`, `"HTTPS://API.EXAMPLE"`, `"https://api.example other"`, `""`)},
		{"aud: missing or null", each("aud", "", "null")},
		{"aud: neither text nor list", each("aud", "1", "true", `{"https://api.example":1}`)},
		{"aud: longer than 255 bytes beside ours", each("aud", `["https://api.example","`+strings.Repeat("x", 256)+`"]`)},

		{"iss: other text", each("iss", `"https://id.example/"`, `"https://ID.example"`, `""`, `"https://id.example\u0000"`)},
		{"iss: missing or null", each("iss", "", "null")},
		{"iss: not text", each("iss", "1", `["https://id.example"]`, "{}")},
		{"iss: with escapes", each("iss", `"https:\/\/id.example"`, `"\u0068ttps://id.example"`)},

		{"sub or jti: missing", append(each("sub", ""), each("jti", "")...)},
		{"sub or jti: null", append(each("sub", "null"), each("jti", "null")...)},
		{"sub or jti: not text", append(each("sub", "7", `["user-1"]`), each("jti", "7", "{}")...)},
		{"sub or jti: empty", append(each("sub", `""`), each("jti", `""`)...)},
		{"sub or jti: control characters", append(each("sub", `"a\nb"`, `"\u007f"`), each("jti", `"a\tb"`)...)},
		{"sub or jti: longer than 255 bytes", append(each("sub", `"`+strings.Repeat("x", 256)+`"`), each("jti", `"`+strings.Repeat("x", 300)+`"`)...)},
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
