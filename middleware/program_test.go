package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// A program of somebody else: its own users, its own keys, two authenticators.

const (
	issuer   = "https://id.example"
	audience = "https://api.example"
	own      = "https://app.example"
)

var start = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// account is the program's own user type.
type account struct {
	ID    string
	Admin bool
}

type program struct {
	ring     *token.Ring
	decoder  *token.Decoder
	tokens   *token.Cache
	encoder  *token.Encoder
	csrf     *csrf.Tokens
	bearer   *middleware.Bearer[*account]
	cookie   *middleware.Cookie[*account]
	now      atomic.Pointer[time.Time]
	resolved atomic.Int64
	fault    atomic.Pointer[error] // what the program's database says instead of a user
}

func newProgram(t testing.TB) *program {
	t.Helper()
	p := &program{}
	p.at(start)
	key, err := token.GenerateKey(token.ES256)
	check(t, err)
	p.ring, err = token.NewRing(key)
	check(t, err)
	p.decoder, err = token.NewDecoder(token.DecoderConfig{
		Keys: p.ring, Type: "at+jwt", Issuer: issuer, Audience: audience, Now: p.clock,
	})
	check(t, err)
	p.tokens, err = token.NewCache(p.decoder)
	check(t, err)
	p.encoder, err = token.NewEncoder(token.EncoderConfig{
		Keys: p.ring, Type: "at+jwt", Issuer: issuer, Audience: audience, Now: p.clock,
	})
	check(t, err)
	p.csrf, err = csrf.NewTokens([]byte(strings.Repeat("k", 32)))
	check(t, err)
	p.bearer, err = middleware.NewBearer(p.tokens, p.resolve)
	check(t, err)
	p.cookie, err = middleware.NewCookie(p.tokens, p.resolve, p.cookieConfig())
	check(t, err)
	return p
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *program) cookieConfig() middleware.CookieConfig {
	return middleware.CookieConfig{PublicURL: own, TrustedOrigins: []string{"https://spa.example"}, CSRFTokens: p.csrf}
}

func (p *program) clock() time.Time { return *p.now.Load() }
func (p *program) at(now time.Time) { p.now.Store(&now) }

var errDatabase = errors.New("connection refused: SELECT secret")

// resolve finds an account: "gone" and "nil" are nobody's.
func (p *program) resolve(_ context.Context, claims token.Claims) (*account, error) {
	p.resolved.Add(1)
	if err := p.fault.Load(); err != nil {
		return nil, *err
	}
	switch id := claims.String("sub"); id {
	case "gone":
		return nil, middleware.ErrNotFound
	case "nil":
		return nil, nil
	default:
		return &account{ID: id, Admin: strings.HasPrefix(id, "admin")}, nil
	}
}

// token makes a token that lives for a minute: "sub", then pairs of further claims.
func (p *program) token(t testing.TB, sub string, more ...any) string {
	t.Helper()
	claims := token.Claims{"sub": sub, "sid": "session-of-" + sub}
	for i := 0; i < len(more); i += 2 {
		claims[more[i].(string)] = more[i+1]
	}
	raw, err := p.encoder.Encode(claims, time.Minute)
	check(t, err)
	return raw
}

// A change makes a request into the one that a row is about.
type change func(*http.Request)

func bearer(raw string) change {
	return func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+raw) }
}

func cookies(values ...string) change {
	return func(r *http.Request) {
		for _, value := range values {
			r.Header.Add("Cookie", cookie.JWT{}.CookieName()+"="+value)
		}
	}
}

func field(name, value string) change {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// page is what a page of ours sends with an unsafe request: our origin and the CSRF token of a user's session.
func (p *program) page(sub string) change {
	return func(r *http.Request) {
		r.Header.Set("Origin", own)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("X-CSRFToken", p.csrf.Issue("session-of-"+sub))
	}
}

// ask sends a request to a handler in process.
func ask(h http.Handler, method, path string, changes ...change) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// whoami answers with the user, as the program's handlers see it.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	user, ok := middleware.UserFromContext[*account](r.Context())
	if !ok {
		io.WriteString(w, "nobody")
		return
	}
	io.WriteString(w, user.ID)
})

// want compares an answer with "body" (200) or "status code".
func want(t *testing.T, w *httptest.ResponseRecorder, expected string) {
	t.Helper()
	got := w.Body.String()
	if code := w.Header().Get(problem.Header); code != "" {
		got = fmt.Sprint(w.Code, " ", code)
		for _, name := range []string{"Set-Cookie", "Location"} {
			if w.Header().Get(name) != "" {
				t.Errorf("a refusal has %s: %s", name, w.Header().Get(name))
			}
		}
		if w.Header().Get("Cache-Control") != "no-store" && w.Header().Get("Cache-Control") != "private, no-store" {
			t.Errorf("a refusal may be stored: Cache-Control %q", w.Header().Get("Cache-Control"))
		}
		for _, secret := range []string{"SELECT", "eyJ"} {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("the refusal shows %q: %s", secret, w.Body)
			}
		}
	}
	if got != expected {
		t.Errorf("got %s, want %s", got, expected)
	}
}
