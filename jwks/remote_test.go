package jwks_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

func TestNothingIsFetchedBeforeItIsNeeded(t *testing.T) {
	is := newIssuer(t)
	is.publish(t, newKey(t, "a", token.ES256))
	r, _ := is.remote(t, nil)
	if r.Ready() {
		t.Error("ready without keys")
	}
	r.Epoch()
	is.wantFetches(t, 0)
	wantError(t, verify(r, sign(t, newKey(t, "a", token.ES256))), nil)
	if !r.Ready() {
		t.Error("not ready with keys")
	}
	for range 10 {
		wantError(t, verify(r, sign(t, newKey(t, "a", token.ES256))), nil)
	}
	is.wantFetches(t, 1)
}

func TestEveryDefaultAlgorithmVerifies(t *testing.T) {
	is := newIssuer(t)
	var keys []*token.Key
	for _, alg := range []token.Algorithm{token.ES256, token.ES384, token.EdDSA, token.RS256} {
		keys = append(keys, newKey(t, "k"+string(alg), alg))
	}
	is.publish(t, keys...)
	r, _ := is.remote(t, nil)
	for _, key := range keys {
		header, payload, err := r.Verify(sign(t, key))
		if err != nil || header.KeyID != key.ID() || header.Algorithm != key.Algorithm() || string(payload) != `{"sub":"ada"}` {
			t.Errorf("%v: got %v, %q, %v", key, header, payload, err)
		}
	}
}

func TestTheIssuersNextKeyIsFoundByOneFetch(t *testing.T) {
	is := newIssuer(t)
	a, b := newKey(t, "a", token.ES256), newKey(t, "b", token.ES256)
	is.publish(t, a)
	r, c := is.remote(t, nil)
	wantError(t, verify(r, sign(t, a)), nil)
	before := r.Epoch()

	is.publish(t, a, b)
	c.move(30 * time.Second)
	for range 3 {
		wantError(t, verify(r, sign(t, b)), nil)
		wantError(t, verify(r, sign(t, a)), nil)
	}
	is.wantFetches(t, 2)
	if r.Epoch() == before {
		t.Error("the keys have changed and the epoch has not")
	}
}

func TestAFetchThatFindsNothingNewKeepsTheEpoch(t *testing.T) {
	is := newIssuer(t)
	is.publish(t, newKey(t, "a", token.ES256), newKey(t, "b", token.ES256))
	r, c := is.remote(t, nil)
	wantError(t, r.Load(t.Context()), nil)
	before := r.Epoch()
	is.publish(t, newKey(t, "b", token.ES256), newKey(t, "a", token.ES256))
	c.move(time.Minute)
	wantError(t, verify(r, unknown(t)), token.ErrSignature)
	is.wantFetches(t, 2)
	if got := r.Epoch(); got != before {
		t.Errorf("the epoch went from %d to %d for the same keys", before, got)
	}
}

func TestManyCallersWithAnUnknownKidMakeOneFetch(t *testing.T) {
	a, b := newKey(t, "a", token.ES256), newKey(t, "b", token.ES256)
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"a key that has just been published": {sign(t, b), nil},
		"a key that does not exist":          {unknown(t), token.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			is.publish(t, a)
			r, clk := is.remote(t, nil)
			wantError(t, verify(r, sign(t, a)), nil)
			is.publish(t, a, b)
			clk.move(time.Minute)
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() { wantError(t, verify(r, c.raw), c.want) })
			}
			all.Wait()
			is.wantFetches(t, 2)
		})
	}
	t.Run("before there are any keys", func(t *testing.T) {
		is := newIssuer(t)
		is.publish(t, a)
		r, _ := is.remote(t, nil)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				if i%2 == 0 {
					wantError(t, verify(r, sign(t, a)), nil)
				} else {
					wantError(t, verify(r, unknown(t)), token.ErrSignature)
				}
			})
		}
		all.Wait()
		is.wantFetches(t, 1)
	})
}

func TestAFloodOfUnknownKidsIsAnsweredAtOnceAndFetchesRarely(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	r, c := is.remote(t, nil)
	wantError(t, r.Load(t.Context()), nil)
	flood := func(i int) string {
		header := fmt.Sprintf(`{"alg":"ES256","kid":"guess-%d"}`, i)
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + ".e30." + strings.Repeat("A", 86)
	}
	// 10,000 tokens in 100 seconds, with a good one now and then.
	for i := range 10_000 {
		c.move(10 * time.Millisecond)
		wantError(t, verify(r, flood(i)), token.ErrSignature)
		if i%100 == 0 {
			wantError(t, verify(r, sign(t, a)), nil)
		}
	}
	is.wantFetches(t, 1+3)

	// While the issuer is down there is a try now and then, and nobody is blamed for it.
	is.fail(http.StatusInternalServerError)
	c.move(time.Minute)
	for i := range 10_000 {
		c.move(10 * time.Millisecond)
		wantError(t, verify(r, flood(i)), token.ErrKeysUnavailable)
		if i%100 == 0 {
			wantError(t, verify(r, sign(t, a)), nil)
		}
	}
	is.wantFetches(t, 4+8) // at 0, 1, 3, 7, 15, 31, 61 and 91 seconds
}

func TestGarbageNeverMakesAFetch(t *testing.T) {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	a := newKey(t, "a", token.ES256)
	rows := map[string]struct {
		raw  string
		want error
	}{
		"nothing":                           {"", token.ErrMalformed},
		"no token":                          {"hello", token.ErrMalformed},
		"too long":                          {strings.Repeat("A", token.MaxSize+1), token.ErrMalformed},
		"a header that is no JSON":          {"AAAA.e30.AAAA", token.ErrMalformed},
		"a header with a key's address":     {encode(`{"alg":"ES256","kid":"x","jku":"https://evil.example"}`) + ".e30.AAAA", token.ErrMalformed},
		"a header with a member twice":      {encode(`{"alg":"ES256","kid":"a","kid":"x"}`) + ".e30.AAAA", token.ErrMalformed},
		"a kid that is no text":             {encode(`{"alg":"ES256","kid":["x"]}`) + ".e30.AAAA", token.ErrMalformed},
		"an unknown kid, payload broken":    {encode(`{"alg":"ES256","kid":"x"}`) + ".e=.AAAA", token.ErrMalformed},
		"an unknown kid, signature broken":  {encode(`{"alg":"ES256","kid":"x"}`) + ".e30.AB", token.ErrMalformed},
		"alg none":                          {encode(`{"alg":"none","kid":"x"}`) + ".e30.AAAA", token.ErrSignature},
		"alg HS256":                         {encode(`{"alg":"HS256","kid":"x"}`) + ".e30.AAAA", token.ErrSignature},
		"an algorithm that is not allowed":  {encode(`{"alg":"PS256","kid":"x"}`) + ".e30.AAAA", token.ErrSignature},
		"a kid that no key can have":        {encode(`{"alg":"ES256","kid":"a\nb"}`) + ".e30.AAAA", token.ErrSignature},
		"another algorithm for a known kid": {encode(`{"alg":"none","kid":"a"}`) + ".e30.AAAA", token.ErrSignature},
	}
	for name, c := range rows {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			is.publish(t, a)
			r, clk := is.remote(t, nil)
			wantError(t, verify(r, c.raw), c.want)
			is.wantFetches(t, 0)
			wantError(t, r.Load(t.Context()), nil)
			clk.move(time.Hour) // past MaxAge
			wantError(t, verify(r, c.raw), c.want)
			jwks.Settle(r)
			is.wantFetches(t, 1)
		})
	}
	t.Run("a bad signature of a known key", func(t *testing.T) {
		is := newIssuer(t)
		is.publish(t, a)
		r, clk := is.remote(t, nil)
		wantError(t, r.Load(t.Context()), nil)
		clk.move(time.Minute)
		raw := sign(t, a)
		wantError(t, verify(r, raw[:len(raw)-8]+"AAAAAAAA"), token.ErrSignature)
		wantError(t, verify(r, encode(`{"alg":"RS256","kid":"a"}`)+".e30.AAAA"), token.ErrSignature)
		wantError(t, verify(r, encode(`{"alg":"ES256"}`)+".e30.AAAA"), token.ErrSignature)
		is.wantFetches(t, 1)
	})
}

// What a token says of its algorithm neither picks the key's nor reaches beyond the list.
func TestTheAlgorithmIsTheSetsAndAllowed(t *testing.T) {
	is := newIssuer(t)
	key := newKey(t, "k", token.RS256)
	bare := jwk(t, key)
	delete(bare, "alg")
	is.publishText(marshal(t, map[string]any{"keys": []any{bare}}))
	r, _ := is.remote(t, nil)
	wantError(t, verify(r, sign(t, key)), nil)
	text, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"RS384", "RS512", "PS256"} {
		other, err := token.ParseKey([]byte(strings.Replace(string(text), "RS256", alg, 1)))
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, verify(r, sign(t, other)), token.ErrSignature)
	}
	is.wantFetches(t, 1)
}

// Keys that were too old do not come back with the time.
func TestAKeyThatWasWithdrawnIsRefusedAfterTheRenewal(t *testing.T) {
	is := newIssuer(t)
	a, b := newKey(t, "a", token.ES256), newKey(t, "b", token.ES256)
	is.publish(t, a, b)
	r, c := is.remote(t, nil)
	wantError(t, verify(r, sign(t, a)), nil)
	before := r.Epoch()
	is.publish(t, b)

	c.move(10*time.Minute - time.Second)
	wantError(t, verify(r, sign(t, a)), nil)
	jwks.Settle(r)
	is.wantFetches(t, 1)
	c.move(time.Second)
	wantError(t, verify(r, sign(t, a)), nil) // the last one: it starts the renewal
	jwks.Settle(r)
	is.wantFetches(t, 2)
	wantError(t, verify(r, sign(t, a)), token.ErrSignature)
	wantError(t, verify(r, sign(t, b)), nil)
	if r.Epoch() == before {
		t.Error("a key has gone and the epoch is the same")
	}
	is.wantFetches(t, 2)
}

func TestAKeyReplacedUnderItsKidIsRefusedAfterTheRenewal(t *testing.T) {
	is := newIssuer(t)
	first, second := newKey(t, "k", token.ES256), newKey(t, "k", token.EdDSA)
	is.publish(t, first)
	r, c := is.remote(t, nil)
	wantError(t, verify(r, sign(t, first)), nil)
	before := r.Epoch()
	is.publish(t, second)
	c.move(time.Minute)
	wantError(t, verify(r, sign(t, second)), token.ErrSignature) // its kid is known
	is.wantFetches(t, 1)
	c.move(10 * time.Minute)
	wantError(t, verify(r, sign(t, second)), token.ErrSignature) // starts the renewal
	jwks.Settle(r)
	wantError(t, verify(r, sign(t, second)), nil)
	wantError(t, verify(r, sign(t, first)), token.ErrSignature)
	if r.Epoch() == before {
		t.Error("a key was replaced and the epoch is the same")
	}
}

func TestTheRenewalKeepsNobodyWaiting(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	r, c := is.remote(t, nil)
	wantError(t, verify(r, sign(t, a)), nil)
	release, asked := make(chan struct{}), make(chan struct{}, 10)
	is.handle(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-release
		_, _ = w.Write(keySet(t, a))
	})
	c.move(time.Hour)
	for range 100 { // all while the issuer does not answer
		wantError(t, verify(r, sign(t, a)), nil)
	}
	<-asked
	is.wantFetches(t, 2)
	close(release)
	jwks.Settle(r)
	wantError(t, verify(r, sign(t, a)), nil)
	jwks.Settle(r)
	is.wantFetches(t, 2)
}

func TestACallerThatLeavesTakesNobodyAlong(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	release, asked := make(chan struct{}), make(chan struct{}, 1)
	is.handle(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-release
		_, _ = w.Write(keySet(t, a))
	})
	r, _ := is.remote(t, func(cfg *jwks.Config) { cfg.Timeout = time.Minute })
	ctx, cancel := context.WithCancel(t.Context())
	first, others := make(chan error, 1), make(chan error, 10)
	go func() {
		_, _, err := r.VerifyContext(ctx, sign(t, a))
		first <- err
	}()
	<-asked
	for range cap(others) {
		go func() { others <- verify(r, sign(t, a)) }()
	}
	cancel()
	err := <-first
	wantError(t, err, token.ErrKeysUnavailable)
	wantError(t, err, context.Canceled)
	close(release)
	for range cap(others) {
		wantError(t, <-others, nil)
	}
	is.wantFetches(t, 1)
}

func TestACallerWaitsNoLongerThanItsContext(t *testing.T) {
	is := newIssuer(t)
	release := make(chan struct{})
	is.handle(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	r, _ := is.remote(t, func(cfg *jwks.Config) { cfg.Timeout = 10 * time.Second })
	a := sign(t, newKey(t, "a", token.ES256))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err := r.VerifyContext(ctx, a)
	wantError(t, err, token.ErrKeysUnavailable)
	wantError(t, err, context.DeadlineExceeded)
	err = r.Load(ctx)
	wantError(t, err, token.ErrKeysUnavailable)
	wantError(t, err, context.DeadlineExceeded)
}

func TestAContextThatHasEndedStartsNoFetchAndStillVerifies(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	r, c := is.remote(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := r.VerifyContext(ctx, sign(t, a))
	wantError(t, err, token.ErrKeysUnavailable)
	is.wantFetches(t, 0)
	wantError(t, r.Load(t.Context()), nil)
	c.move(time.Minute)
	_, _, err = r.VerifyContext(ctx, sign(t, a))
	wantError(t, err, nil)
	_, _, err = r.VerifyContext(ctx, unknown(t))
	wantError(t, err, token.ErrKeysUnavailable)
	is.wantFetches(t, 1)
}

// A transport is a program's own, in memory.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(text []byte) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(text)))}, nil
}

// bubble returns a remote with the clock of a synctest bubble.
func bubble(t *testing.T, cfg jwks.Config, f transport) *jwks.Remote {
	t.Helper()
	cfg.URL, cfg.Transport = "https://id.example/keys", f
	var log logbook
	cfg.Logger = log.logger()
	r, err := jwks.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhoeverIsTooMuchIsRefusedAtOnce(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := bubble(t, jwks.Config{}, func(*http.Request) (*http.Response, error) {
			<-release
			return answer(keySet(t, a))
		})
		raw := sign(t, a)
		var all sync.WaitGroup
		for range jwks.MaxWaiting {
			all.Go(func() { wantError(t, verify(r, raw), nil) })
		}
		synctest.Wait()
		if got := jwks.Waiting(r); got != jwks.MaxWaiting {
			t.Fatalf("%d wait", got)
		}
		start := time.Now()
		for range 1000 {
			wantError(t, verify(r, raw), token.ErrKeysUnavailable)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("they waited %s", waited)
		}
		close(release)
		all.Wait()
		wantError(t, verify(r, raw), nil)
		if got := jwks.Waiting(r); got != 0 {
			t.Errorf("%d still wait", got)
		}
	})
}

func TestAPlaceIsFreeAgainWhenItsCallerLeaves(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	synctest.Test(t, func(t *testing.T) {
		r := bubble(t, jwks.Config{Timeout: time.Minute}, func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		raw := sign(t, a)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			var all sync.WaitGroup
			for range jwks.MaxWaiting {
				all.Go(func() {
					_, _, err := r.VerifyContext(ctx, raw)
					wantError(t, err, context.DeadlineExceeded)
				})
			}
			all.Wait()
			cancel()
		}
		if got := jwks.Waiting(r); got != 0 {
			t.Errorf("%d still wait", got)
		}
		jwks.Settle(r)
	})
}

// The machine's clock is set back while the monotonic one goes on: nothing changes. Here both go on, which is the rule.
func TestDecodersWaitForKeys(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	r, c := is.remote(t, nil)
	ring, err := token.NewRing(a)
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "at+jwt", Issuer: "https://id.example", Audience: "api", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := encoder.Encode(token.Claims{"sub": "ada"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: r, Type: "at+jwt", Issuer: "https://id.example", Audience: "api", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	is.fail(http.StatusInternalServerError)
	_, err = decoder.DecodeContext(t.Context(), raw)
	wantError(t, err, token.ErrKeysUnavailable)
	is.publish(t, a)
	c.move(time.Second)
	claims, err := decoder.DecodeContext(t.Context(), raw)
	if err != nil || claims.String("sub") != "ada" {
		t.Errorf("got %v, %v", claims, err)
	}
	if claims, err := decoder.Decode(raw); err != nil || claims.String("sub") != "ada" {
		t.Errorf("got %v, %v", claims, err)
	}
}

// A token that is verified costs what its ring costs.
func TestVerifyingAllocatesNothingOfItsOwn(t *testing.T) {
	a := newKey(t, "a", token.EdDSA)
	r, _ := newIssuerOf(t, a).remote(t, nil)
	wantError(t, r.Load(t.Context()), nil)
	raw := sign(t, a)
	ring, err := token.NewRing(nil, a)
	if err != nil {
		t.Fatal(err)
	}
	bare := testing.AllocsPerRun(100, func() { _, _, _ = ring.Verify(raw) })
	ctx := t.Context()
	ours := testing.AllocsPerRun(100, func() { _, _, _ = r.VerifyContext(ctx, raw); r.Epoch() })
	if ours > bare {
		t.Errorf("%v allocations, want the ring's %v", ours, bare)
	}
}

func newIssuerOf(tb testing.TB, keys ...*token.Key) *issuer {
	tb.Helper()
	is := newIssuer(tb)
	is.publish(tb, keys...)
	return is
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA, token.RS256} {
		key := newKey(b, "bench"+string(alg), alg)
		r, _ := newIssuerOf(b, key).remote(b, func(cfg *jwks.Config) { cfg.Now = nil })
		if err := r.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		ring, err := token.NewRing(nil, key)
		if err != nil {
			b.Fatal(err)
		}
		raw, ctx := sign(b, key), b.Context()
		b.Run(string(alg)+"/ring", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = ring.Verify(raw)
			}
		})
		b.Run(string(alg)+"/remote", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = r.VerifyContext(ctx, raw)
			}
		})
	}
	b.Run("epoch", func(b *testing.B) {
		r, _ := newIssuerOf(b, newKey(b, "benchES256", token.ES256)).remote(b, func(cfg *jwks.Config) { cfg.Now = nil })
		if err := r.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			r.Epoch()
		}
	})
}
