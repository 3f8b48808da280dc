package token_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/token"
)

func pemOf(tb testing.TB, key *token.Key) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(token.PrivateMaterial(key))
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestParseKeysReadsWhateverTheTextIs(t *testing.T) {
	key := newKey(t, "my-key", token.ES256)
	private, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	set := newRing(t, key, newKey(t, "other", token.EdDSA)).JWKS()
	text := pemOf(t, key)
	for _, c := range []struct {
		name  string
		text  []byte
		ids   string
		signs bool
	}{
		{"PEM", text, key.Thumbprint(), true},
		{"PEM behind a remark, with CRLF and blanks around", bytes.ReplaceAll([]byte("\n my key\n"+string(text)+"\n \n"), []byte("\n"), []byte("\r\n")), key.Thumbprint(), true},
		{"private JWK", private, "my-key", true},
		{"public JWK with blanks around", []byte(" \n" + string(public) + "\n"), "my-key", false},
		{"JWK set of a private key", []byte(`{"keys":[` + string(private) + `]}`), "my-key", true},
		{"JWK set", set, "my-key other", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := token.ParseKeys("JWT_KEY", c.text)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, key := range keys {
				ids = append(ids, key.ID())
				if key.CanSign() != c.signs {
					t.Errorf("%v can sign: %v", key, key.CanSign())
				}
			}
			if got := strings.Join(ids, " "); got != c.ids {
				t.Errorf("got %s, want %s", got, c.ids)
			}
		})
	}
}

func TestParseKeysTakesAnRSAKeyThatSaysNoAlgorithmForRS256(t *testing.T) {
	public, err := newKey(t, "r", token.PS256).MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	silent := bytes.Replace(public, []byte(`"alg":"PS256",`), nil, 1)
	for text, want := range map[string]token.Algorithm{string(silent): token.RS256, string(public): token.PS256, `{"keys":[` + string(silent) + `]}`: token.RS256} {
		keys, err := token.ParseKeys("JWT_KEY", []byte(text))
		if err != nil || keys[0].Algorithm() != want {
			t.Errorf("%s: got %v, %v, want %s", text, keys, err, want)
		}
	}
	if _, err := token.ParseKeySet(silent); err == nil {
		t.Error("ParseKeySet guesses as well")
	}
	if _, err := token.ParseKeys("JWT_KEY", bytes.Replace(public, []byte(`"alg":"PS256"`), []byte(`"alg":null`), 1)); err == nil {
		t.Error("an alg that is no text counts as none")
	}
}

func TestParseSigningKey(t *testing.T) {
	key, other := newKey(t, "my-key", token.ES256), newKey(t, "other", token.ES256)
	private, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := token.ParseSigningKey("JWT_PRIVATE_KEY", private); err != nil || got.ID() != "my-key" || !got.CanSign() {
		t.Errorf("got %v, %v", got, err)
	}
	for text, want := range map[string]string{
		string(public):                        "JWT_PRIVATE_KEY: is a public key: the private one is needed to sign",
		string(newRing(t, key, other).JWKS()): "JWT_PRIVATE_KEY: has several keys",
		"":                                    "JWT_PRIVATE_KEY: is required",
	} {
		if got, err := token.ParseSigningKey("JWT_PRIVATE_KEY", []byte(text)); got != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, %v, want %q", got, err, want)
		}
	}
}

func TestK10ParseKeysErrorsNameTheSettingAndNoKey(t *testing.T) {
	key := newKey(t, "my-key", token.ES256)
	text := string(pemOf(t, key))
	jwk, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	secret := string(jwk[bytes.Index(jwk, []byte(`"d":"`))+5:][:20])
	inner := strings.Split(text, "\n")[1]
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                  {"", "is required"},
		"blanks":                   {" \n\t", "is required"},
		"a byte order mark":        {"\ufeff{}", "is neither PEM nor a JWK or a JWK Set"},
		"a password":               {"hunter2-" + inner, "is neither PEM nor a JWK or a JWK Set"},
		"base64 of PEM":            {inner, "is neither PEM nor a JWK or a JWK Set"},
		"a JSON list":              {"[" + string(jwk) + "]", "is neither PEM nor a JWK or a JWK Set"},
		"a path":                   {"/etc/keys/private.pem", "is neither PEM nor a JWK or a JWK Set"},
		"PEM on one line":          {strings.ReplaceAll(text, "\n", `\n`), `has the two characters \n`},
		"K-10 two keys in PEM":     {text + text, "PEM has more than one key"},
		"K-10 a certificate":       {strings.ReplaceAll(text, "PRIVATE KEY", "CERTIFICATE"), "PEM: this is a certificate"},
		"K-10 encrypted PEM":       {strings.ReplaceAll(text, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "PEM: the key is encrypted"},
		"PEM cut short":            {text[:80], "no PEM block is in the text"},
		"PEM on one line, blanks":  {strings.ReplaceAll(text, "\n", " "), "is PEM without its line breaks"},
		"PEM in quotes":            {`"` + text + `"`, "is in quotes"},
		"a JWK in quotes":          {"'" + string(jwk) + "'", "is in quotes"},
		"an empty set":             {`{"keys":[]}`, "key set needs 1 to 100 keys"},
		"no key at all":            {`{}`, "key set needs 1 to 100 keys"},
		"J-17 a member twice":      {`{"kty":"EC",` + string(jwk[1:]), "JWK or key set: "},
		"K-06 two keys of one kid": {`{"keys":[` + string(jwk) + "," + string(jwk) + `]}`, "two keys of kid"},
		"K-07 a short secret":      {`{"kty":"oct","alg":"HS256","kid":"k","k":"c2hvcnQ"}`, "HS256 key: secret is shorter than 32 bytes"},
		"J-21 megabytes":           {`{"keys":"` + strings.Repeat("x", 1<<20) + `"}`, "JWK or key set is larger than 256 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := token.ParseKeys("JWT_PRIVATE_KEY", []byte(c.text))
			if err == nil || keys != nil || !strings.HasPrefix(err.Error(), "JWT_PRIVATE_KEY: "+c.want) {
				t.Fatalf("got %v, %v, want %q", keys, err, c.want)
			}
			for _, part := range []string{secret, inner[:20], "hunter2", "private.pem", "c2hvcnQ"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error repeats the text: %v", err)
				}
			}
		})
	}
	_, err = token.ParseKeys("JWT_PRIVATE_KEY", nil)
	if err.Error() != "JWT_PRIVATE_KEY: is required" {
		t.Errorf("got %q", err)
	}
}
