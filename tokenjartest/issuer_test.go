package tokenjartest_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// published is a decoder of a program that fetches the keys once.
func published(t *testing.T, iss *tokenjartest.Issuer) *token.Decoder {
	t.Helper()
	res, err := http.Get(iss.JWKSURL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.ParseKeySet(text)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(nil, keys...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := token.NewDecoder(token.DecoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: iss.Issuer, Audience: iss.Audience, Now: iss.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestATokenOfAnIssuer(t *testing.T) {
	t.Parallel()
	for _, alg := range []token.Algorithm{"", token.ES384, token.EdDSA, token.HS256} {
		iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Algorithm: alg})
		decoders := []*token.Decoder{iss.Decoder()}
		if alg != token.HS256 { // which has nothing to publish
			decoders = append(decoders, published(t, iss))
		}
		raw := iss.Token(token.Claims{"sub": "ada", "scope": "read"}, time.Minute)
		for _, d := range decoders {
			claims, err := d.Decode(raw)
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			now := iss.Clock.Now()
			at := func(name string) time.Time { v, _ := claims.Time(name); return v }
			if at("iat") != now || at("nbf") != now || at("exp") != now.Add(time.Minute) || claims.String("jti") == "" ||
				claims.String("sub") != "ada" || claims.String("iss")+"/.well-known/jwks.json" != iss.JWKSURL ||
				claims.String("aud") != "https://api.example.com" {
				t.Errorf("%s: got %v", alg, claims)
			}
		}
		header, _, err := iss.Ring().Verify(raw)
		if want := alg; err != nil || header.Type != "at+jwt" || want != "" && header.Algorithm != want || want == "" && header.Algorithm != "ES256" {
			t.Errorf("got %+v, %v", header, err)
		}
	}
	t.Run("no claims and no life will do", func(t *testing.T) {
		iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Issuer: "https://id.example", Audience: "https://orders.example"})
		d := published(t, iss)
		raw := iss.Token(nil, 0)
		iss.Clock.Advance(5*time.Minute - time.Second)
		claims, err := d.Decode(raw)
		if err != nil || claims.String("iss") != "https://id.example" || claims.String("aud") != "https://orders.example" {
			t.Errorf("got %v, %v", claims, err)
		}
		iss.Clock.Advance(time.Second)
		if _, err := d.Decode(raw); !errors.Is(err, token.ErrExpired) {
			t.Errorf("after five minutes: got %v", err)
		}
	})
	t.Run("what cannot be made fails the test", func(t *testing.T) {
		wantFailure(t, func(t testing.TB) {
			tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{}).Token(token.Claims{"exp": 1}, 0)
		}, "exp")
		wantFailure(t, func(t testing.TB) { tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Algorithm: "none"}) }, "unknown")
	})
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA, token.HS256} {
		iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Algorithm: alg})
		d := iss.Decoder()
		claims := token.Claims{"sub": "ada"}
		want := map[string]error{
			"expired": token.ErrExpired, "not yet valid": token.ErrNotYetValid,
			"for another audience": token.ErrClaims, "of another issuer": token.ErrClaims, "of another type": token.ErrType,
			"forged": token.ErrSignature, "unsigned": token.ErrMalformed, "altered": token.ErrSignature,
		}
		n := 0
		for what, raw := range iss.Bad(claims) {
			n++
			if _, err := d.Decode(raw); want[what] == nil || !errors.Is(err, want[what]) {
				t.Errorf("%s, %s: got %v, want %v", alg, what, err, want[what])
			}
		}
		if n != len(want) || len(claims) != 1 {
			t.Errorf("got %d tokens, want %d; the claims are now %v", n, len(want), claims)
		}
		for range iss.Bad(nil) {
			break
		}
	}
	t.Run("forged with a key of the same name", func(t *testing.T) {
		iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{})
		good, bad := header(t, iss.Token(nil, 0)), header(t, iss.Forged(nil))
		if good != bad || !strings.Contains(bad, `"kid"`) {
			t.Errorf("got the header %s, want %s", bad, good)
		}
	})
	t.Run("unsigned, and says so", func(t *testing.T) {
		iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{})
		raw := iss.Unsigned(nil)
		if !strings.HasSuffix(raw, ".") || !strings.Contains(header(t, raw), `"alg":"none"`) {
			t.Errorf("got %s", raw)
		}
	})
}

func header(t *testing.T, raw string) string {
	t.Helper()
	first, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnIssuersKeysChange(t *testing.T) {
	t.Parallel()
	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{})
	live, fetched := iss.Decoder(), published(t, iss)
	old := iss.Token(nil, 0)
	iss.Rotate()
	fresh := iss.Token(nil, 0)
	check := func(name string, d *token.Decoder, raw string, want error) {
		t.Helper()
		if _, err := d.Decode(raw); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	check("rotated: the old token", live, old, nil)
	check("rotated: the new token", live, fresh, nil)
	check("rotated: the new token, for who has not fetched since", fetched, fresh, token.ErrSignature)
	fetched = published(t, iss)
	check("rotated: the old token, fetched", fetched, old, nil)
	check("rotated: the new token, fetched", fetched, fresh, nil)
	iss.DropOld()
	check("dropped: the old token", live, old, token.ErrSignature)
	check("dropped: the new token", live, fresh, nil)
	check("dropped: the old token, fetched", published(t, iss), old, token.ErrSignature)
}

func TestAnIssuersServer(t *testing.T) {
	t.Parallel()
	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{})
	get := func(tag string) (int, http.Header, error) {
		r, err := http.NewRequest("GET", iss.JWKSURL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", tag)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, nil, err
		}
		return res.StatusCode, res.Header, res.Body.Close()
	}
	status, h, err := get("")
	if status != 200 || h.Get("Cache-Control") != "public, max-age=300" || h.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("got %d %v %v", status, h, err)
	}
	if status, _, _ := get(h.Get("ETag")); status != 304 {
		t.Errorf("a set that has not changed: got %d", status)
	}
	iss.Rotate()
	if status, _, _ := get(h.Get("ETag")); status != 200 {
		t.Errorf("a set that has changed: got %d", status)
	}
	iss.Break(503)
	if status, _, _ := get(""); status != 503 {
		t.Errorf("broken: got %d", status)
	}
	iss.Break(0)
	if _, _, err := get(""); err == nil {
		t.Error("broken: got an answer")
	}
	fetches := iss.Fetches()
	iss.Mend()
	if status, _, _ := get(""); status != 200 || iss.Fetches() != fetches+1 {
		t.Errorf("mended: got %d, and %d fetches after %d", status, iss.Fetches(), fetches)
	}
	res, err := http.Get(iss.Issuer + "/else")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 404 || iss.Fetches() != fetches+1 {
		t.Errorf("another path: got %d, and %d fetches after %d", res.StatusCode, iss.Fetches(), fetches)
	}
}

// What the app and an issuer publish looks alike to who fetches it.
func TestAnIssuerPublishesAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	app, iss := tokenjartest.New(t, tokenjartest.Config{}), tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{})
	ours := app.Anonymous().Get("/.well-known/jwks.json").Want(200).Header
	res, err := http.Get(iss.JWKSURL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for _, name := range []string{"Cache-Control", "Content-Type"} {
		if res.Header.Get(name) != ours.Get(name) {
			t.Errorf("%s: got %q, want %q", name, res.Header.Get(name), ours.Get(name))
		}
	}
	if len(res.Header.Get("ETag")) != len(ours.Get("ETag")) {
		t.Errorf("ETag: got %s, want one like %s", res.Header.Get("ETag"), ours.Get("ETag"))
	}
}
