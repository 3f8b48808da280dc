package tokenjar_test

import (
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/token"
)

// A token that was verified before is judged like one that was not.

// claimsOf are those of a good access token.
func claimsOf(w *world) map[string]any {
	now := w.clock.Now()
	return map[string]any{
		"iss": w.cfg.Issuer, "aud": w.cfg.Issuer, "client_id": w.cfg.Issuer, "sub": w.user.ID, "sid": "some-session", "gen": 1, "jti": "x",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Unix(), "token_type": "access",
	}
}

func sign(t interface{ Fatal(...any) }, w *world, claims map[string]any) string {
	raw, err := w.SignAccess(claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAHitSaysWhatTheTokenSays(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) {
		c.Claims = func(context.Context, tokenjar.User) (map[string]any, error) {
			return map[string]any{"role": "admin", "level": 9007199254740993, "list": []string{"a"}}, nil
		}
	})
	g := w.mustRefresh(t, w.login(t))
	first, err := w.Authenticate(g.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Authenticate(g.AccessToken)
	if err != nil || again != first || !reflect.DeepEqual(again.Claims(), first.Claims()) || again != g.Identity() {
		t.Fatalf("got %+v, %v, want %+v", again, err, first)
	}
	if level, _ := again.Claims().Int("level"); level != 9007199254740993 || again.Claims().String("role") != "admin" || again.Claims().String("sub") != w.user.ID {
		t.Errorf("claims %v", again.Claims())
	}
	changed := again.Claims()
	changed["role"] = "root"
	changed["list"].([]any)[0] = "b"
	third, _ := w.Authenticate(g.AccessToken)
	if !reflect.DeepEqual(third.Claims(), first.Claims()) {
		t.Error("a caller's change shows in somebody else's claims")
	}
	if st := w.Stats(); st.CacheHits != 2 || st.CacheMisses != 1 {
		t.Errorf("%d hits, %d misses", st.CacheHits, st.CacheMisses)
	}
	if claims := (tokenjar.Identity{UserID: "x"}).Claims(); claims == nil || len(claims) != 0 {
		t.Errorf("an identity without a token has claims %v", claims)
	}
}

func TestAHitCostsNoAllocation(t *testing.T) {
	w := newWorld(t)
	g := w.mustRefresh(t, w.login(t))
	if n := testing.AllocsPerRun(100, func() {
		if _, err := w.Authenticate(g.AccessToken); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, err := w.DecodeRefresh(g.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := w.Recognize(g.AccessToken, g.RefreshToken); !ok {
			t.Fatal("not recognized")
		}
	}); n != 0 {
		t.Errorf("recognize: %v allocations", n)
	}
}

func TestATokenWithOneBitChangedIsNeverAHit(t *testing.T) { // K-18
	w := newWorld(t)
	raw := w.login(t).AccessToken
	if _, err := w.Authenticate(raw); err != nil || !w.Verified(raw) {
		t.Fatalf("not remembered: %v", err)
	}
	for i := range raw {
		for bit := range 8 {
			other := []byte(raw)
			other[i] ^= 1 << bit
			if w.Verified(string(other)) {
				t.Fatalf("byte %d, bit %d: a hit", i, bit)
			}
			if bit == i%8 { // verifying takes its time
				_, err := w.Authenticate(string(other))
				wantErr(t, err, tokenjar.ErrTokenInvalid)
			}
			if w.Verified(string(other)) {
				t.Fatalf("byte %d, bit %d: a failure is remembered", i, bit)
			}
		}
	}
	for _, other := range []string{raw[1:], raw[:len(raw)-1], raw + "A", " " + raw, raw + "\n", raw[len(raw)-64:], "." + raw[len(raw)-64:]} {
		if w.Verified(other) {
			t.Errorf("%q: a hit", other)
		}
	}
	if hits := w.Stats().CacheHits; hits != 0 {
		t.Errorf("%d hits", hits)
	}
}

func TestTheTwinOfAnECDSASignatureIsVerifiedAnew(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(g.AccessToken, '.')
	sig, err := base64.RawURLEncoding.DecodeString(g.AccessToken[dot+1:])
	if err != nil || len(sig) != 64 {
		t.Fatalf("signature of %d bytes: %v", len(sig), err)
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	twin := g.AccessToken[:dot+1] + base64.RawURLEncoding.EncodeToString(sig)
	before := w.Stats()
	id, err := w.Authenticate(twin)
	if err != nil || id.SessionID != g.SessionID {
		t.Fatalf("got %+v, %v", id, err)
	}
	if after := w.Stats(); after.CacheHits != before.CacheHits || after.CacheMisses != before.CacheMisses+1 {
		t.Errorf("the twin was taken for the other: %+v, %+v", before, after)
	}
	w.Learn(tokenjar.ReasonLogout, g.SessionID)
	for _, raw := range []string{twin, g.AccessToken} {
		_, err := w.Authenticate(raw)
		wantErr(t, err, tokenjar.ErrTokenRevoked)
	}
}

func TestFailuresAreNotRemembered(t *testing.T) {
	w := newWorld(t)
	for name, claims := range map[string]map[string]any{
		"expired": {"exp": w.clock.Now().Unix()}, "another audience": {"aud": "https://other.example"}, "another issuer": {"iss": "https://other.example"},
		"not yet valid": {"nbf": w.clock.Now().Add(time.Minute).Unix()}, "a refresh token's kind": {"token_type": "refresh"}, "no session": {"sid": ""},
		"no user": {"sub": ""}, "no generation": {"gen": "x"},
	} {
		c := claimsOf(w)
		for k, v := range claims {
			c[k] = v
		}
		raw := sign(t, w, c)
		for range 2 {
			if _, err := w.Authenticate(raw); err == nil || w.Verified(raw) {
				t.Errorf("%s: %v, remembered %v", name, err, w.Verified(raw))
			}
		}
	}
}

func TestWhatOneDecoderTookIsNotTakenByAnother(t *testing.T) { // K-18, C-14
	w := newWorld(t)
	c := claimsOf(w)
	c["exp"] = w.clock.Now().Add(-time.Hour).Unix()
	expired := sign(t, w, c)
	if found := w.SignedSessions([]string{expired}, nil); len(found) != 1 {
		t.Fatalf("sign-out does not know the session: %v", found)
	}
	if w.Verified(expired) {
		t.Error("a token was remembered whose times nobody judged")
	}
	_, err := w.Authenticate(expired)
	wantErr(t, err, tokenjar.ErrTokenExpired)

	g := w.login(t)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Fatal(err)
	}
	w.cfg.Audience = "https://another.example" // a tightened policy is another service
	w.restart(t)
	_, err = w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
}

func TestLongTokensAreVerifiedEachTime(t *testing.T) {
	w := newWorld(t)
	c := claimsOf(w)
	c["x"] = strings.Repeat("x", 4000)
	raw := sign(t, w, c)
	for range 2 {
		if _, err := w.Authenticate(raw); err != nil || w.Verified(raw) {
			t.Errorf("got %v, remembered %v", err, w.Verified(raw))
		}
	}
}

// Whatever the clock does, a token that was verified before is judged as one that was not.
func TestACachedTokenIsJudgedAsAnUncachedOne(t *testing.T) { // C-15
	w := newWorld(t)
	fresh, err := tokenjar.New(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		moment := func(name string, offsets ...int64) any {
			offset := rapid.SampledFrom(offsets).Draw(t, name)
			if rapid.IntRange(0, 7).Draw(t, name+" is a fraction") == 7 {
				return float64(w.clock.Now().Unix()+offset) + 0.5
			}
			return w.clock.Now().Unix() + offset
		}
		c := claimsOf(w)
		c["exp"], c["auth_time"] = moment("exp", 300, 3600, 60, 10, 1, 0, -1), moment("auth_time", 0, -60, 60)
		c["iat"] = moment("iat", 0, -60, -3600, -10, 9, 10, 11)
		if rapid.Bool().Draw(t, "has nbf") {
			c["nbf"] = moment("nbf", 0, -60, -10, -1, 9, 10, 11, 60)
		} else {
			delete(c, "nbf")
		}
		raw := sign(t, w, c)
		for range 12 {
			step := rapid.SampledFrom([]time.Duration{
				0, 1, -1, time.Second / 2, -time.Second / 2, time.Second, -time.Second, 9 * time.Second, -9 * time.Second, -10 * time.Second,
				time.Minute, -time.Minute, 5 * time.Minute, time.Hour, -time.Hour, -24 * time.Hour, 24 * time.Hour,
			}).Draw(t, "step")
			w.clock.advance(step)
			got, gotErr := w.Authenticate(raw)
			fresh.ForgetVerified()
			want, wantErr := fresh.Authenticate(raw)
			if got != want || !errors.Is(gotErr, wantErr) || !errors.Is(wantErr, gotErr) {
				t.Fatalf("got %+v, %v, want %+v, %v", got, gotErr, want, wantErr)
			}
		}
	})
	if st := w.Stats(); st.CacheHits < 10 {
		t.Errorf("%d hits: this compares nothing", st.CacheHits)
	}
}

func TestTheClockIsAskedAtEachHit(t *testing.T) { // C-02
	w := newWorld(t)
	g := w.login(t)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(g.AccessExpires.Sub(w.clock.Now()) - 1)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Errorf("a moment before: %v", err)
	}
	w.clock.advance(1)
	_, err := w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenExpired)
	if _, ok := w.Recognize(g.AccessToken, ""); ok {
		t.Error("recognized after its end")
	}
	w.Prune()
	if w.Verified(g.AccessToken) {
		t.Error("kept after its end")
	}
}

func TestAKeyThatIsGoneTakesItsCachedTokensAlong(t *testing.T) { // K-13
	w := newWorld(t)
	g := w.login(t)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Fatal(err)
	}
	ring, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: w.store, Secret: w.cfg.Secret, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ring.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Compromise(t.Context(), keys[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := w.PollKeyRing(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	if _, ok := w.Recognize(g.AccessToken, ""); ok {
		t.Error("recognized under a key that verifies nothing")
	}
	g = w.mustRefresh(t, g)
	for range 2 {
		if _, err := w.Authenticate(g.AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	if !w.Verified(g.AccessToken) {
		t.Error("under the new ring nothing is remembered")
	}
}

func TestRecognizeAsksWhoseTheRefreshTokenIs(t *testing.T) { // CK-18
	w := newWorld(t)
	g := w.login(t)
	eve := w.user
	eve.ID, eve.Username, eve.Email = "user-eve", "eve", ""
	if err := w.store.CreateUser(t.Context(), eve); err != nil {
		t.Fatal(err)
	}
	other, err := w.OpenSession(t.Context(), eve, tokenjar.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	recognized := func(refresh string) bool {
		id, ok := w.Recognize(g.AccessToken, refresh)
		if ok && id.UserID != w.user.ID {
			t.Errorf("recognized %+v", id)
		}
		return ok
	}
	if recognized("") {
		t.Error("before it was ever verified")
	}
	w.Authenticate(g.AccessToken)
	if !recognized("") || recognized(g.RefreshToken) || recognized(other.RefreshToken) || recognized("junk") {
		t.Error("a refresh token nobody has verified is taken for one's own, or none at all is not enough")
	}
	w.DecodeRefresh(g.RefreshToken)
	w.DecodeRefresh(other.RefreshToken)
	if !recognized(g.RefreshToken) || recognized(other.RefreshToken) || recognized("junk") {
		t.Error("the wrong refresh token is known")
	}
}

// When learn has returned, no request that begins then is let through, however many are under way.
func TestARevocationHoldsFromTheNextRequestOn(t *testing.T) {
	w := newWorld(t)
	const sessions = 300
	grants := make([]tokenjar.Grant, sessions)
	over := make([]atomic.Bool, sessions)
	for i := range grants {
		grants[i] = w.login(t)
		if _, err := w.Authenticate(grants[i].AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := 0; ; i = (i + 7) % sessions {
				select {
				case <-done:
					return
				default:
				}
				was := over[i].Load()
				_, err := w.Authenticate(grants[i].AccessToken)
				_, ok := w.Recognize(grants[i].AccessToken, "")
				if was && (!errors.Is(err, tokenjar.ErrTokenRevoked) || ok) || err != nil && !errors.Is(err, tokenjar.ErrTokenRevoked) {
					t.Errorf("session %d, over %v: %v, recognized %v", i, was, err, ok)
					return
				}
			}
		})
	}
	for i := range grants {
		w.Learn(tokenjar.ReasonLogout, grants[i].SessionID)
		over[i].Store(true)
		if i%50 == 0 {
			w.Prune()
		}
	}
	for _, g := range grants {
		_, err := w.Authenticate(g.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenRevoked)
		if _, ok := w.Recognize(g.AccessToken, ""); ok {
			t.Fatal("recognized")
		}
	}
	close(done)
	wg.Wait()
	if n := w.Stats().Revocations; n != sessions {
		t.Errorf("%d revocations", n)
	}
}

func TestRequestsGoOnWhileTheRingIsSwapped(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { c.Algorithm = token.EdDSA })
	ring, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: w.store, Secret: w.cfg.Secret, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	g := w.login(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if id, err := w.Authenticate(g.AccessToken); err != nil || id.UserID != w.user.ID {
					t.Errorf("got %+v, %v", id, err)
					return
				}
			}
		})
	}
	for range 10 {
		if _, err := ring.Rotate(t.Context(), token.EdDSA, true); err != nil {
			t.Fatal(err)
		}
		if err := w.PollKeyRing(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}
