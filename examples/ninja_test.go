package examples_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// What docs/howto/from-django-ninja-aio.md says is tested here: line by line what the module's own tests check, then what is
// deliberately different, then the program of the page, and tokens of both sides.

const (
	ninjaIssuer   = "blog-api"
	ninjaAudience = "blog-clients"
	ninjaURL      = "https://blog.example"
	ninjaCSRFKey  = "a csrf key of an example, 32 byt"
)

// rsaPEM makes a key as openssl does, and returns it as private and as public key.
var rsaPEM = sync.OnceValues(func() (private, public []byte) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
})

func mustGet[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// ninjaCaller is the user of these tests: who, and by which authenticator.
type ninjaCaller struct{ Via, Sub string }

// A ninjaBench is the one key with encoder and decoder, at a time that stands still.
type ninjaBench struct {
	now     time.Time
	ring    *token.Ring
	encoder *token.Encoder
	decoder *token.Decoder
	handled int // how often a handler was called
}

func newNinjaBench(t *testing.T) *ninjaBench {
	t.Helper()
	private, _ := rsaPEM()
	b := &ninjaBench{now: time.Unix(1_800_000_000, 0)}
	keys := mustGet[[]*token.Key](t)(token.ParseKeys("JWT_PRIVATE_KEY", private))
	b.ring = mustGet[*token.Ring](t)(token.NewRing(keys[0]))
	b.encoder = mustGet[*token.Encoder](t)(token.NewEncoder(token.EncoderConfig{
		Keys: b.ring, Type: "JWT", Issuer: ninjaIssuer, Audience: ninjaAudience, Now: b.clock,
	}))
	b.decoder = mustGet[*token.Decoder](t)(token.NewDecoder(b.config()))
	return b
}

func (b *ninjaBench) clock() time.Time { return b.now }

func (b *ninjaBench) config() token.DecoderConfig {
	return token.DecoderConfig{Keys: b.ring, Type: "JWT", Issuer: ninjaIssuer, Audience: ninjaAudience, Now: b.clock}
}

func (b *ninjaBench) token(t *testing.T, claims token.Claims) string {
	t.Helper()
	return mustGet[string](t)(b.encoder.Encode(claims, 15*time.Minute))
}

// sign signs a payload that no encoder here would write.
func (b *ninjaBench) sign(t *testing.T, payload string) string {
	t.Helper()
	return mustGet[string](t)(b.ring.Sign("JWT", []byte(payload)))
}

// handler is auth_handler: it returns sub.
func (b *ninjaBench) handler(via string) middleware.Resolver[*ninjaCaller] {
	return func(_ context.Context, claims token.Claims) (*ninjaCaller, error) {
		b.handled++
		return &ninjaCaller{via, claims.String("sub")}, nil
	}
}

func (b *ninjaBench) bearer(t *testing.T, resolve middleware.Resolver[*ninjaCaller]) middleware.Authenticator[*ninjaCaller] {
	t.Helper()
	return mustGet[*middleware.Bearer[*ninjaCaller]](t)(middleware.NewBearer(b.decoder, resolve))
}

func (b *ninjaBench) cookie(t *testing.T, resolve middleware.Resolver[*ninjaCaller], change func(*middleware.CookieConfig)) *middleware.Cookie[*ninjaCaller] {
	t.Helper()
	cfg := middleware.CookieConfig{
		Cookie: cookie.JWT{Prefix: cookie.None}, PublicURL: ninjaURL, CSRFClaim: "sub",
		CSRFTokens: mustGet[*csrf.Tokens](t)(csrf.NewTokens([]byte(ninjaCSRFKey))),
	}
	if change != nil {
		change(&cfg)
	}
	return mustGet[*middleware.Cookie[*ninjaCaller]](t)(middleware.NewCookie(b.decoder, resolve, cfg))
}

// answerVia answers as the module's end-to-end test does.
var answerVia = func(w http.ResponseWriter, _ *http.Request, c *ninjaCaller) {
	fmt.Fprintf(w, `{"via":%q,"sub":%q}`, c.Via, c.Sub)
}

// askNinja sends one request and returns "status body", or "status code" of a problem.
func askNinja(h http.Handler, method, path string, header ...string) string {
	r := httptest.NewRequest(method, ninjaURL+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if code := w.Header().Get(problem.Header); code != "" {
		return fmt.Sprint(w.Code, " ", code)
	}
	return fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()))
}

func wantAnswer(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

func setCookie(t *testing.T, set func(w http.ResponseWriter) error) string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := set(w); err != nil {
		t.Fatal(err)
	}
	return strings.Join(w.Header()["Set-Cookie"], "\n")
}

// Every line is one of the module's tests; where the behaviour differs on purpose, the subtest within says how.
func TestWhatTheTestsOfDjangoNinjaAioCheck(t *testing.T) {
	b := newNinjaBench(t)
	good := b.token(t, token.Claims{"sub": "42"})

	t.Run("encode→decode round trip keeps sub; iss, aud come from config; iat, nbf, exp exist and exp > iat", func(t *testing.T) {
		claims := mustGet[token.Claims](t)(b.decoder.Decode(good))
		if claims.String("sub") != "42" || claims.String("iss") != ninjaIssuer || claims.String("aud") != ninjaAudience {
			t.Errorf("got %v", claims)
		}
		iat, ok1 := claims.Time("iat")
		nbf, ok2 := claims.Time("nbf")
		exp, ok3 := claims.Time("exp")
		if !ok1 || !ok2 || !ok3 || !nbf.Equal(iat) || exp.Sub(iat) != 15*time.Minute {
			t.Errorf("iat %v, nbf %v, exp %v", iat, nbf, exp)
		}
	})
	t.Run("decoding with another key fails with the library error", func(t *testing.T) {
		other := mustGet[*token.Ring](t)(token.NewRing(mustGet[*token.Key](t)(token.GenerateKey(token.ES256))))
		if _, _, err := other.Verify(good); !errors.Is(err, token.ErrSignature) {
			t.Errorf("another kid: got %v, want ErrSignature", err)
		}
		forged := good[:len(good)-8] + "AAAAAAAA"
		if _, _, err := b.ring.Verify(forged); !errors.Is(err, token.ErrSignature) {
			t.Errorf("another signature: got %v, want ErrSignature", err)
		}
	})
	t.Run("key validator: returns the given key; rejects a non-key with ValueError; missing config → ValueError", func(t *testing.T) {
		_, public := rsaPEM()
		keys := mustGet[[]*token.Key](t)(token.ParseKeys("JWT_PUBLIC_KEY", public))
		if len(keys) != 1 || keys[0].Algorithm() != token.RS256 || keys[0].CanSign() {
			t.Errorf("got %v", keys)
		}
		_, err := token.ParseKeys("JWT_PUBLIC_KEY", []byte("not-a-key"))
		wantError(t, err, "JWT_PUBLIC_KEY: is neither PEM nor a JWK")
		_, err = token.ParseKeys("JWT_PRIVATE_KEY", nil)
		wantError(t, err, "JWT_PRIVATE_KEY: is required")
	})
	t.Run("mandatory claims: filled from config; ValueError when config lacks them; preset iss/aud not overwritten", func(t *testing.T) {
		given := token.Claims{"sub": "42"}
		full := mustGet[token.Claims](t)(b.encoder.Complete(given, time.Minute))
		if full.String("iss") != ninjaIssuer || full.String("aud") != ninjaAudience {
			t.Errorf("got %v", full)
		}
		if len(given) != 1 {
			t.Errorf("the ninjaCaller's claims were changed: %v", given)
		}
		open := mustGet[*token.Encoder](t)(token.NewEncoder(token.EncoderConfig{Keys: b.ring, Type: "JWT"}))
		_, err := open.Encode(given, time.Minute)
		wantError(t, err, "claim iss: missing")
		_, err = open.Encode(token.Claims{"iss": "x"}, time.Minute)
		wantError(t, err, "claim aud: missing")
		full = mustGet[token.Claims](t)(b.encoder.Complete(token.Claims{"iss": "x", "aud": []string{"y", "z"}}, time.Minute))
		if full.String("iss") != "x" || strings.Join(full.Audience(), " ") != "y z" {
			t.Errorf("preset claims: got %v", full)
		}
	})

	// Each line for both authenticators. GET, so that no CSRF rule is in the way.
	wrong := b.token(t, token.Claims{"sub": "42", "aud": "somebody-else"})
	for _, kind := range []struct {
		name string
		make func(t *testing.T, resolve middleware.Resolver[*ninjaCaller]) http.Handler
		show func(raw string) []string
	}{
		{"bearer", func(t *testing.T, resolve middleware.Resolver[*ninjaCaller]) http.Handler {
			return middleware.Required(b.bearer(t, resolve)).Func(answerVia)
		}, func(raw string) []string { return []string{"Authorization", "Bearer " + raw} }},
		{"cookie", func(t *testing.T, resolve middleware.Resolver[*ninjaCaller]) http.Handler {
			return middleware.Required(b.cookie(t, resolve, nil)).Func(answerVia)
		}, func(raw string) []string { return []string{"Cookie", "access_token=" + raw} }},
	} {
		h := kind.make(t, b.handler(kind.name))
		t.Run(kind.name+": valid token → handler's value returned (sub)", func(t *testing.T) {
			wantAnswer(t, askNinja(h, "GET", "/", kind.show(good)...), `200 {"via":"`+kind.name+`","sub":"42"}`)
		})
		t.Run(kind.name+": wrong audience → False and handler not called", func(t *testing.T) {
			before := b.handled
			wantAnswer(t, askNinja(h, "GET", "/", kind.show(wrong)...), "401 token_invalid")
			if b.handled != before {
				t.Error("the resolver was called")
			}
		})
		t.Run(kind.name+": decode error → False", func(t *testing.T) {
			for _, raw := range []string{"a.b.c", "no-token", good[:len(good)-8] + "AAAAAAAA", good + "x"} {
				wantAnswer(t, askNinja(h, "GET", "/", kind.show(raw)...), "401 token_invalid")
			}
		})
		t.Run(kind.name+": handler not overridden → None (unauthenticated)", func(t *testing.T) {
			nobody := kind.make(t, func(context.Context, token.Claims) (*ninjaCaller, error) { return nil, nil })
			wantAnswer(t, askNinja(nobody, "GET", "/", kind.show(good)...), "401 session_ended")
			// There is no handler to forget: without one there is no authenticator.
			_, err := middleware.NewBearer[*ninjaCaller](b.decoder, nil)
			wantError(t, err, "resolve is required")
			_, err = middleware.NewCookie[*ninjaCaller](b.decoder, nil, middleware.CookieConfig{InsecureSkipCSRF: true})
			wantError(t, err, "resolve is required")
		})
		t.Run(kind.name+": missing token (None) → False, no exception", func(t *testing.T) {
			wantAnswer(t, askNinja(h, "GET", "/"), "401 not_authenticated")
		})
	}

	t.Run("cookie: default name access_token; name can be overridden; csrf on by default; csrf can be off", func(t *testing.T) {
		if name := (cookie.JWT{Prefix: cookie.None}).CookieName(); name != "access_token" {
			t.Errorf("as Django names it: %q", name)
		}
		if name := (cookie.JWT{}).CookieName(); name != "__Host-access_token" {
			t.Errorf("the default has the prefix that no sibling host can set: %q", name)
		}
		if name := (cookie.JWT{Name: "session_jwt", Prefix: cookie.None}).CookieName(); name != "session_jwt" {
			t.Errorf("another name: %q", name)
		}
		_, err := middleware.NewCookie(b.decoder, b.handler("cookie"), middleware.CookieConfig{})
		wantError(t, err, "CSRFTokens: is required")
		b.cookie(t, b.handler("cookie"), func(c *middleware.CookieConfig) { *c = middleware.CookieConfig{InsecureSkipCSRF: true} })
	})
	checked := middleware.Required(b.cookie(t, b.handler("cookie"), nil)).Func(answerVia)
	t.Run("cookie absent → key None and no CSRF error", func(t *testing.T) {
		wantAnswer(t, askNinja(checked, "POST", "/"), "401 not_authenticated")
		wantAnswer(t, askNinja(checked, "POST", "/", "Origin", "https://evil.example"), "401 not_authenticated")
		wantAnswer(t, askNinja(checked, "POST", "/", "Cookie", "other=1"), "401 not_authenticated")
	})
	t.Run("cookie present, POST, no CSRF token → 403", func(t *testing.T) {
		wantAnswer(t, askNinja(checked, "POST", "/", "Cookie", "access_token="+good, "Origin", ninjaURL), "403 csrf_failed")
		wantAnswer(t, askNinja(checked, "POST", "/", "Cookie", "access_token="+good, "Origin", "https://evil.example"), "403 origin_not_allowed")
		tokens := mustGet[*csrf.Tokens](t)(csrf.NewTokens([]byte(ninjaCSRFKey)))
		wantAnswer(t, askNinja(checked, "POST", "/", "Cookie", "access_token="+good, "Origin", ninjaURL, csrf.Header, tokens.Issue("42")),
			`200 {"via":"cookie","sub":"42"}`)
		wantAnswer(t, askNinja(checked, "POST", "/", "Cookie", "access_token="+good, "Origin", ninjaURL, csrf.Header, tokens.Issue("43")), "403 csrf_failed")
	})
	t.Run("csrf off: cookie present, POST, no CSRF token → key returned", func(t *testing.T) {
		unchecked := middleware.Required(b.cookie(t, b.handler("cookie"), func(c *middleware.CookieConfig) { c.InsecureSkipCSRF = true })).Func(answerVia)
		wantAnswer(t, askNinja(unchecked, "POST", "/", "Cookie", "access_token="+good), `200 {"via":"cookie","sub":"42"}`)
	})

	t.Run("production default: HttpOnly, Secure, SameSite=Lax, Path=/, value kept, same response object returned", func(t *testing.T) {
		jwt := cookie.JWT{Prefix: cookie.None}
		wantAnswer(t, setCookie(t, func(w http.ResponseWriter) error { return jwt.Set(w, good) }),
			"access_token="+good+"; Path=/; HttpOnly; Secure; SameSite=Lax")
	})
	t.Run("development default: Secure absent", func(t *testing.T) {
		jwt := cookie.JWT{InsecureAllowHTTP: true}
		wantAnswer(t, setCookie(t, func(w http.ResponseWriter) error { return jwt.Set(w, good) }),
			"access_token="+good+"; Path=/; HttpOnly; SameSite=Lax")
		_, err := middleware.NewCookie(b.decoder, b.handler("cookie"), middleware.CookieConfig{
			Cookie: jwt, PublicURL: ninjaURL, CSRFTokens: mustGet[*csrf.Tokens](t)(csrf.NewTokens([]byte(ninjaCSRFKey))),
		})
		wantError(t, err, "InsecureAllowHTTP is for plain http")
	})
	t.Run("all custom parameters (name, max-age 3600, Secure off, HttpOnly off, Strict, path, domain) land on the cookie", func(t *testing.T) {
		jwt := cookie.JWT{Name: "jwt", Prefix: cookie.None, MaxAge: time.Hour, SameSite: http.SameSiteStrictMode, Path: "/api", Domain: "blog.example"}
		wantAnswer(t, setCookie(t, func(w http.ResponseWriter) error { return jwt.Set(w, good) }),
			"jwt="+good+"; Path=/api; Domain=blog.example; Max-Age=3600; HttpOnly; Secure; SameSite=Strict")
		jwt.InsecureAllowHTTP = true // Secure off: on loopback alone
		wantError(t, jwt.Check(), "InsecureAllowHTTP")
		// HttpOnly cannot be off, not even for a cookie of one's own making.
		err := cookie.Set(httptest.NewRecorder(), &http.Cookie{Name: "jwt", Value: good, SameSite: http.SameSiteLaxMode, Secure: true})
		wantError(t, err, "a token needs HttpOnly")
	})
	t.Run("delete: Max-Age=0; custom name works", func(t *testing.T) {
		jwt := cookie.JWT{Name: "jwt", Prefix: cookie.None, SameSite: http.SameSiteStrictMode}
		wantAnswer(t, setCookie(t, jwt.Delete), "jwt=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict")
	})

	t.Run("bearer only → 200 via bearer; cookie only → 200 via cookie; neither → 401 not 403", func(t *testing.T) {
		h := middleware.Required(b.bearer(t, b.handler("bearer")), b.cookie(t, b.handler("cookie"), nil)).Func(answerVia)
		wantAnswer(t, askNinja(h, "GET", "/", "Authorization", "Bearer "+good), `200 {"via":"bearer","sub":"42"}`)
		wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "access_token="+good), `200 {"via":"cookie","sub":"42"}`)
		wantAnswer(t, askNinja(h, "GET", "/"), "401 not_authenticated")
		wantAnswer(t, askNinja(h, "POST", "/"), "401 not_authenticated")
	})
}

// What the page says is different, or is easily overlooked on the way.
func TestWhatIsDifferentFromDjangoNinjaAio(t *testing.T) {
	b := newNinjaBench(t)
	good := b.token(t, token.Claims{"sub": "42"})
	decoder := func(t *testing.T, change func(*token.DecoderConfig)) *token.Decoder {
		t.Helper()
		cfg := b.config()
		change(&cfg)
		return mustGet[*token.Decoder](t)(token.NewDecoder(cfg))
	}
	payload := func(more string) string {
		return fmt.Sprintf(`{"iss":%q,"aud":%q,"iat":%d,"nbf":%d,"exp":%d%s}`, ninjaIssuer, ninjaAudience,
			b.now.Unix(), b.now.Unix(), b.now.Unix()+900, more)
	}

	t.Run("time", func(t *testing.T) {
		start := b.now
		defer func() { b.now = start }()
		b.now = start.Add(15*time.Minute - time.Second)
		mustGet[token.Claims](t)(b.decoder.Decode(good))
		b.now = start.Add(15 * time.Minute)
		if _, err := b.decoder.Decode(good); !errors.Is(err, token.ErrExpired) {
			t.Errorf("at exp: got %v, want ErrExpired", err)
		}
		mustGet[token.Claims](t)(decoder(t, func(c *token.DecoderConfig) { c.Leeway = time.Second }).Decode(good))
		b.now = start.Add(-5 * time.Second)
		if _, err := b.decoder.Decode(good); !errors.Is(err, token.ErrNotYetValid) {
			t.Errorf("before nbf: got %v, want ErrNotYetValid", err)
		}
		mustGet[token.Claims](t)(decoder(t, func(c *token.DecoderConfig) { c.EarlyLeeway = 5 * time.Second }).Decode(good))
		_, err := token.NewDecoder(token.DecoderConfig{Keys: b.ring, Type: "JWT", Issuer: "x", Audience: "x", Leeway: time.Hour})
		wantError(t, err, "Leeway must be between 0 and 60 seconds")
	})
	t.Run("claims that are left out", func(t *testing.T) {
		for name, raw := range map[string]string{
			"exp": fmt.Sprintf(`{"iss":%q,"aud":%q}`, ninjaIssuer, ninjaAudience),
			"iss": fmt.Sprintf(`{"aud":%q,"exp":%d}`, ninjaAudience, b.now.Unix()+900),
			"aud": fmt.Sprintf(`{"iss":%q,"exp":%d}`, ninjaIssuer, b.now.Unix()+900),
		} {
			_, err := b.decoder.Decode(b.sign(t, raw))
			wantError(t, err, "claim "+name+": missing")
		}
		mustGet[token.Claims](t)(b.decoder.Decode(b.sign(t, payload("")))) // sub, unless a rule asks for it; no jti is needed
	})
	t.Run("dates", func(t *testing.T) {
		for _, exp := range []string{`"1800000900"`, "true", "-5", "1e10"} {
			_, err := b.decoder.Decode(b.sign(t, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":%s}`, ninjaIssuer, ninjaAudience, exp)))
			wantError(t, err, "claim exp: missing or not a date")
		}
		for _, nbf := range []string{`"1800000000"`, "true", "-5"} {
			raw := strings.Replace(payload(""), fmt.Sprintf(`"nbf":%d`, b.now.Unix()), `"nbf":`+nbf, 1)
			_, err := b.decoder.Decode(b.sign(t, raw))
			wantError(t, err, "claim nbf: not a date")
		}
		_, err := b.decoder.Decode(b.sign(t, payload(`,"x":1,"x":2`)))
		wantError(t, err, "malformed")
		_, err = b.decoder.Decode(good + "==")
		wantError(t, err, "token: ")
	})
	t.Run("refresh tokens of the tutorial", func(t *testing.T) {
		d := decoder(t, func(c *token.DecoderConfig) { c.Rules = map[string]token.Rule{"type": {Value: "access"}} })
		mustGet[token.Claims](t)(d.Decode(good))
		_, err := d.Decode(b.token(t, token.Claims{"sub": "42", "type": "refresh"}))
		wantError(t, err, "claim type: value not allowed")
	})
	t.Run("another name and another typ, beside the old ones", func(t *testing.T) {
		typed := mustGet[*token.Encoder](t)(token.NewEncoder(token.EncoderConfig{
			Keys: b.ring, Type: "at+jwt", Issuer: ninjaIssuer, Audience: ninjaAudience, Now: b.clock,
		}))
		newRaw := mustGet[string](t)(typed.Encode(token.Claims{"sub": "42"}, time.Minute))
		newJar := mustGet[*middleware.Cookie[*ninjaCaller]](t)(middleware.NewCookie(
			decoder(t, func(c *token.DecoderConfig) { c.Type = "at+jwt" }), b.handler("new"), middleware.CookieConfig{
				PublicURL: ninjaURL, CSRFClaim: "sub", CSRFTokens: mustGet[*csrf.Tokens](t)(csrf.NewTokens([]byte(ninjaCSRFKey))),
			}))
		h := middleware.Required[*ninjaCaller](newJar, b.cookie(t, b.handler("old"), nil)).Func(answerVia)
		wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "access_token="+good), `200 {"via":"old","sub":"42"}`)
		wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "__Host-access_token="+newRaw), `200 {"via":"new","sub":"42"}`)
		wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "access_token="+good+"; __Host-access_token="+newRaw), `200 {"via":"new","sub":"42"}`)
		wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "access_token="+newRaw), "401 wrong_token_type")
		jwt := cookie.JWT{Prefix: cookie.None}
		if name := (cookie.CSRF{With: jwt, Name: "csrftoken2"}).CookieName(); name != "csrftoken2" {
			t.Errorf("a CSRF cookie beside Django's: %q", name)
		}
	})
	t.Run("optional", func(t *testing.T) {
		h := middleware.Optional[*ninjaCaller](b.bearer(t, b.handler("bearer")), b.cookie(t, b.handler("cookie"), nil)).
			Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, known := middleware.UserFromContext[*ninjaCaller](r.Context())
				fmt.Fprint(w, known)
			}))
		wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "access_token=dead"), "200 false")
		wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "access_token="+good), "200 true")
		wantAnswer(t, askNinja(h, "POST", "/", "Cookie", "access_token="+good), "403 csrf_failed")
	})
	t.Run("sub is text", func(t *testing.T) {
		_, err := b.decoder.Decode(b.sign(t, payload(`,"sub":42`)))
		wantError(t, err, "claim sub")
		_, err = b.encoder.Encode(token.Claims{"sub": 42}, time.Minute)
		wantError(t, err, "claim sub")
	})
	t.Run("a ninjaCaller cannot set times", func(t *testing.T) {
		for _, claim := range []string{"exp", "iat", "nbf", "jti"} {
			_, err := b.encoder.Encode(token.Claims{"sub": "42", claim: "1"}, time.Minute)
			wantError(t, err, "claim "+claim+": set by the encoder alone")
		}
		_, err := b.encoder.Encode(token.Claims{"sub": "42"}, 0)
		wantError(t, err, "lifetime")
	})
	t.Run("several audiences", func(t *testing.T) {
		list := b.sign(t, strings.Replace(payload(""), `"`+ninjaAudience+`"`, `["a","`+ninjaAudience+`"]`, 1))
		mustGet[token.Claims](t)(b.decoder.Decode(list))
		any := decoder(t, func(c *token.DecoderConfig) {
			c.Audience, c.InsecureAnyAudience = "", true
			c.Rules = map[string]token.Rule{"aud": {Essential: true, Values: []any{"mobile", ninjaAudience}}}
		})
		mustGet[token.Claims](t)(any.Decode(good))
		mustGet[token.Claims](t)(any.Decode(list))
		for _, other := range []string{`"else"`, `["else"]`} {
			_, err := any.Decode(b.sign(t, strings.Replace(payload(""), `"`+ninjaAudience+`"`, other, 1)))
			wantError(t, err, "claim aud: value not allowed")
		}
		_, err := any.Decode(b.sign(t, fmt.Sprintf(`{"iss":%q,"exp":%d}`, ninjaIssuer, b.now.Unix()+900)))
		wantError(t, err, "claim aud: missing")
	})
	t.Run("rules", func(t *testing.T) {
		for name, row := range map[string]struct {
			rule token.Rule
			more string
			want string // "" is taken
		}{
			"essential, missing":             {token.Rule{Essential: true}, ``, "missing"},
			"value, missing":                 {token.Rule{Value: "a"}, ``, ""},
			"value":                          {token.Rule{Value: "a"}, `,"x":"a"`, ""},
			"another value":                  {token.Rule{Value: "a"}, `,"x":"b"`, "value not allowed"},
			"values":                         {token.Rule{Values: []any{"a", "b"}}, `,"x":"b"`, ""},
			"value, a list with it":          {token.Rule{Value: "a"}, `,"x":["a","b"]`, ""},
			"value, a list without it":       {token.Rule{Value: "a"}, `,"x":["b"]`, "value not allowed"},
			"blank":                          {token.Rule{}, `,"x":""`, "blank"},
			"blank list":                     {token.Rule{}, `,"x":[]`, "blank"},
			"blank, allowed":                 {token.Rule{AllowBlank: true}, `,"x":""`, ""},
			"true is not 1":                  {token.Rule{Value: 1}, `,"x":true`, "value not allowed"},
			"1.0 is not 1":                   {token.Rule{Value: 1}, `,"x":1.0`, "value not allowed"},
			"null where none was expected":   {token.Rule{Value: "a"}, `,"x":null`, "blank"},
			"blank, allowed, beside a value": {token.Rule{Value: "a", AllowBlank: true}, `,"x":""`, "value not allowed"},
			"null, allowed, and essential":   {token.Rule{Essential: true, AllowBlank: true}, `,"x":null`, "blank"},
		} {
			_, err := decoder(t, func(c *token.DecoderConfig) { c.Rules = map[string]token.Rule{"x": row.rule} }).Decode(b.sign(t, payload(row.more)))
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.HasSuffix(err.Error(), row.want)) {
				t.Errorf("%s: got %v, want %q", name, err, row.want)
			}
		}
		for _, bad := range []token.Rule{{Values: []any{}}, {Value: "a", Values: []any{"b"}}} {
			cfg := b.config()
			cfg.Rules = map[string]token.Rule{"x": bad}
			if _, err := token.NewDecoder(cfg); err == nil {
				t.Errorf("%v is accepted", bad)
			}
		}
	})
	t.Run("a signature alone", func(t *testing.T) {
		header, payload, err := b.ring.Verify(b.sign(t, `{"sub":7,"exp":1}`)) // decode_jwt
		if err != nil || header.Algorithm != token.RS256 || header.Type != "JWT" {
			t.Fatal(header, err)
		}
		claims := mustGet[token.Claims](t)(token.ReadClaims(payload))
		if n, ok := claims.Int("sub"); !ok || n != 7 {
			t.Errorf("got %v", claims)
		}
	})
	t.Run("keys", func(t *testing.T) {
		_, err := token.ParseKeys("JWT_PUBLIC_KEY", []byte(`{"kty":"RSA","alg":"PS512","e":"AQAB","n":"x"}`))
		wantError(t, err, "JWT_PUBLIC_KEY: JWK: RSA key without a supported alg")
		_, err = token.NewKey("k1", token.HS256, []byte("short"))
		wantError(t, err, "shorter than 32 bytes")
		private, _ := rsaPEM()
		_, err = token.NewKey("", token.HS256, []byte(rand.Text()+rand.Text()))
		wantError(t, err, "a kid is required")
		named := mustGet[*token.Key](t)(token.ParsePEM("k1", token.PS256, private))
		if named.ID() != "k1" || named.Algorithm() != token.PS256 {
			t.Errorf("got %v", named)
		}
	})
	t.Run("csrf is judged after the token", func(t *testing.T) {
		h := middleware.Required(b.cookie(t, b.handler("cookie"), nil)).Func(answerVia)
		wantAnswer(t, askNinja(h, "POST", "/", "Cookie", "access_token=dead"), "401 token_invalid")
		wantAnswer(t, askNinja(h, "POST", "/", "Cookie", "access_token=dead", "Origin", "https://evil.example"), "403 origin_not_allowed")
		wantAnswer(t, askNinja(h, "TRACE", "/", "Cookie", "access_token="+good), "403 csrf_failed")
		wantAnswer(t, askNinja(h, "HEAD", "/", "Cookie", "access_token="+good), `200 {"via":"cookie","sub":"42"}`)
	})
	t.Run("chain", func(t *testing.T) {
		bearer, jar := b.bearer(t, b.handler("bearer")), b.cookie(t, b.handler("cookie"), nil)
		cookieFirst := middleware.Required[*ninjaCaller](jar, bearer).Func(answerVia)
		both := func(cookie, bearer string) []string {
			return []string{"Cookie", "access_token=" + cookie, "Authorization", "Bearer " + bearer}
		}
		wantAnswer(t, askNinja(cookieFirst, "POST", "/", both("dead", good)...), `200 {"via":"bearer","sub":"42"}`)
		wantAnswer(t, askNinja(cookieFirst, "POST", "/", both(good, good)...), "403 csrf_failed")
		bearerFirst := middleware.Required[*ninjaCaller](bearer, jar).Func(answerVia)
		wantAnswer(t, askNinja(bearerFirst, "POST", "/", both(good, good)...), `200 {"via":"bearer","sub":"42"}`)
		wantAnswer(t, askNinja(bearerFirst, "GET", "/", both(good, b.token(t, token.Claims{"sub": "43"}))...), "401 token_invalid")
	})
	t.Run("a fault of the program's own is 503", func(t *testing.T) {
		h := middleware.Required(b.bearer(t, func(context.Context, token.Claims) (*ninjaCaller, error) { return nil, errors.New("no route to host") })).Func(answerVia)
		wantAnswer(t, askNinja(h, "GET", "/", "Authorization", "Bearer "+good), "503 store_unavailable")
	})
	t.Run("view set", func(t *testing.T) {
		signedIn := middleware.Required(b.bearer(t, b.handler("bearer")))
		h := middleware.Methods{"GET": middleware.Public[*ninjaCaller](), "POST": signedIn}.
			Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		wantAnswer(t, askNinja(h, "GET", "/"), "200 ")
		wantAnswer(t, askNinja(h, "POST", "/"), "401 not_authenticated")
		wantAnswer(t, askNinja(h, "DELETE", "/", "Authorization", "Bearer "+good), "405 method_not_allowed")
	})
	t.Run("challenge", func(t *testing.T) {
		h := middleware.Required(b.bearer(t, b.handler("bearer"))).Func(answerVia)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header().Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("WWW-Authenticate: %q", got)
		}
	})
}

// While both programs run, one ring of one key takes Django's tokens, which have no kid; with two keys nobody could say
// which is meant.
func TestTokensWithoutKidNeedARingOfOneKey(t *testing.T) {
	b := newNinjaBench(t)
	raw := withoutKid(t, b)
	mustGet[token.Claims](t)(b.decoder.Decode(raw))

	private, _ := rsaPEM()
	other := mustGet[*token.Key](t)(token.GenerateKey(token.ES256))
	key := mustGet[*token.Key](t)(token.ParsePEM("", "", private))
	two := mustGet[*token.Ring](t)(token.NewRing(other, key))
	if _, _, err := two.Verify(raw); !errors.Is(err, token.ErrSignature) {
		t.Errorf("got %v, want ErrSignature", err)
	}
	if _, _, err := two.Verify(b.token(t, token.Claims{"sub": "42"})); err != nil {
		t.Errorf("a token of our own, which has a kid, by the older key: %v", err)
	}
	named := mustGet[*token.Ring](t)(token.NewRing(mustGet[*token.Key](t)(token.ParsePEM("k1", "", private))))
	if _, _, err := named.Verify(b.token(t, token.Claims{"sub": "42"})); !errors.Is(err, token.ErrSignature) {
		t.Errorf("another kid: got %v, want ErrSignature", err)
	}
	if _, _, err := named.Verify(raw); err != nil {
		t.Errorf("no kid: %v", err)
	}
}

// withoutKid signs as joserfc does with a key from PEM: alg and typ, no kid; no jti.
func withoutKid(t *testing.T, b *ninjaBench) string {
	t.Helper()
	private, _ := rsaPEM()
	block, _ := pem.Decode(private)
	key := mustGet[*rsa.PrivateKey](t)(x509.ParsePKCS1PrivateKey(block.Bytes))
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iat":%d,"nbf":%d,"exp":%d,"sub":"42","iss":%q,"aud":%q}`,
			b.now.Unix(), b.now.Unix(), b.now.Unix()+900, ninjaIssuer, ninjaAudience))
	digest := sha256.Sum256([]byte(input))
	signature := mustGet[[]byte](t)(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]))
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}
