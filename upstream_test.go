package tokenjar_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/token"
)

// issuer returns one of upstream tokens.
func (w *world) issuer(t testing.TB, audience string, scopes ...string) *tokenjar.UpstreamIssuer {
	t.Helper()
	u, err := w.UpstreamIssuer(audience, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// identity is what the service says of an access token.
func (w *world) identity(t testing.TB, g tokenjar.Grant) tokenjar.Identity {
	t.Helper()
	id, err := w.Authenticate(g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func upstreamToken(t testing.TB, u *tokenjar.UpstreamIssuer, id tokenjar.Identity) string {
	t.Helper()
	text, err := u.Token(id)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// asService judges a token as a service does that has the published keys and knows its own name.
func (w *world) asService(t testing.TB, audience, text string) (token.Claims, error) {
	t.Helper()
	keys, err := token.ParseKeySet(w.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(nil, keys...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := token.NewDecoder(token.DecoderConfig{
		Keys: ring, Type: "at+jwt", Issuer: w.cfg.Issuer, Audience: audience, Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d.Decode(text)
}

func (w *world) mustAsService(t testing.TB, audience, text string) token.Claims {
	t.Helper()
	claims, err := w.asService(t, audience, text)
	if err != nil {
		t.Fatalf("the service refuses its token: %v", err)
	}
	return claims
}

// withClaims adds claims of the program's own.
func withClaims(extra map[string]any) func(*tokenjar.Config) {
	return func(c *tokenjar.Config) {
		c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) { return maps.Clone(extra), nil }
	}
}

func TestAnUpstreamTokenSaysWhatAServiceMayKnow(t *testing.T) {
	w := newWorld(t, withClaims(map[string]any{"role": "staff", "level": 9007199254740993}))
	if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil { // so there is a cgen
		t.Fatal(err)
	}
	g := w.mustRefresh(t, w.login(t))
	w.clock.advance(7 * time.Second)
	id := w.identity(t, g)
	if _, has := id.Claims()["cgen"]; !has {
		t.Fatal("the access token has no cgen to leave out")
	}
	text := upstreamToken(t, w.issuer(t, "orders", "orders:read", "orders:write"), id)
	claims := w.mustAsService(t, "orders", text)

	want := []string{"aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "level", "role", "scope", "sid", "sub", "token_type"}
	if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, want) {
		t.Errorf("claims: got %v, want %v", got, want)
	}
	now := w.clock.Now()
	for name, want := range map[string]int64{"iat": now.Unix() - 5, "exp": now.Unix() + 60, "auth_time": g.AuthTime.Unix(), "level": 9007199254740993} {
		if got, ok := claims.Int(name); !ok || got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"iss": w.cfg.Issuer, "aud": "orders", "sub": w.user.ID, "sid": g.SessionID, "client_id": id.Claims().String("client_id"),
		"token_type": "access", "scope": "orders:read orders:write", "role": "staff",
	} {
		if got := claims.String(name); got != want || want == "" {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if jti := claims.String("jti"); jti == "" || jti == id.Claims().String("jti") {
		t.Errorf("jti %q is none of its own", jti)
	}
}

func TestAnUpstreamTokenNeverOutlivesItsAccessToken(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	id := w.identity(t, g)
	u := w.issuer(t, "orders")
	for _, rest := range []time.Duration{
		4 * time.Minute, time.Minute, 59 * time.Second, 2 * time.Second, 1999 * time.Millisecond, time.Second,
	} {
		w.clock.advance(g.AccessExpires.Add(-rest).Sub(w.clock.Now()))
		claims := w.mustAsService(t, "orders", upstreamToken(t, u, id))
		exp, _ := claims.Time("exp")
		if left := exp.Sub(w.clock.Now()); left > min(time.Minute, rest) || left < min(59*time.Second, rest)/2 {
			t.Errorf("%s are left of the access token, and the service's lives for %s", rest, left)
		}
	}
	w.clock.advance(g.AccessExpires.Sub(w.clock.Now()))
	for range 2 {
		_, err := u.Token(id)
		wantErr(t, err, tokenjar.ErrTokenExpired)
		w.clock.advance(time.Hour)
	}
}

// An Identity has fields that a program may set. What is signed is what was verified.
func TestAnUpstreamTokenSaysWhatWasVerified(t *testing.T) {
	w := newWorld(t)
	id := w.identity(t, w.login(t))
	changed := id
	changed.UserID, changed.ExpiresAt, changed.AuthTime = "root", id.ExpiresAt.Add(time.Hour), id.AuthTime.Add(time.Hour)
	u := w.issuer(t, "orders")
	w.clock.advance(id.ExpiresAt.Sub(w.clock.Now()) - 10*time.Second)
	claims := w.mustAsService(t, "orders", upstreamToken(t, u, changed))
	if exp, _ := claims.Time("exp"); claims.String("sub") != w.user.ID || !exp.Equal(id.ExpiresAt) {
		t.Errorf("claims: %v", claims)
	}
	for _, none := range []tokenjar.Identity{{}, {UserID: "root", SessionID: id.SessionID, ExpiresAt: id.ExpiresAt}} {
		if text, err := u.Token(none); err == nil || text != "" {
			t.Errorf("nothing was verified: got %q, %v", text, err)
		}
	}
}

func TestAServiceGetsNoScopeThatTheUserHasNot(t *testing.T) {
	for _, c := range []struct {
		had    any // nil: no claim
		scopes []string
		want   string
	}{
		{nil, nil, ""},
		{nil, []string{"a", "b"}, "a b"},
		{"a b c", nil, ""},
		{"a  c", []string{"a", "b", "c"}, "a c"},
		{"ab", []string{"a", "b"}, ""},
		{"", []string{"a"}, ""},
		{[]string{"b"}, []string{"a", "b"}, "b"},
		{[]any{"a", 1, "b c"}, []string{"a", "b", "c", "1"}, "a"},
		{[]any{}, []string{"a"}, ""},
		{7, []string{"7"}, ""},
		{map[string]any{"a": true}, []string{"a"}, ""},
	} {
		t.Run(fmt.Sprintf("%v of %v", c.scopes, c.had), func(t *testing.T) {
			extra := map[string]any{}
			if c.had != nil {
				extra["scope"] = c.had
			}
			w := newWorld(t, withClaims(extra))
			claims := w.mustAsService(t, "orders", upstreamToken(t, w.issuer(t, "orders", c.scopes...), w.identity(t, w.login(t))))
			if got, has := claims["scope"]; has != (c.want != "") || has && got != c.want {
				t.Errorf("got %v, want %q", got, c.want)
			}
		})
	}
	w := newWorld(t)
	for _, bad := range []string{"", "a b", "a\"", `a\`, "ä", "a\n"} {
		if _, err := w.UpstreamIssuer("orders", "good", bad); err == nil {
			t.Errorf("scope %q is taken", bad)
		}
	}
}

func TestOurOwnNameIsNoAudienceOfAService(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.Issuer, c.Audience = "https://app.example.com", "Shop" })
	for _, bad := range []string{
		"https://app.example.com", "https://app.example.com/", "https://app.example.com//", "HTTPS://App.Example.COM", "https://app.example.com:443",
		"https://app.example.com:443/", "https://app.example.com.", "https://app.example.com:", " https://app.example.com", "https://app.example.com ",
		"Shop", "shop", "SHOP/", " shop",
		"", "a\nb", "a\x00", "\x7f", strings.Repeat("a", 256),
	} {
		if _, err := w.UpstreamIssuer(bad); err == nil {
			t.Errorf("audience %q is taken", bad)
		}
	}
	for _, good := range []string{
		"orders", "http://app.example.com", "https://app.example.com:8443", "https://api.app.example.com", "https://app.example.com/orders", "shop2",
		strings.Repeat("a", 255),
	} {
		if u, err := w.UpstreamIssuer(good); err != nil || u.Audience() != good {
			t.Errorf("audience %q: %v", good, err)
		}
	}
}

func TestAnUpstreamTokenIsNoCredentialHere(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	for _, audience := range []string{"orders", w.cfg.Issuer + "/orders"} {
		text := upstreamToken(t, w.issuer(t, audience), w.identity(t, g))
		for range 2 { // no cache takes it either
			_, err := w.Authenticate(text)
			wantErr(t, err, tokenjar.ErrTokenInvalid)
		}
		if _, ok := w.Recognize(text, g.RefreshToken); ok {
			t.Error("recognized")
		}
		if _, ok := w.Recognize(g.AccessToken, text); ok {
			t.Error("recognized beside a good access token")
		}
		if got := w.SignedSessions([]string{text}, []string{text}); len(got) != 0 {
			t.Errorf("it may end sessions: %v", got)
		}
		if _, err := w.DecodeRefresh(text); !errors.Is(err, tokenjar.ErrTokenInvalid) && !errors.Is(err, tokenjar.ErrWrongTokenType) {
			t.Errorf("as a refresh token: %v", err)
		}
		if _, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: text}); err == nil {
			t.Error("refreshed")
		}
		if _, err := w.asService(t, "billing", text); err == nil {
			t.Error("another service takes it")
		}
	}
}

// Many users at once, sessions that rotate and end, keys that change: nobody ever gets another's token.
func TestNobodyGetsAnothersUpstreamToken(t *testing.T) {
	w := newWorld(t)
	issuers := []*tokenjar.UpstreamIssuer{w.issuer(t, "orders"), w.issuer(t, "billing")}
	const users, rounds = 12, 40
	var wg sync.WaitGroup
	for n := range users {
		u := w.newUser(t, fmt.Sprint("user-", n))
		var grants []tokenjar.Grant
		for range 2 {
			g, err := w.OpenSession(t.Context(), u, tokenjar.Credentials{})
			if err != nil {
				t.Fatal(err)
			}
			grants = append(grants, g)
		}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			for range rounds {
				i := rng.IntN(len(grants))
				if rng.IntN(10) == 0 {
					next, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: grants[i].RefreshToken})
					if err != nil {
						t.Error(err)
						return
					}
					grants[i] = next
				}
				issuer := issuers[rng.IntN(len(issuers))]
				id, err := w.Authenticate(grants[i].AccessToken)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := issuer.Token(id)
				if err != nil {
					t.Error(err)
					return
				}
				claims, err := w.asService(t, issuer.Audience(), text)
				if err != nil || claims.String("sub") != u.ID || claims.String("sid") != grants[i].SessionID {
					t.Errorf("%s got %v, %v", u.ID, claims, err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 4 {
			if _, err := w.ring(t).Rotate(t.Context(), token.ES256, true); err != nil {
				t.Error(err)
			}
			if err := w.PollKeyRing(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
}

// Requests that were judged before a sign-out race it. From its answer on this node makes no token of the session and keeps
// none, and the other user's requests notice nothing.
func TestAfterSignOutNoUpstreamTokenIsMadeInSeededInterleavings(t *testing.T) { // S-01
	inBubble(t, 300, func(t *testing.T, w *world, s *schedule, seed uint64, rng *rand.Rand) {
		open := func(name string) (tokenjar.User, tokenjar.Grant) {
			u := w.newUser(t, fmt.Sprint(name, "-", seed))
			g, err := w.OpenSession(t.Context(), u, tokenjar.Credentials{})
			if err != nil {
				t.Fatal(err)
			}
			return u, g
		}
		u, err := w.UpstreamIssuer("orders")
		if err != nil {
			t.Fatal(err)
		}
		_, leaving := open("leaving")
		stays, staying := open("staying")
		before, beside := w.identity(t, leaving), w.identity(t, staying)
		if rng.IntN(2) == 0 {
			upstreamToken(t, u, before)
		}
		ending := endings[rng.IntN(len(endings))]
		var over atomic.Bool
		actors := map[string]func(context.Context){
			"sign-out": func(ctx context.Context) {
				if err := ending.end(ctx, w, leaving); err != nil {
					t.Errorf("%s: %v", ending.name, err)
				}
				over.Store(true)
			},
			"beside": func(ctx context.Context) {
				text := upstreamToken(t, u, beside)
				if claims, err := w.asService(t, "orders", text); err != nil || claims.String("sub") != stays.ID {
					t.Errorf("the other user got %v, %v", claims, err)
				}
			},
		}
		for i := range 1 + rng.IntN(3) {
			actors[fmt.Sprint("request ", i)] = func(ctx context.Context) {
				for range 3 {
					wasOver := over.Load()
					switch _, err := u.Token(before); {
					case err != nil && !errors.Is(err, tokenjar.ErrTokenRevoked):
						t.Errorf("a token that races a sign-out: %v", err)
					case err == nil && wasOver:
						t.Error("a token was made after the sign-out")
					}
					if _, err := w.Sessions(ctx, stays.ID); err != nil { // somebody else's turn
						t.Error(err)
					}
				}
			}
		}
		s.run(t, rng, actors)
		if _, err := u.Token(before); !errors.Is(err, tokenjar.ErrTokenRevoked) {
			t.Errorf("%s: afterwards: got %v", ending.name, err)
		}
		if n, _ := u.Held(); n != 1 {
			t.Errorf("%d tokens are kept, want the other user's", n)
		}
	})
}

func TestAnIdentityDoesNotPrintItsToken(t *testing.T) { // LG
	w := newWorld(t)
	g := w.login(t)
	id := w.identity(t, g)
	if id.AccessToken() != g.AccessToken {
		t.Fatal("the token is not the one that was verified")
	}
	if (tokenjar.Identity{UserID: "ada"}).AccessToken() != "" {
		t.Error("nothing was verified")
	}
	secret := g.AccessToken[strings.LastIndexByte(g.AccessToken, '.')+1:]
	type holder struct {
		Who  tokenjar.Identity
		Also *tokenjar.Identity
		List []tokenjar.Identity
	}
	var out bytes.Buffer
	for _, v := range []any{id, &id, []tokenjar.Identity{id}, map[string]tokenjar.Identity{"a": id}, holder{id, &id, []tokenjar.Identity{id}}, g} {
		if _, isGrant := v.(tokenjar.Grant); isGrant {
			continue // it is the tokens
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T %v"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("somebody", "who", v, slog.Group("in", "who", v))
		}
		if err := template.Must(template.New("").Parse("{{.}} {{printf \"%v\" .}}")).Execute(&out, v); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(&out, fmt.Errorf("who: %v", v), tokenjar.ContextWithIdentity(t.Context(), id))
	}
	if !strings.Contains(out.String(), w.user.ID) {
		t.Error("it does not say who it is")
	}
	for _, part := range []string{secret, g.AccessToken[:40]} {
		if at := strings.Index(out.String(), part); at >= 0 {
			t.Errorf("the token was printed: …%.200s", out.String()[max(at-150, 0):])
		}
	}
}

func BenchmarkUpstreamToken(b *testing.B) {
	w := newWorld(b)
	u, id := w.issuer(b, "orders", "orders:read"), w.identity(b, w.login(b))
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			upstreamToken(b, u, id)
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		other, n := id, 0
		for b.Loop() {
			n++
			other.SessionID = fmt.Sprint(n)
			upstreamToken(b, u, other)
		}
	})
	b.Run("signature alone", func(b *testing.B) {
		key, err := token.GenerateKey(token.ES256)
		if err != nil {
			b.Fatal(err)
		}
		ring, err := token.NewRing(key)
		if err != nil {
			b.Fatal(err)
		}
		payload, err := json.Marshal(id.Claims())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ring.Sign("at+jwt", payload); err != nil {
				b.Fatal(err)
			}
		}
	})
}
