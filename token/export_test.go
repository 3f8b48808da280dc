package token

// What only the tests may reach.

// VerifyPrimitive is the signature check below the token layer.
func VerifyPrimitive(k *Key, input, signature []byte) bool {
	return k.material.verify(k.alg, input, signature)
}

// UncheckedHMACKey makes an HS256 key without key policy, for published vectors whose keys the policy refuses.
func UncheckedHMACKey(id string, secret []byte) *Key {
	return &Key{id: id, alg: HS256, material: &sealed{&material{secret: secret}}, jsonID: appendJSON(nil, id)}
}

// SignRaw signs a header given as text.
func SignRaw(k *Key, header string, payload []byte) string {
	input := encodeBase64([]byte(header)) + "." + encodeBase64(payload)
	signature, err := k.material.sign(k.alg, []byte(input))
	if err != nil {
		panic(err)
	}
	return input + "." + encodeBase64(signature)
}

// WithAlgorithm returns the same key material under another algorithm, as no constructor would.
func WithAlgorithm(k *Key, alg Algorithm) *Key {
	other := *k
	other.alg = alg
	return &other
}

// Parse takes a token apart as Verify does and puts it together again.
func Parse(raw string) (again string, ok bool) {
	c, ok := parse(raw)
	if !ok {
		return "", false
	}
	payload, ok := decodeBase64(c.payload)
	if !ok {
		return "", false
	}
	signature, ok := decodeBase64(c.signature)
	if !ok {
		return "", false
	}
	header, _ := decodeBase64(c.input[:len(c.input)-len(c.payload)-1])
	return encodeBase64(header) + "." + encodeBase64(payload) + "." + encodeBase64(signature), true
}

// PublicMaterial returns the standard library's form of a key's verifying part.
func PublicMaterial(k *Key) any {
	switch m := k.material; {
	case m.ecPublic != nil:
		return m.ecPublic
	case m.edPublic != nil:
		return m.edPublic
	case m.rsaPublic != nil:
		return m.rsaPublic
	default:
		return m.secret
	}
}

// PrivateMaterial returns the standard library's form of a key's signing part.
func PrivateMaterial(k *Key) any {
	switch m := k.material; {
	case m.ec != nil:
		return m.ec
	case m.ed != nil:
		return m.ed
	case m.rsa != nil:
		return m.rsa
	default:
		return m.secret
	}
}

// TestRSABits keeps tests with generated RSA keys fast; GenerateKey itself is tested once.
const TestRSABits = 2048

// CacheEntries returns how many tokens a cache holds.
func CacheEntries(c *Cache) int { return c.known.Len() }

// PlainHeader reads a header the plain way.
func PlainHeader(text string) (h Header, hasKeyID, ok bool) {
	sent, ok := plainHeader(text)
	return sent.Header, sent.hasKeyID, ok
}

// StrictHeader reads a header the strict way.
func StrictHeader(text string) (h Header, hasKeyID, ok bool) {
	sent, ok := strictHeader([]byte(text))
	return sent.Header, sent.hasKeyID, ok
}

// ReadHeader reads an encoded header as Verify does.
func ReadHeader(encoded string) (h Header, hasKeyID, ok bool) {
	sent, ok := readHeader(encoded)
	return sent.Header, sent.hasKeyID, ok
}

// PlainClaims writes claims the plain way.
func PlainClaims(claims Claims) ([]byte, bool) { return plainClaims(claims) }
