package tokenjar_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/token"
)

func (w *world) ring(t testing.TB) *tokenjar.KeyRing {
	t.Helper()
	ring, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: w.store, Secret: w.cfg.Secret, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// statuses lists the ring as "status algorithm".
func statuses(t testing.TB, ring *tokenjar.KeyRing) []string {
	t.Helper()
	keys, err := ring.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range keys {
		list = append(list, string(k.Status)+" "+string(k.Algorithm))
	}
	return list
}

func (w *world) wantKeys(t testing.TB, want ...string) {
	t.Helper()
	if got := statuses(t, w.ring(t)); !slices.Equal(got, want) {
		t.Errorf("keys: got %q, want %q", got, want)
	}
}

// decodePart reads a part of a token, which need not be genuine.
func decodePart(t testing.TB, raw string, part int, into any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[part])
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// refreshID returns the jti of a refresh token.
func refreshID(t testing.TB, raw string) string {
	t.Helper()
	var claims struct {
		ID string `json:"jti"`
	}
	decodePart(t, raw, 1, &claims)
	return claims.ID
}

// published returns the ids in the JWKS.
func (w *world) published(t testing.TB) (ids []string) {
	t.Helper()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(w.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if k[private] != "" {
				t.Errorf("K-14 the JWKS has the private member %s", private)
			}
		}
		ids = append(ids, k["kid"])
	}
	return ids
}

// signedBy returns the kid of a token.
func signedBy(t testing.TB, raw string) string {
	t.Helper()
	var h struct {
		KeyID string `json:"kid"`
	}
	decodePart(t, raw, 0, &h)
	return h.KeyID
}

func (w *world) poll(t testing.TB) {
	t.Helper()
	if err := w.PollKeyRing(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestARotatedKeyIsNextThenActiveThenRetiredThenGone(t *testing.T) { // K-11
	w := newWorld(t)
	first := w.login(t)
	next, err := w.ring(t).Rotate(t.Context(), token.EdDSA, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := w.clock.Now().Add(2 * tokenjar.JWKSMaxAge); next.Status != tokenjar.KeyNext || !next.ChangesAt.Equal(want) {
		t.Errorf("the new key is %+v, want next, signing from %v", next, want)
	}
	w.poll(t)
	w.wantKeys(t, "active ES256", "next EdDSA")
	if ids := w.published(t); !slices.Contains(ids, next.ID) || len(ids) != 2 {
		t.Errorf("the JWKS has %q: the next key is to be known before it signs", ids)
	}
	g := w.mustRefresh(t, first)
	if signedBy(t, g.AccessToken) == next.ID {
		t.Error("the next key signs already")
	}

	w.clock.advance(2*tokenjar.JWKSMaxAge - time.Second)
	w.poll(t)
	w.wantKeys(t, "active ES256", "next EdDSA")
	g = w.mustRefresh(t, g)
	w.clock.advance(time.Second)
	w.poll(t)
	w.wantKeys(t, "active EdDSA", "retired ES256")
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Errorf("a token of the retired key: %v", err)
	}
	g = w.mustRefresh(t, g)
	if signedBy(t, g.AccessToken) != next.ID {
		t.Error("the active key does not sign")
	}

	w.clock.advance(tokenjar.DefaultAccessLifetime + time.Minute)
	w.poll(t)
	w.wantKeys(t, "active EdDSA", "retired ES256") // to the last moment
	w.clock.advance(time.Second)
	w.poll(t)
	w.wantKeys(t, "active EdDSA")
	w.mustRefresh(t, g)
	if ids := w.published(t); !slices.Equal(ids, []string{next.ID}) {
		t.Errorf("the JWKS has %q, want the active key alone", ids)
	}
}

func TestAnotherAlgorithmIsPublishedFirstAndOldTokensStayGood(t *testing.T) { // J-06, K-11
	w := newWorld(t)
	old := w.login(t)
	w.cfg.Algorithm = token.RS256
	w.restart(t)
	w.restart(t) // a second start adds nothing
	w.wantKeys(t, "active ES256", "next RS256")
	w.clock.advance(2 * tokenjar.JWKSMaxAge)
	w.restart(t)
	w.wantKeys(t, "active RS256", "retired ES256")
	g := w.mustRefresh(t, old)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Fatal(err)
	}
	w.cfg.Algorithm = token.ES256 // and back, before anything happened
	w.restart(t)
	w.wantKeys(t, "active RS256", "next ES256", "retired ES256")
}

func TestACompromisedKeyVerifiesNothingAndSessionsGoOn(t *testing.T) { // K-13
	w := newWorld(t)
	g := w.login(t)
	bad := signedBy(t, g.AccessToken)
	keys, err := w.ring(t).Compromise(t.Context(), bad)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].Status != tokenjar.KeyActive || keys[0].ID == bad || keys[1].ID != bad {
		t.Errorf("the keys are %+v, want a new active one and the compromised one", keys)
	}
	w.poll(t)
	_, err = w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	if ids := w.published(t); slices.Contains(ids, bad) {
		t.Error("the JWKS has the compromised key")
	}
	next := w.mustRefresh(t, g)
	if _, err := w.Authenticate(next.AccessToken); err != nil {
		t.Errorf("after the refresh: %v", err)
	}
	// Once more is no error; nobody can bring it back, and its private part is nowhere any more.
	if _, err := w.ring(t).Compromise(t.Context(), bad); err != nil {
		t.Error(err)
	}
	_, err = w.ring(t).Export(t.Context(), bad)
	wantErr(t, err, tokenjar.ErrNotFound)
	_, err = w.ring(t).Compromise(t.Context(), "no such key")
	wantErr(t, err, tokenjar.ErrNotFound)
	w.clock.advance(365 * 24 * time.Hour)
	w.poll(t)
	if keys := statuses(t, w.ring(t)); !slices.Contains(keys, "compromised ES256") {
		t.Errorf("after a year the keys are %q: the compromised one has been forgotten", keys)
	}
}

func TestACompromisedKeyGivesWayToTheNextOne(t *testing.T) {
	w := newWorld(t)
	bad := signedBy(t, w.login(t).AccessToken)
	next, err := w.ring(t).Rotate(t.Context(), token.ES384, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ring(t).Compromise(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	w.poll(t)
	if signedBy(t, w.login(t).AccessToken) != next.ID {
		t.Error("the published next key is not the one that signs now")
	}
	// A next and a retired key can be compromised as well.
	other, err := w.ring(t).Rotate(t.Context(), token.ES256, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ring(t).Compromise(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	w.wantKeys(t, "active ES384", "compromised ES256", "compromised ES256")
}

func TestKeysAreReplacedBeforeTheyGrowOld(t *testing.T) {
	var events []string
	w := newWorld(t, func(c *tokenjar.Config) {
		c.RotateEvery, c.Algorithm = 48*time.Hour, token.EdDSA
		c.OnEvent = func(e tokenjar.AuditEvent) { events = append(events, e.Name+" "+e.Detail["algorithm"]) }
	})
	first := signedBy(t, w.login(t).AccessToken)
	w.clock.advance(48*time.Hour - time.Second)
	w.poll(t)
	w.wantKeys(t, "active EdDSA")
	w.clock.advance(time.Second)
	w.poll(t)
	w.poll(t)
	w.wantKeys(t, "active EdDSA", "next EdDSA")
	w.clock.advance(2 * tokenjar.JWKSMaxAge)
	w.poll(t)
	w.wantKeys(t, "active EdDSA", "retired EdDSA")
	if signedBy(t, w.login(t).AccessToken) == first {
		t.Error("the old key still signs")
	}
	events = slices.DeleteFunc(events, func(e string) bool { return !strings.HasPrefix(e, "key.") })
	if want := []string{"key.active EdDSA", "key.next EdDSA", "key.active EdDSA", "key.retired EdDSA"}; !slices.Equal(events, want) {
		t.Errorf("events: got %q, want %q", events, want)
	}

	never := newWorld(t, func(c *tokenjar.Config) { c.RotateEvery = -1 })
	never.clock.advance(10 * 365 * 24 * time.Hour)
	never.poll(t)
	never.wantKeys(t, "active ES256")
}

func TestAKeyMadeElsewhereCanBeImported(t *testing.T) {
	w := newWorld(t)
	key, err := token.GenerateKey(token.PS256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ring(t).Import(t.Context(), key, true); err != nil {
		t.Fatal(err)
	}
	w.poll(t)
	g := w.login(t)
	if signedBy(t, g.AccessToken) != key.ID() {
		t.Error("the imported key does not sign")
	}
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Error(err)
	}
	_, err = w.ring(t).Import(t.Context(), key, false)
	wantErr(t, err, tokenjar.ErrConflict)
	if _, err := w.ring(t).Compromise(t.Context(), key.ID()); err != nil {
		t.Fatal(err)
	}
	_, err = w.ring(t).Import(t.Context(), key, true)
	wantErr(t, err, tokenjar.ErrConflict)
	jwk, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := token.ParseKey(bytes.Replace(jwk, []byte(key.ID()), []byte("another-name"), 1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ring(t).Import(t.Context(), renamed, true)
	wantErr(t, err, tokenjar.ErrConflict) // K-13 the same key under another name

	if _, err := w.ring(t).Import(t.Context(), key.Public(), false); err == nil {
		t.Error("K-10 a public key was taken")
	}
	secret, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ring(t).Import(t.Context(), secret, false); err == nil {
		t.Error("K-05 a symmetric key was taken")
	}
	public, err := w.ring(t).ExportPublic(t.Context(), key.ID())
	if err != nil || bytes.Contains(public, []byte(`"d"`)) || !bytes.Contains(public, []byte(key.ID())) {
		t.Errorf("the public part is %s, %v", public, err)
	}
}

func TestManyNodesMoveTheRingOnOnce(t *testing.T) { // K-11
	w := newWorld(t, func(c *tokenjar.Config) { c.RotateEvery = 24 * time.Hour })
	nodes := []*tokenjar.Service{w.Service}
	for range 7 {
		node, err := tokenjar.New(t.Context(), w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	for _, step := range []time.Duration{24 * time.Hour, 2 * tokenjar.JWKSMaxAge} {
		w.clock.advance(step)
		var wg sync.WaitGroup
		for _, node := range nodes {
			wg.Go(func() {
				for range 3 {
					if err := node.PollKeyRing(context.Background()); err != nil && !errors.Is(err, tokenjar.ErrConflict) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	for _, node := range nodes {
		if err := node.PollKeyRing(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.wantKeys(t, "active ES256", "retired ES256")
	g := w.login(t)
	for i, node := range nodes {
		if _, err := node.Authenticate(g.AccessToken); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
		if !bytes.Equal(node.JWKS(), w.JWKS()) {
			t.Errorf("node %d publishes other keys", i)
		}
	}
}

func TestAClockOnceFarAheadStopsNoRotation(t *testing.T) { // C-15
	w := newWorld(t, func(c *tokenjar.Config) { c.RotateEvery = 48 * time.Hour })
	first := signedBy(t, w.login(t).AccessToken)
	far := 80 * 365 * 24 * time.Hour
	w.clock.advance(far)
	w.poll(t)
	w.clock.advance(-far)
	for range 8 {
		w.clock.advance(24 * time.Hour)
		w.poll(t)
	}
	if signedBy(t, w.login(t).AccessToken) == first {
		keys, _ := w.ring(t).Keys(t.Context())
		t.Errorf("eight days later the first key still signs: %+v", keys)
	}
}

func TestAnEarlierRingIsNotTakenByARunningServer(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	old, version, err := w.store.KeyRing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ring(t).Compromise(t.Context(), signedBy(t, g.AccessToken)); err != nil {
		t.Fatal(err)
	}
	w.poll(t)
	// Whoever can write the database puts the old box in the place of the new one.
	if err := w.store.SaveKeyRing(t.Context(), old, version+1); err != nil {
		t.Fatal(err)
	}
	wantErr(t, w.PollKeyRing(t.Context()), tokenjar.ErrKeyRingSealed)
	_, err = w.Authenticate(g.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	_, err = tokenjar.New(t.Context(), w.cfg)
	wantErr(t, err, tokenjar.ErrKeyRingSealed)
}

// A node that cannot follow the ring does not know which keys are compromised: it lets nobody in for long.
func TestANodeThatCannotFollowTheRingIsNotReady(t *testing.T) { // K-13, K-15
	w := newWorld(t)
	g := w.login(t)
	fresh, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret() + "\n" + testSecret))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: w.store, Secret: fresh, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, w.PollRevocations(t.Context()), tokenjar.ErrKeyRingSealed)
	if err := w.CheckSession(t.Context(), g.Identity()); err != nil {
		t.Errorf("at once: %v", err)
	}
	w.clock.advance(tokenjar.MaxStaleness + time.Second)
	w.PollRevocations(t.Context())
	wantErr(t, w.CheckSession(t.Context(), g.Identity()), tokenjar.ErrStoreUnavailable)
	wantErr(t, w.Ready(t.Context()), tokenjar.ErrStoreUnavailable)
	if _, err := w.ReplaceSecret(t.Context(), fresh); err != nil { // the line has come
		t.Fatal(err)
	}
	if err := w.PollRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.CheckSession(t.Context(), g.Identity()); err != nil {
		t.Errorf("with the new line: %v", err)
	}
}

func TestTrafficSeesNothingOfARotation(t *testing.T) { // K-11, with traffic running
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		g := w.login(t)
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := w.Authenticate(g.AccessToken); err != nil {
					t.Errorf("a fresh token: %v", err)
					return
				}
				var err error
				if g, err = w.refresh(t, g); err != nil {
					t.Errorf("refresh: %v", err)
					return
				}
			}
		})
	}
	for i := range 20 {
		if _, err := w.ring(t).Rotate(t.Context(), token.ES256, i%2 == 0); err != nil {
			t.Fatal(err)
		}
		w.poll(t)
	}
	stop()
	wg.Wait()
}

func TestARingThatCannotBeReadIsKeptAsItWas(t *testing.T) { // K-15
	w := newWorld(t)
	g := w.login(t)
	other, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		t.Fatal(err)
	}
	// Somebody with another secret has replaced the box.
	_, version, err := w.store.KeyRing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.SaveKeyRing(t.Context(), []byte("no box of ours"), version); err != nil {
		t.Fatal(err)
	}
	wantErr(t, w.PollKeyRing(t.Context()), tokenjar.ErrKeyRingSealed)
	if _, err := w.Authenticate(g.AccessToken); err != nil {
		t.Errorf("the ring in memory is gone: %v", err)
	}
	w.mustRefresh(t, g)
	_, err = w.ReplaceSecret(t.Context(), other)
	wantErr(t, err, tokenjar.ErrKeyRingSealed)
	w.login(t)
}

// The roll-out of a new secret over two nodes, as it is documented: the line is added second on all nodes, made the
// first, and the old one taken away when no session can depend on it. In between every node accepts what every other
// has made.
func TestASecretIsChangedNodeByNodeAndSessionsSurvive(t *testing.T) {
	w := newWorld(t)
	b, err := tokenjar.New(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	nodes := [2]*tokenjar.Service{w.Service, b}
	fresh := tokenjar.GenerateSecret()
	parse := func(lines ...string) tokenjar.Secret {
		s, err := tokenjar.ParseSecret([]byte(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	g := w.login(t)
	exchange := func(step string) {
		t.Helper()
		for i, node := range nodes {
			if _, err := node.Authenticate(g.AccessToken); err != nil {
				t.Errorf("%s: node %d, access token: %v", step, i, err)
			}
			next, err := node.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken})
			if err != nil {
				t.Fatalf("%s: node %d, refresh: %v", step, i, err)
			}
			// The answer was lost, and the other node is asked again.
			again, err := nodes[1-i].Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken})
			if err != nil || refreshID(t, again.RefreshToken) != refreshID(t, next.RefreshToken) {
				t.Fatalf("%s: node %d gives another successor: %v", step, 1-i, err)
			}
			g = next
		}
	}
	replace := func(node int, secret tokenjar.Secret) {
		t.Helper()
		if changed, err := nodes[node].ReplaceSecret(t.Context(), secret); err != nil || !changed {
			t.Fatalf("node %d: changed %v, %v", node, changed, err)
		}
	}
	exchange("before")
	for i := range nodes {
		replace(i, parse(testSecret, fresh))
		exchange("the new line second")
	}
	for i := range nodes {
		replace(i, parse(fresh, testSecret))
		exchange("the new line first")
	}
	if same, err := nodes[0].ReplaceSecret(t.Context(), parse(fresh, testSecret)); err != nil || same {
		t.Errorf("the same secret again: changed %v, %v", same, err)
	}
	_, err = nodes[0].ReplaceSecret(t.Context(), parse(fresh))
	wantErr(t, err, tokenjar.ErrKeyRingSealed) // it has not been sealed anew
	exchange("after a step too far")

	w.cfg.Secret = parse(fresh, testSecret)
	if changed, err := w.ring(t).Reseal(t.Context()); err != nil || !changed {
		t.Fatalf("reseal: changed %v, %v", changed, err)
	}
	if changed, err := w.ring(t).Reseal(t.Context()); err != nil || changed {
		t.Errorf("reseal again: changed %v, %v", changed, err)
	}
	exchange("sealed anew")
	g = w.login(t) // a session stays with the line it began with: those of the old line are over by now
	for i := range nodes {
		replace(i, parse(fresh))
	}
	exchange("the old line gone")
	w.cfg.Secret = parse(testSecret)
	_, err = tokenjar.New(t.Context(), w.cfg)
	wantErr(t, err, tokenjar.ErrKeyRingSealed)
}

func TestALineThatIsGoneEndsItsSessionsAndNoOthers(t *testing.T) {
	w := newWorld(t)
	old := w.login(t)
	fresh := tokenjar.GenerateSecret()
	both, err := tokenjar.ParseSecret([]byte(fresh + "\n" + testSecret))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReplaceSecret(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	young := w.login(t)
	w.cfg.Secret = both
	if _, err := w.ring(t).Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	alone, err := tokenjar.ParseSecret([]byte(fresh))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReplaceSecret(t.Context(), alone); err != nil {
		t.Fatal(err)
	}
	_, err = w.refresh(t, old)
	wantErr(t, err, tokenjar.ErrTokenInvalid)
	w.mustRefresh(t, young)
}

// Two nodes in the middle of a change, with the lines in another order, answer for one token: what they give must be one
// token in every respect, or the second use of it looks like theft.
func TestNodesWithTheLinesInAnotherOrderGiveOneSuccessor(t *testing.T) {
	w := newWorld(t)
	g := w.login(t)
	fresh := tokenjar.GenerateSecret()
	var nodes []*tokenjar.Service
	for _, lines := range []string{testSecret + "\n" + fresh, fresh + "\n" + testSecret} {
		secret, err := tokenjar.ParseSecret([]byte(lines))
		if err != nil {
			t.Fatal(err)
		}
		cfg := w.cfg
		cfg.Secret = secret
		node, err := tokenjar.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	for range 3 {
		var grants []tokenjar.Grant
		for _, node := range nodes {
			next, err := node.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken})
			if err != nil {
				t.Fatal(err)
			}
			grants = append(grants, next)
		}
		sameTokens(t, grants[0], grants[1])
		g = grants[0]
	}
}
