package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037). Reading is strict: every member we know is judged, binary
// values have one spelling, unknown members are ignored as RFC 7517 section 4 demands. The certificate members x5u,
// x5c and x5t are among the ignored: trust comes from whoever configured the key, and nothing is ever fetched.

const (
	maxKeySetSize  = 256 << 10 // bytes
	maxKeySetKeys  = 100
	maxKeySetDepth = 8 // {"keys":[{"key_ops":[]}]} needs 4
)

// ParseKey reads one JWK, private or public, with the policy of [NewKey].
//
// "alg" may be left out where the curve leaves one choice (EC, OKP), and "kid" where a thumbprint can take its place
// (all but oct). "use" and "key_ops", if present, must say signatures: "sign" for keys with a private part, "verify"
// for the others. A private JWK must be complete and consistent; for RSA, p and q are required and a third prime is
// refused.
func ParseKey(jwk []byte) (*Key, error) {
	object, err := readKeyObject(jwk)
	if err != nil {
		return nil, err
	}
	return parseKey(object)
}

// ParseKeySet reads {"keys":[...]}, or a single JWK as a set of one. Any key that [ParseKey] refuses, a kid given
// twice, or symmetric beside asymmetric keys refuse the whole set: half a key set is a surprise in waiting.
func ParseKeySet(jwks []byte) ([]*Key, error) { return parseKeySet(jwks, "") }

// parseKeySet reads a set in which RSA keys that do not say their algorithm are for rsa, if it is not empty.
func parseKeySet(jwks []byte, rsa Algorithm) ([]*Key, error) {
	object, err := readKeyObject(jwks)
	if err != nil {
		return nil, err
	}
	list, isSet := object["keys"].([]any)
	if _, single := object["kty"]; single && !isSet {
		key, err := parseKeyFor(object, rsa)
		if err != nil {
			return nil, err
		}
		return []*Key{key}, nil
	}
	if len(list) == 0 || len(list) > maxKeySetKeys {
		return nil, fmt.Errorf("token: key set needs 1 to %d keys", maxKeySetKeys)
	}
	var keys []*Key
	for i, element := range list {
		object, ok := element.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("token: key %d of the set is not an object", i)
		}
		key, err := parseKeyFor(object, rsa)
		if err != nil {
			return nil, fmt.Errorf("token: key %d of the set: %w", i, err)
		}
		keys = append(keys, key)
	}
	if err := checkSet(keys); err != nil {
		return nil, err
	}
	return keys, nil
}

// parseKeyFor reads a key; an RSA key that does not say its algorithm is for rsa, if it is not empty.
func parseKeyFor(object map[string]any, rsa Algorithm) (*Key, error) {
	if _, says := object["alg"]; !says && rsa != "" && object["kty"] == "RSA" {
		object["alg"] = string(rsa)
	}
	return parseKey(object)
}

func readKeyObject(data []byte) (map[string]any, error) {
	if len(data) > maxKeySetSize {
		return nil, errors.New("token: JWK or key set is larger than 256 KiB")
	}
	var object map[string]any
	if err := strictjson.Unmarshal(data, &object, maxKeySetDepth); err != nil {
		return nil, fmt.Errorf("token: JWK or key set: %w", err)
	}
	return object, nil
}

// jwkReader takes members from a JWK and remembers the first fault.
type jwkReader struct {
	object map[string]any
	err    error
}

func (r *jwkReader) fail(reason string) {
	if r.err == nil {
		r.err = errors.New("token: JWK: " + reason)
	}
}

func (r *jwkReader) has(name string) bool {
	_, ok := r.object[name]
	return ok
}

// text returns a string member, "" when absent.
func (r *jwkReader) text(name string) string {
	s, ok := r.object[name].(string)
	if !ok && r.has(name) {
		r.fail(name + " is not a string")
	}
	return s
}

// bytes returns a required base64url member of size bytes, or of any size but none for 0.
func (r *jwkReader) bytes(name string, size int) []byte {
	b, ok := decodeBase64(r.text(name))
	if !ok || len(b) == 0 || size > 0 && len(b) != size {
		r.fail(name + " is missing, not base64url, or not of the right length")
		return make([]byte, size)
	}
	return b
}

// integer returns a required Base64urlUInt member: no leading zero byte (RFC 7518 section 2).
func (r *jwkReader) integer(name string) *big.Int {
	b := r.bytes(name, 0)
	if len(b) > 0 && b[0] == 0 {
		r.fail(name + " starts with a zero byte")
	}
	return new(big.Int).SetBytes(b)
}

func parseKey(object map[string]any) (*Key, error) {
	r := &jwkReader{object: object}
	alg, id := Algorithm(r.text("alg")), r.text("kid")
	var key any
	private := r.has("d")
	switch r.text("kty") {
	case "EC":
		curves := map[string]Algorithm{"P-256": ES256, "P-384": ES384}
		fits, ok := curves[r.text("crv")]
		if !r.has("alg") {
			alg = fits
		}
		if !ok || alg != fits {
			r.fail("crv is unknown or does not fit alg")
			break
		}
		key = r.ec(fits.curve(), private)
	case "OKP":
		if !r.has("alg") {
			alg = EdDSA
		}
		if r.text("crv") != "Ed25519" || alg != EdDSA {
			r.fail("crv is unknown or does not fit alg")
			break
		}
		key = r.okp(private)
	case "RSA":
		switch alg {
		case RS256, RS384, RS512, PS256:
			key = r.rsa(private)
		default:
			r.fail("RSA key without a supported alg")
		}
	case "oct":
		private = true
		if alg != HS256 {
			r.fail("oct key without a supported alg")
		}
		if !r.has("kid") {
			r.fail("oct key without kid")
		}
		key = r.bytes("k", 0)
	default:
		r.fail("kty is missing or unknown")
	}
	r.checkUse(private)
	if r.has("kid") && id == "" {
		r.fail("kid is empty")
	}
	if r.err != nil {
		return nil, r.err
	}
	return NewKey(id, alg, key)
}

// checkUse applies "use" and "key_ops" (RFC 7517 sections 4.2 and 4.3).
func (r *jwkReader) checkUse(private bool) {
	if r.has("use") && r.text("use") != "sig" {
		r.fail("use is not sig")
	}
	if !r.has("key_ops") {
		return
	}
	list, ok := r.object["key_ops"].([]any)
	operations := make(map[any]bool)
	for _, element := range list {
		ok = ok && (element == "sign" || element == "verify") && !operations[element]
		if !ok {
			break // also: an element that is no string may not be a map key
		}
		operations[element] = true
	}
	if !ok || private && !operations["sign"] || !private && !operations["verify"] {
		r.fail("key_ops does not fit a signature key of this kind")
	}
}

func (r *jwkReader) ec(curve elliptic.Curve, private bool) any {
	size := coordinateSize(curve)
	point := append([]byte{4}, r.bytes("x", size)...) // SEC 1: uncompressed
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(point, r.bytes("y", size)...))
	if err != nil {
		r.fail("point is not on the curve")
		return nil
	}
	if !private {
		return public
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, r.bytes("d", size))
	if err != nil || !key.PublicKey.Equal(public) {
		r.fail("d does not belong to x and y")
		return nil
	}
	return key
}

func (r *jwkReader) okp(private bool) any {
	public := ed25519.PublicKey(r.bytes("x", ed25519.PublicKeySize))
	if !private {
		return public
	}
	key := ed25519.NewKeyFromSeed(r.bytes("d", ed25519.SeedSize))
	if !public.Equal(key.Public()) {
		r.fail("d does not belong to x")
	}
	return key
}

func (r *jwkReader) rsa(private bool) any {
	n, e := r.integer("n"), r.integer("e")
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		r.fail("e is over 31 bits")
		return nil
	}
	public := &rsa.PublicKey{N: n, E: int(e.Int64())}
	if !private {
		return public
	}
	if err := checkRSA(public); err != nil { // before any arithmetic on numbers of any size
		r.fail(err.Error())
		return nil
	}
	key := &rsa.PrivateKey{PublicKey: *public, D: r.integer("d"), Primes: []*big.Int{r.integer("p"), r.integer("q")}}
	if r.has("oth") {
		r.fail("more than two primes")
	}
	if r.err == nil && !consistentRSA(key) {
		r.fail("private parts do not belong together")
	}
	if r.err != nil {
		return nil
	}
	key.Precompute()
	derived := map[string]*big.Int{"dp": key.Precomputed.Dp, "dq": key.Precomputed.Dq, "qi": key.Precomputed.Qinv}
	for name, want := range derived {
		if r.has(name) && (want == nil || r.integer(name).Cmp(want) != 0) {
			r.fail("private parts do not belong together")
		}
	}
	return key
}

// jsonWebKey is what we write. The order of the members is fixed, so equal keys give equal bytes.
type jsonWebKey struct {
	KeyType string `json:"kty"`
	Use     string `json:"use"`
	Alg     string `json:"alg"`
	KeyID   string `json:"kid"`
	Curve   string `json:"crv,omitempty"`
	X       string `json:"x,omitempty"`
	Y       string `json:"y,omitempty"`
	N       string `json:"n,omitempty"`
	E       string `json:"e,omitempty"`
	D       string `json:"d,omitempty"`
	P       string `json:"p,omitempty"`
	Q       string `json:"q,omitempty"`
	Dp      string `json:"dp,omitempty"`
	Dq      string `json:"dq,omitempty"`
	Qi      string `json:"qi,omitempty"`
	K       string `json:"k,omitempty"`
}

// publicJWK returns the public members only; an HS256 key has none and must not come here.
func (k *Key) publicJWK() jsonWebKey {
	jwk := k.material.publicMembers(k.alg)
	jwk.Use, jwk.Alg, jwk.KeyID = "sig", string(k.alg), k.id
	return jwk
}

func (m *material) publicMembers(alg Algorithm) jsonWebKey {
	switch {
	case m.ecPublic != nil:
		size := coordinateSize(alg.curve())
		point, _ := m.ecPublic.Bytes() // cannot fail: checked when the key was made
		return jsonWebKey{KeyType: "EC", Curve: alg.curve().Params().Name,
			X: encodeBase64(point[1 : 1+size]), Y: encodeBase64(point[1+size:])}
	case m.edPublic != nil:
		return jsonWebKey{KeyType: "OKP", Curve: "Ed25519", X: encodeBase64(m.edPublic)}
	default:
		return jsonWebKey{KeyType: "RSA", N: encodeInteger(m.rsaPublic.N),
			E: encodeInteger(big.NewInt(int64(m.rsaPublic.E)))}
	}
}

// thumbprint is the RFC 7638 thumbprint with SHA-256: the required members in alphabetical order.
func (m *material) thumbprint(alg Algorithm) string {
	jwk := m.publicMembers(alg)
	var text string
	switch jwk.KeyType {
	case "EC":
		text = fmt.Sprintf(`{"crv":"%s","kty":"EC","x":"%s","y":"%s"}`, jwk.Curve, jwk.X, jwk.Y)
	case "OKP":
		text = fmt.Sprintf(`{"crv":"%s","kty":"OKP","x":"%s"}`, jwk.Curve, jwk.X)
	default:
		text = fmt.Sprintf(`{"e":"%s","kty":"RSA","n":"%s"}`, jwk.E, jwk.N)
	}
	sum := sha256.Sum256([]byte(text))
	return encodeBase64(sum[:])
}

// MarshalPrivate returns the key with its private part as a JWK that [ParseKey] reads back. The result is a secret:
// it is meant for a sealed key ring and nothing else. A key without a private part is an error.
func (k *Key) MarshalPrivate() ([]byte, error) {
	if !k.CanSign() {
		return nil, errors.New("token: key has no private part")
	}
	m := k.material
	var jwk jsonWebKey
	if m.secret != nil {
		jwk = jsonWebKey{KeyType: "oct", Use: "sig", Alg: string(k.alg), KeyID: k.id, K: encodeBase64(m.secret)}
	} else {
		jwk = k.publicJWK()
	}
	switch {
	case m.ec != nil:
		scalar, err := m.ec.Bytes()
		if err != nil {
			return nil, errors.New("token: private value is out of range")
		}
		jwk.D = encodeBase64(scalar)
	case m.ed != nil:
		jwk.D = encodeBase64(m.ed.Seed())
	case m.rsa != nil:
		jwk.D, jwk.P, jwk.Q = encodeInteger(m.rsa.D), encodeInteger(m.rsa.Primes[0]), encodeInteger(m.rsa.Primes[1])
		crt := m.rsa.Precomputed
		jwk.Dp, jwk.Dq, jwk.Qi = encodeInteger(crt.Dp), encodeInteger(crt.Dq), encodeInteger(crt.Qinv)
	}
	return json.Marshal(jwk)
}

// Thumbprint returns the RFC 7638 thumbprint of the key with SHA-256, in base64url: equal for equal key material, whatever
// kid and algorithm it is bound to. A symmetric key has none: "".
func (k *Key) Thumbprint() string {
	if k.alg.symmetric() {
		return ""
	}
	return k.material.thumbprint(k.alg)
}

// MarshalPublic returns the public part of the key as a JWK that [ParseKey] reads back. A symmetric key has none, which is
// an error.
func (k *Key) MarshalPublic() ([]byte, error) {
	if k.alg.symmetric() {
		return nil, errors.New("token: a symmetric key has no public part")
	}
	return json.Marshal(k.publicJWK())
}

func encodeBase64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encodeInteger(n *big.Int) string { return encodeBase64(n.Bytes()) }
