package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/token"
)

// encodePEM returns one block.
func encodePEM(t *testing.T, kind string, marshal func() ([]byte, error)) string {
	t.Helper()
	der, err := marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParsePEMReadsEveryUsualForm(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) func() ([]byte, error) {
		return func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }
	}
	pkix := func(key any) func() ([]byte, error) {
		return func() ([]byte, error) { return x509.MarshalPKIXPublicKey(key) }
	}
	sec1 := encodePEM(t, "EC PRIVATE KEY", func() ([]byte, error) { return x509.MarshalECPrivateKey(ec) })
	for name, c := range map[string]struct {
		text string
		alg  token.Algorithm // asked for
		want token.Algorithm
		sign bool
	}{
		"PKCS #8, P-256":              {encodePEM(t, "PRIVATE KEY", pkcs8(ec)), "", token.ES256, true},
		"PKCS #8, P-384":              {encodePEM(t, "PRIVATE KEY", pkcs8(ec384)), "", token.ES384, true},
		"PKCS #8, Ed25519":            {encodePEM(t, "PRIVATE KEY", pkcs8(ed)), "", token.EdDSA, true},
		"PKCS #8, RSA":                {encodePEM(t, "PRIVATE KEY", pkcs8(rs)), "", token.RS256, true},
		"PKCS #8, RSA as PSS":         {encodePEM(t, "PRIVATE KEY", pkcs8(rs)), token.PS256, token.PS256, true},
		"PKCS #1":                     {encodePEM(t, "RSA PRIVATE KEY", func() ([]byte, error) { return x509.MarshalPKCS1PrivateKey(rs), nil }), "", token.RS256, true},
		"SEC 1":                       {sec1, "", token.ES256, true},
		"SEC 1 behind its parameters": {"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + sec1, "", token.ES256, true},
		"public, P-256":               {encodePEM(t, "PUBLIC KEY", pkix(&ec.PublicKey)), "", token.ES256, false},
		"public, Ed25519":             {encodePEM(t, "PUBLIC KEY", pkix(edPublic)), "", token.EdDSA, false},
		"public, PKCS #1":             {encodePEM(t, "RSA PUBLIC KEY", func() ([]byte, error) { return x509.MarshalPKCS1PublicKey(&rs.PublicKey), nil }), "", token.RS256, false},
	} {
		key, err := token.ParsePEM("", c.alg, []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if key.Algorithm() != c.want || key.CanSign() != c.sign || len(key.ID()) != 43 {
			t.Errorf("%s: got %v, signs %v; want %s, %v and a thumbprint", name, key, key.CanSign(), c.want, c.sign)
		}
	}

	ed8 := encodePEM(t, "PRIVATE KEY", pkcs8(ed))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		alg  token.Algorithm
		want string
	}{
		"K-10 nothing":                {"", "", "no PEM block"},
		"K-10 another text":           {"ssh-ed25519 AAAA", "", "no PEM block"},
		"K-10 two keys":               {ed8 + ed8, "", "more than one key"},
		"K-10 a damaged key first":    {"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n" + ed8, "", "more than one key"},
		"K-10 a text behind the key":  {ed8 + "and so on", "", "behind the key"},
		"K-10 parameters alone":       {"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", "", "no key"},
		"K-10 a certificate":          {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "", "certificate"},
		"K-10 encrypted, PKCS #8":     {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "", "encrypted"},
		"K-10 encrypted, traditional": {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "", "encrypted"},
		"K-10 an OpenSSH key":         {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "", "no key of a kind"},
		"K-10 damaged":                {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "", "damaged"},
		"K-07 RSA of 1024 bits":       {encodePEM(t, "PRIVATE KEY", pkcs8(small)), "", "2048"},
		"a curve nobody asked for":    {encodePEM(t, "PRIVATE KEY", pkcs8(p521)), "", "algorithm"},
		"another algorithm's key":     {ed8, token.ES256, "does not fit"},
		"HMAC under a public key":     {ed8, token.HS256, "does not fit"},
		"a text without end":          {strings.Repeat(ed8, 1000), "", "longer"},
	} {
		key, err := token.ParsePEM("", c.alg, []byte(c.text))
		if err == nil {
			t.Errorf("%s: taken as %v", name, key)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, want it to say %q", name, err, c.want)
		}
	}
}
