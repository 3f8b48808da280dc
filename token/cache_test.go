package token_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// A token that a cache has accepted before is judged like one that it has not.

// swappable is a program's own key set in front of a ring, as it would be without LiveRing: it does not say when it changes.
type swappable struct{ ring atomic.Pointer[token.Ring] }

func (s *swappable) Verify(compact string) (token.Header, []byte, error) {
	return s.ring.Load().Verify(compact)
}

func TestNewCacheRefuses(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	for name, c := range map[string]struct {
		decoder *token.Decoder
		want    string
	}{
		"no decoder":     {nil, "a decoder is required"},
		"a zero decoder": {new(token.Decoder), "a decoder is required"},
		"K-18 keys that do not say when they change": {newDecoder(t, new(swappable), nil), "DecoderConfig.Keys is a *token_test.swappable"},
		"C-15 times that nobody judges": {newDecoder(t, ring, func(c *token.DecoderConfig) { c.InsecureIgnoreTimes = true }),
			"DecoderConfig.InsecureIgnoreTimes is set"},
	} {
		cache, err := token.NewCache(c.decoder)
		if cache != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAHitSaysWhatTheTokenSays(t *testing.T) {
	for _, alg := range []token.Algorithm{token.ES256, token.HS256} {
		ring := newRing(t, newKey(t, "k", alg))
		decoder := newDecoder(t, ring, nil)
		cache := newCache(t, decoder)
		raw := mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"level": 9007199254740993, "list": []string{"a"}, "sub": "ü\"ser"})))
		want, err := decoder.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			got, err := cache.Verify(t.Context(), raw)
			if err != nil || got != want || !reflect.DeepEqual(got.Claims(), want.Claims()) {
				t.Fatalf("call %d: got %+v, %v, want %+v", i, got, err, want)
			}
			if got.Subject() != "ü\"ser" || got.Issuer() != testIssuer || got.IsZero() ||
				!got.ExpiresAt().Equal(testNow.Add(300*time.Second)) || got.ExpiresAt().Location() != time.UTC {
				t.Errorf("call %d: got %q %q %v", i, got.Subject(), got.Issuer(), got.ExpiresAt())
			}
			if level, _ := got.Claims().Int("level"); level != 9007199254740993 {
				t.Errorf("call %d: level %d", i, level)
			}
			changed := got.Claims()
			changed["list"].([]any)[0] = "b"
			delete(changed, "sub")
		}
		decoded, err := decoder.Decode(raw)
		if err != nil || !reflect.DeepEqual(decoded, want.Claims()) {
			t.Errorf("Decode says %v, %v, Claims %v", decoded, err, want.Claims())
		}
		if stats := cache.Stats(); stats != (token.CacheStats{Hits: 2, Misses: 1}) {
			t.Errorf("got %+v", stats)
		}
	}
	var zero token.Verified
	if !zero.IsZero() || zero.Subject() != "" || zero.Issuer() != "" || !zero.ExpiresAt().IsZero() || zero.Claims() == nil || len(zero.Claims()) != 0 {
		t.Errorf("the zero value speaks: %+v %v", zero, zero.Claims())
	}
}

func TestWhatIsOpenIsOpenInACacheToo(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	now := testNow
	cache := newCache(t, newDecoder(t, ring, func(c *token.DecoderConfig) {
		c.Issuer, c.Audience, c.InsecureAnyIssuer, c.InsecureAnyAudience, c.InsecureOptionalExpiry = "", "", true, true, true
		c.Now = func() time.Time { return now }
	}))
	raw := mustSign(t, ring, testType, []byte(`{}`))
	for range 2 {
		v, err := cache.Verify(t.Context(), raw)
		if err != nil || v.IsZero() || v.Subject() != "" || v.Issuer() != "" || !v.ExpiresAt().IsZero() || len(v.Claims()) != 0 {
			t.Errorf("got %+v, %v", v, err)
		}
		now = now.AddDate(100, 0, 0) // it has no end
	}
	if stats := cache.Stats(); stats.Hits != 1 {
		t.Errorf("got %+v", stats)
	}
}

func TestAHitCostsNoAllocation(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.EdDSA))
	cache := newCache(t, newDecoder(t, ring, func(c *token.DecoderConfig) { c.Leeway = time.Second }))
	raw := mustSign(t, ring, testType, marshal(t, goodClaims(nil)))
	ctx := t.Context()
	verify := func() {
		if v, err := cache.Verify(ctx, raw); err != nil || v.Subject() != "user-1" {
			t.Fatal(err)
		}
	}
	verify()
	if n := testing.AllocsPerRun(100, verify); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestK18OneBitIsAnotherText(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	cache := newCache(t, newDecoder(t, ring, nil))
	raw := mustSign(t, ring, testType, marshal(t, goodClaims(nil)))
	if _, err := cache.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	others := []string{raw[1:], raw[:len(raw)-1], raw + "A", " " + raw, raw + "\n", raw[len(raw)-64:], "." + raw[len(raw)-64:], ""}
	for at := range raw {
		for bit := range 8 {
			flipped := []byte(raw)
			flipped[at] ^= 1 << bit
			others = append(others, string(flipped))
		}
	}
	for _, other := range others {
		for range 2 { // a failure is not remembered either
			if v, err := cache.Verify(t.Context(), other); err == nil || !v.IsZero() {
				t.Fatalf("%q: accepted", other)
			}
		}
	}
	if stats := cache.Stats(); stats.Hits != 0 {
		t.Errorf("%d hits", stats.Hits)
	}
}

func TestJ29TheTwinOfAnECDSASignatureIsVerifiedAnew(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.ES256))
	cache := newCache(t, newDecoder(t, ring, nil))
	raw := mustSign(t, ring, testType, marshal(t, goodClaims(nil)))
	for i, text := range []string{raw, highSTwin(t, raw)} {
		if v, err := cache.Verify(t.Context(), text); err != nil || v.Claims().String("jti") != "token-1" {
			t.Errorf("got %v", err)
		}
		if stats := cache.Stats(); stats.Hits != 0 || stats.Misses != int64(i+1) {
			t.Errorf("got %+v", stats)
		}
	}
}

// What one decoder took is not taken by another, and a stricter policy binds the next decision.
func TestK18C14ACacheBelongsToOneDecoder(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	raw := mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"scope": "read"})))
	a := newCache(t, newDecoder(t, ring, nil))
	for range 2 {
		if _, err := a.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*token.DecoderConfig)
		want   error
	}{
		"another audience": {func(c *token.DecoderConfig) { c.Audience = "https://b.example" }, token.ErrClaims},
		"another issuer":   {func(c *token.DecoderConfig) { c.Issuer = "https://other.example" }, token.ErrClaims},
		"another type":     {func(c *token.DecoderConfig) { c.Type = "rt+jwt" }, token.ErrType},
		"a stricter rule": {func(c *token.DecoderConfig) {
			c.Rules = map[string]token.Rule{"scope": {Essential: true, Value: "write"}}
		}, token.ErrClaims},
	} {
		b := newCache(t, newDecoder(t, ring, c.change))
		for range 2 {
			_, err := b.Verify(t.Context(), raw)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

func TestRefusedTokensAreNotRemembered(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	now := testNow
	cache := newCache(t, newDecoder(t, ring, func(c *token.DecoderConfig) { c.Now = func() time.Time { return now } }))
	early := mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"nbf": testNow.Unix() + 10})))
	_, err := cache.Verify(t.Context(), early)
	wantError(t, err, token.ErrNotYetValid)
	now = now.Add(10 * time.Second)
	for range 2 {
		if _, err := cache.Verify(t.Context(), early); err != nil {
			t.Errorf("a token whose time has come: %v", err)
		}
	}
	for name, change := range map[string]map[string]any{
		"expired": {"exp": now.Unix()}, "another audience": {"aud": "https://other.example"}, "no subject": {"sub": ""}, "no exp": {"exp": omit},
	} {
		raw := mustSign(t, ring, testType, marshal(t, goodClaims(change)))
		before := cache.Stats()
		for range 2 {
			if _, err := cache.Verify(t.Context(), raw); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if after := cache.Stats(); after.Hits != before.Hits {
			t.Errorf("%s: a failure was found", name)
		}
	}
}

func TestLongAndFractionalTokensAreVerifiedEachTime(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	cache := newCache(t, newDecoder(t, ring, nil))
	now := testNow.Unix()
	for name, change := range map[string]map[string]any{
		"over 4 KiB":   {"x": strings.Repeat("x", 4000)},
		"exp fraction": {"exp": raw(fmt.Sprintf("%d.5", now+60))},
		"nbf fraction": {"nbf": raw(fmt.Sprintf("%d.5", now-60))},
		"iat fraction": {"iat": raw(fmt.Sprintf("%d.000000001", now-60))},
	} {
		raw := mustSign(t, ring, testType, marshal(t, goodClaims(change)))
		for range 2 {
			if _, err := cache.Verify(t.Context(), raw); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if stats := cache.Stats(); stats.Hits != 0 {
			t.Errorf("%s: found", name)
		}
	}
}

// Forgeries with the end of a good token, and of good shape, push nothing out.
func TestAFloodOfForgeriesEvictsNothing(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	cache := newCache(t, newDecoder(t, ring, nil))
	var good []string
	for i := range 100 {
		good = append(good, mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"n": i}))))
		if _, err := cache.Verify(t.Context(), good[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20_000 {
		own := good[i%len(good)]
		dot := strings.LastIndexByte(own, '.')
		other := good[rand.IntN(len(good))]
		forged := other[:strings.LastIndexByte(other, '.')] + own[dot:]
		if other == own {
			forged = own[:dot-1] + "A" + own[dot:]
		}
		if _, err := cache.Verify(t.Context(), forged); err == nil && forged != own {
			t.Fatal("a forgery was accepted")
		}
	}
	before := cache.Stats()
	for _, raw := range good {
		if _, err := cache.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	if after := cache.Stats(); after.Hits != before.Hits+int64(len(good)) {
		t.Errorf("%d of %d are still found", after.Hits-before.Hits, len(good))
	}
}

func TestTheCacheInParallel(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	other := newRing(t, newKey(t, "k2", token.HS256), newKey(t, "k", token.HS256))
	live := newLiveRing(t, ring)
	cache := newCache(t, newDecoder(t, live, nil))
	raws := make([]string, 300)
	for i := range raws {
		raws[i] = mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"sub": fmt.Sprint("user-", i)})))
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 3000 {
				n := (i*7 + worker) % len(raws)
				v, err := cache.Verify(context.Background(), raws[n])
				if want := fmt.Sprint("user-", n); err != nil || v.Subject() != want || i%50 == 0 && v.Claims().String("sub") != want {
					t.Errorf("got %q, %v, want %q", v.Subject(), err, want)
					return
				}
				if worker == 0 && i%300 == 299 {
					replace(t, live, []*token.Ring{other, ring}[i/300%2])
				}
			}
		})
	}
	wait.Wait()
	if hits := cache.Stats().Hits; hits < 1000 {
		t.Errorf("%d hits", hits)
	}
}

// BenchmarkCache is a token that was verified before, on one core and on all.
func BenchmarkCache(b *testing.B) {
	ring := newRing(b, newKey(b, "k", token.ES256))
	cache := newCache(b, newDecoder(b, ring, func(c *token.DecoderConfig) { c.Now, c.Leeway = nil, time.Second }))
	now := time.Now().Unix()
	raws := make([]string, 200)
	for i := range raws {
		claims := goodClaims(map[string]any{"sub": fmt.Sprint("user-", i), "sid": "01JQ5T7W9Z", "iat": now, "nbf": now, "exp": now + 3600})
		raws[i] = mustSign(b, ring, testType, marshal(b, maps.Clone(claims)))
		if _, err := cache.Verify(b.Context(), raws[i]); err != nil {
			b.Fatal(err)
		}
	}
	ctx := b.Context()
	for _, cores := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("goroutines=%d", cores), func(b *testing.B) {
			const batch = 5000
			best := time.Duration(math.MaxInt64) // of all rounds: the machine does other things too
			for b.Loop() {
				var wait sync.WaitGroup
				start := time.Now()
				for range cores {
					wait.Go(func() {
						for i := range batch {
							if _, err := cache.Verify(ctx, raws[i%len(raws)]); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wait.Wait()
				best = min(best, time.Since(start))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(best)/float64(batch*cores), "ns-min")
		})
	}
}
