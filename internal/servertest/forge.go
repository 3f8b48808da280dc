package servertest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/token"
)

// What the server signs, made without it: sessions that cost no password hash, and tokens that are genuine in all but
// one respect. The labels and the form of the sealed key ring are written down a second time here, on purpose: when
// they change, tokens that are out in the world stop working.

// A Pair is a session with its first tokens.
type Pair struct {
	SessionID string
	UserID    string
	Access    string
	Refresh   string
	CSRF      string

	world *World
	jti   string
}

// SignIn opens a session as a sign-in does, but without a password.
func (w *World) SignIn(t testing.TB, user string) Pair { return w.signIn(t, user, false) }

func (w *World) signIn(t testing.TB, user string, remember bool) Pair {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{SessionID: id.String(), UserID: "user-" + user, jti: "first-" + id.String(), world: w}
	u, err := w.Store.Store.User(t.Context(), p.UserID)
	if err != nil {
		t.Fatal(err)
	}
	sess, _, err := w.Store.Store.CreateSession(t.Context(), tokenjar.NewSession{
		ID: p.SessionID, UserID: p.UserID, AuthEpoch: u.AuthEpoch, Remember: remember,
		First: sha256.Sum256([]byte(p.jti)), Timing: w.Service.Timing(), MaxPerUser: 1000, UserAgent: "test", IP: "127.0.0.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Access = w.SignAccess(t, p, nil)
	p.Refresh = w.SignRefresh(t, p, token.Claims{"exp": sess.IdleExpiresAt.Unix()})
	tokens, err := csrf.NewTokens(w.Service.CSRFKeys()[0])
	if err != nil {
		t.Fatal(err)
	}
	p.CSRF = tokens.Issue(p.SessionID)
	w.Canary(p.Access, p.Refresh, p.CSRF)
	return p
}

// SignAccess signs an access token of a session with the server's own key. Changes replace claims; nil removes one.
func (w *World) SignAccess(t testing.TB, p Pair, changes token.Claims) string {
	t.Helper()
	return w.SignAccessTyped(t, "at+jwt", p, changes)
}

// SignAccessTyped does so with another "typ".
func (w *World) SignAccessTyped(t testing.TB, typ string, p Pair, changes token.Claims) string {
	t.Helper()
	now := w.Clock.Now()
	claims := token.Claims{
		"iss": w.URL, "aud": w.URL, "client_id": w.URL, "sub": p.UserID, "sid": p.SessionID, "gen": 1,
		"jti": uuid.NewString(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"auth_time": now.Unix(), "token_type": "access",
	}
	return sign(t, w.accessRing(t), typ, claims, changes)
}

// SignRefresh signs the first refresh token of a session with the server's own key.
func (w *World) SignRefresh(t testing.TB, p Pair, changes token.Claims) string {
	t.Helper()
	now := w.Clock.Now()
	claims := token.Claims{
		"iss": w.URL, "aud": w.URL, "sub": p.UserID, "sid": p.SessionID, "gen": 1, "jti": p.jti,
		"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(), "token_type": "refresh",
	}
	return sign(t, w.refreshRing(t), "rt+jwt", claims, changes)
}

func sign(t testing.TB, ring *token.Ring, typ string, claims, changes token.Claims) string {
	t.Helper()
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := ring.Sign(typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func derive(t testing.TB, label string) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, []byte(Secret), nil, "tokenjar/1/"+label, 32)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *World) refreshRing(t testing.TB) *token.Ring {
	t.Helper()
	id := "s-" + base64.RawURLEncoding.EncodeToString(derive(t, "line id")[:6])
	key, err := token.NewKey(id, token.HS256, derive(t, "refresh token"))
	if err != nil {
		t.Fatal(err)
	}
	return ringOf(t, key)
}

func (w *World) accessRing(t testing.TB) *token.Ring {
	t.Helper()
	block, err := aes.NewCipher(derive(t, "key ring"))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	sealed, version, err := w.Store.Store.KeyRing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := aead.Open(nil, nil, sealed, fmt.Appendf(nil, "key ring\x00version %d", version))
	if err != nil {
		t.Fatalf("open key ring: %v", err)
	}
	var box struct {
		Keys []struct {
			JWK    json.RawMessage `json:"jwk"`
			Status string          `json:"status"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(plain, &box); err != nil {
		t.Fatal(err)
	}
	for _, k := range box.Keys {
		if k.Status == "active" {
			key, err := token.ParseKey(k.JWK)
			if err != nil {
				t.Fatal(err)
			}
			return ringOf(t, key)
		}
	}
	t.Fatal("the key ring has no active key")
	return nil
}

func ringOf(t testing.TB, key *token.Key) *token.Ring {
	t.Helper()
	ring, err := token.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// AccessName returns the name of the access cookie.
func (w *World) AccessName() string { return w.prefix() + "access_token" }

// RefreshName returns the name of the refresh cookie.
func (w *World) RefreshName() string { return w.prefix() + "refresh_token" }

func (w *World) prefix() string {
	if strings.HasPrefix(w.URL, "https:") {
		return "__Host-"
	}
	return ""
}

// Cookies returns a change that sends these tokens as cookies, an empty one not at all.
func (w *World) Cookies(access, refresh string) func(*http.Request) {
	var pairs []string
	if access != "" {
		pairs = append(pairs, w.AccessName()+"="+access)
	}
	if refresh != "" {
		pairs = append(pairs, w.RefreshName()+"="+refresh)
	}
	return RawCookie(strings.Join(pairs, "; "))
}

// As makes a request that of a signed-in page: both cookies and, on unsafe methods, the CSRF token.
func (p Pair) As(r *http.Request) {
	p.world.Cookies(p.Access, p.Refresh)(r)
	p.WithCSRF(r)
}

// RefreshOnly makes a request that of a page whose access cookie has run out.
func (p Pair) RefreshOnly(r *http.Request) {
	p.world.Cookies("", p.Refresh)(r)
	p.WithCSRF(r)
}

// WithCSRF adds the CSRF token on unsafe methods.
func (p Pair) WithCSRF(r *http.Request) {
	if !isSafe(r.Method) {
		r.Header.Set("X-CSRFToken", p.CSRF)
	}
}

// Live reports whether the session is live in the store.
func (p Pair) Live(t testing.TB) bool {
	t.Helper()
	s, err := p.world.Store.Store.Session(t.Context(), p.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	return s.Live()
}

// Generation returns the generation of the session in the store.
func (p Pair) Generation(t testing.TB) int64 {
	t.Helper()
	s, err := p.world.Store.Store.Session(t.Context(), p.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	return s.Generation
}
