package httpapi_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/vectors"
)

var b64 = base64.RawURLEncoding

// refusedEverywhere sends a token as cookie and as bearer, and as what it is not: no answer may be good or our fault.
func refusedEverywhere(t *testing.T, w *servertest.World, name, raw string) {
	t.Helper()
	for kind, c := range map[string]change{
		"access cookie": w.Cookies(raw, ""), "refresh cookie": w.Cookies("", raw),
		"bearer": func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + raw} },
	} {
		r := w.Request(t, "GET", "/auth/user", "", c)
		for _, v := range append(r.Header["Cookie"], r.Header["Authorization"]...) {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				t.Fatalf("%s: cannot be sent in a field", name)
			}
		}
		a := w.Send(t, "GET", "/auth/user", "", c)
		if a.Status != 401 && a.Status != 400 && a.Status != 431 {
			t.Errorf("%s, as %s: %d %s", name, kind, a.Status, a.Body)
		}
	}
}

// J-35: every JOSE vector through HTTP.
func TestJOSEVectorsThroughHTTP(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	before, total := w.Digest(t), 0
	for file, want := range map[string]int{
		"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 83, "json_web_encryption_test.json": 139,
	} {
		var doc struct {
			TestGroups []struct {
				Tests []struct {
					ID  int             `json:"tcId"`
					JWS json.RawMessage `json:"jws"`
					JWE json.RawMessage `json:"jwe"`
				} `json:"tests"`
			} `json:"testGroups"`
		}
		vectors.Read(t, file, &doc)
		n := 0
		for _, g := range doc.TestGroups {
			for _, tc := range g.Tests {
				n++
				for _, part := range []json.RawMessage{tc.JWS, tc.JWE} {
					if part == nil {
						continue
					}
					var raw string
					if json.Unmarshal(part, &raw) != nil { // the JSON serialisation, without its line ends
						var compact bytes.Buffer
						json.Compact(&compact, part)
						raw = compact.String()
					}
					refusedEverywhere(t, w, file+" tcId "+jsonNumber(tc.ID), raw)
				}
			}
		}
		if n != want {
			t.Errorf("%s: %d cases, want %d", file, n, want)
		}
		total += n
	}
	if total != 510+139 || w.Digest(t) != before || !p.Live(t) {
		t.Errorf("J-35: %d cases; changed: %v", total, w.Digest(t) != before)
	}
}

// J-34: no bit of a genuine token can be flipped.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	before := w.Digest(t)
	for i := range len(p.Access) {
		if i%7 != 0 && i < len(p.Access)-3 && p.Access[i] != '.' {
			continue // a sample; package token flips them all
		}
		for bit := range 8 {
			raw := p.Access[:i] + string([]byte{p.Access[i] ^ 1<<bit}) + p.Access[i+1:]
			if strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				continue
			}
			if a := w.Send(t, "GET", "/auth/user", "", servertest.Bearer(raw)); a.Status != 401 {
				t.Errorf("byte %d bit %d: %d", i, bit, a.Status)
			}
		}
	}
	if w.Digest(t) != before {
		t.Error("something changed")
	}
}

func TestForgedHeaders(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	parts := strings.Split(p.Access, ".")
	payload, signature := parts[1], parts[2]
	var genuine struct{ Kid string }
	head, _ := b64.DecodeString(parts[0])
	if err := json.Unmarshal(head, &genuine); err != nil || genuine.Kid == "" {
		t.Fatal(err, genuine)
	}
	header := func(members string) string { return b64.EncodeToString([]byte(members)) }
	withAlg := func(alg string) string {
		return header(`{"alg":"` + alg + `","kid":"` + genuine.Kid + `","typ":"at+jwt"}`)
	}
	rows := map[string]string{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		rows["J-01: alg "+alg+" without signature"] = withAlg(alg) + "." + payload + "."
		rows["J-01: alg "+alg+" with signature"] = withAlg(alg) + "." + payload + "." + signature
	}
	for _, alg := range []string{"es256", "Es256", "ES256 ", " ES256", "ES384", "PS256", "HS256", "RS256", "EdDSA"} {
		rows["J-03, J-05: alg "+alg] = withAlg(alg) + "." + payload + "." + signature
	}
	for name, v := range map[string]string{"one part": parts[0], "two parts": parts[0] + "." + payload, "four parts": p.Access + ".x", "five parts": p.Access + ".x.y", "empty parts": "..", "empty payload": parts[0] + ".." + signature, "trailing dot": p.Access + ".", "leading dot": "." + p.Access} {
		rows["J-07: "+name] = v
	}
	for i, name := range []string{"header", "payload", "signature"} {
		changed := append([]string(nil), parts...)
		last := changed[i][len(changed[i])-1]
		if len(changed[i])%4 != 0 {
			changed[i] = changed[i][:len(changed[i])-1] + next(last)
			rows["J-10: unused bits of the "+name] = strings.Join(changed, ".")
		}
		changed = append([]string(nil), parts...)
		changed[i] += "="
		rows["J-10: padding behind the "+name] = strings.Join(changed, ".")
	}
	for n := range 3 {
		rows["J-11: only dots, "+jsonNumber(n)] = strings.Repeat(".", []int{100, 1000, 8000}[n])
	}
	for name, members := range map[string]string{
		"J-17: duplicate alg":               `{"alg":"ES256","alg":"none","kid":"` + genuine.Kid + `","typ":"at+jwt"}`,
		"J-17: alg in two cases":            `{"alg":"none","ALG":"ES256","kid":"` + genuine.Kid + `","typ":"at+jwt"}`,
		"J-18: a Kelvin kid":                `{"alg":"ES256","\u212aid":"` + genuine.Kid + `","typ":"at+jwt"}`,
		"J-19: invalid UTF-8":               "{\"alg\":\"ES256\",\"kid\":\"\xff\",\"typ\":\"at+jwt\"}",
		"J-15: PBES2 with a large p2c":      `{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA"}`,
		"J-14: zip":                         `{"alg":"ES256","zip":"DEF","kid":"` + genuine.Kid + `","typ":"at+jwt"}`,
		"J-23: cty":                         `{"alg":"ES256","cty":"JWT","kid":"` + genuine.Kid + `","typ":"at+jwt"}`,
		"K-01: kid is a path":               `{"alg":"ES256","kid":"../../etc/passwd","typ":"at+jwt"}`,
		"K-01: kid is SQL":                  `{"alg":"ES256","kid":"' OR 1=1 --","typ":"at+jwt"}`,
		"K-01: kid is an address":           `{"alg":"ES256","kid":"http://127.0.0.1:9/k","typ":"at+jwt"}`,
		"K-01: kid is long":                 `{"alg":"ES256","kid":"` + strings.Repeat("k", 2000) + `","typ":"at+jwt"}`,
		"K-01: kid with NUL and line end":   `{"alg":"ES256","kid":"a\u0000\r\n","typ":"at+jwt"}`,
		"K-02: jku":                         `{"alg":"ES256","jku":"http://127.0.0.1:9/jwks","typ":"at+jwt"}`,
		"K-02: x5u":                         `{"alg":"ES256","x5u":"http://127.0.0.1:9/x","typ":"at+jwt"}`,
		"K-02: jwk of an attacker":          `{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"typ":"at+jwt"}`,
		"K-03: without kid":                 `{"alg":"ES256","typ":"at+jwt"}`,
		"K-02: crit":                        `{"alg":"ES256","crit":["x"],"x":1,"kid":"` + genuine.Kid + `","typ":"at+jwt"}`,
		"K-02: b64 false":                   `{"alg":"ES256","b64":false,"crit":["b64"],"kid":"` + genuine.Kid + `","typ":"at+jwt"}`,
		"J-21: deep":                        `{"alg":"ES256","x":` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `}`,
		"J-19: a byte order mark before it": "\ufeff" + `{"alg":"ES256","kid":"` + genuine.Kid + `","typ":"at+jwt"}`,
	} {
		rows[name] = header(members) + "." + payload + "." + signature
	}
	rows["J-13: flattened JSON"] = `{"protected":"` + parts[0] + `","payload":"` + payload + `","signature":"` + signature + `"}`
	rows["J-13: general JSON"] = `{"payload":"` + payload + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + signature + `"}]}`
	rows["J-13: an object"] = `{}`
	rows["J-30: an empty signature"] = parts[0] + "." + payload + "."
	rows["J-30: a zero signature"] = parts[0] + "." + payload + "." + b64.EncodeToString(make([]byte, 64))
	rows["J-02: the MAC is missing"] = withAlg("HS256") + "." + payload + "."
	for shape, key := range publicKeyShapes(t, w) {
		for _, typ := range []string{"at+jwt", "rt+jwt"} {
			for _, alg := range []string{"HS256"} {
				signed := header(`{"alg":"`+alg+`","kid":"`+genuine.Kid+`","typ":"`+typ+`"}`) + "." + payload
				mac := hmac.New(sha256.New, key)
				mac.Write([]byte(signed))
				rows["J-02: HMAC with the public key as "+shape+", "+typ] = signed + "." + b64.EncodeToString(mac.Sum(nil))
			}
		}
	}
	before := w.Digest(t)
	for name, raw := range rows {
		t.Run(name, func(t *testing.T) { refusedEverywhere(t, w, name, raw) })
	}
	if w.Digest(t) != before || !p.Live(t) {
		t.Error("something changed")
	}
}

// publicKeyShapes are the ways in which a careless verifier might hold the server's public key as bytes.
func publicKeyShapes(t *testing.T, w *servertest.World) map[string][]byte {
	t.Helper()
	jwks := w.Send(t, "GET", "/.well-known/jwks.json", "").Body
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &set); err != nil || len(set.Keys) != 1 {
		t.Fatal(err, string(jwks))
	}
	var k struct{ X, Y, Kid string }
	if err := json.Unmarshal(set.Keys[0], &k); err != nil {
		t.Fatal(err)
	}
	x, _ := b64.DecodeString(k.X)
	y, _ := b64.DecodeString(k.Y)
	public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	open, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string][]byte{
		"PEM": text, "PEM without line end": []byte(strings.TrimSpace(string(text))), "DER": der, "JWK": set.Keys[0], "JWKS": jwks,
		"raw point": append(append([]byte{4}, x...), y...), "coordinates": append(append([]byte{}, x...), y...), "x": x, "x as text": []byte(k.X),
		"kid": []byte(k.Kid), "OpenSSH line": ssh.MarshalAuthorizedKey(open), "nothing": {},
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	a := w.Send(t, "GET", "/.well-known/jwks.json", "", p.RefreshOnly)
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(a.Body, &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("%v: %s", err, a.Body)
	}
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, found := k[private]; found {
				t.Errorf("K-14: member %q is published", private)
			}
		}
		if k["kty"] == "oct" {
			t.Error("K-14: a symmetric key is published")
		}
	}
	if a.Header.Get("Content-Type") != "application/jwk-set+json" || a.Header.Get("Etag") == "" || a.Header.Get("Cache-Control") != "public, max-age=300" || len(a.Cookies()) != 0 {
		t.Errorf("K-14: %v", a.Header)
	}
	if n := w.Send(t, "GET", "/.well-known/jwks.json", "", servertest.Header("If-None-Match", a.Header.Get("Etag"))); n.Status != 304 || len(n.Body) != 0 {
		t.Errorf("K-14: If-None-Match: %d %s", n.Status, n.Body)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		if a := w.Refused(t, 405, "method_not_allowed", method, "/.well-known/jwks.json", ""); a.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("K-14: Allow %q", a.Header.Get("Allow"))
		}
	}
}
