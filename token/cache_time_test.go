package token_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar/token"
)

// A cache and the clock.

// moment is a time that tests move.
type moment struct{ time.Time }

func (m *moment) now() time.Time { return m.Time }

// Whatever the clock and the leeways, also in fractions of a second, a cache answers as its decoder does.
func TestC02C15ACacheJudgesTimesAsItsDecoder(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	hits := int64(0)
	rapid.Check(t, func(t *rapid.T) {
		leeways := []time.Duration{0, 1, time.Second / 2, time.Second - 1, time.Second, 1500 * time.Millisecond, 10 * time.Second, time.Minute}
		at := &moment{testNow}
		config := token.DecoderConfig{
			Keys: ring, Type: testType, Issuer: testIssuer, Audience: testAudience, Now: at.now,
			Leeway: rapid.SampledFrom(leeways).Draw(t, "leeway"), EarlyLeeway: rapid.SampledFrom(leeways).Draw(t, "early leeway"),
			InsecureOptionalExpiry: rapid.Bool().Draw(t, "optional exp"),
		}
		decoder, err := token.NewDecoder(config)
		if err != nil {
			t.Fatal(err)
		}
		cache, err := token.NewCache(decoder)
		if err != nil {
			t.Fatal(err)
		}
		claims := goodClaims(nil)
		for name, offsets := range map[string][]int64{"exp": {60, 300, 3600, 10, 1, 0, -1}, "nbf": {0, -60, -1, 1, 9, 10, 11, 60}, "iat": {0, -60, 1, 10}} {
			if rapid.IntRange(0, 7).Draw(t, name+" absent") == 7 {
				delete(claims, name)
				continue
			}
			claims[name] = testNow.Unix() + rapid.SampledFrom(offsets).Draw(t, name)
			if rapid.IntRange(0, 15).Draw(t, name+" fraction") == 15 {
				claims[name] = float64(claims[name].(int64)) + 0.5
			}
		}
		payload := marshalFor(t, claims)
		raw, err := ring.Sign(testType, payload)
		if err != nil {
			t.Fatal(err)
		}
		for range 12 {
			at.Time = at.Add(rapid.SampledFrom([]time.Duration{
				0, 1, -1, time.Second / 2, -time.Second / 2, time.Second, -time.Second, 9 * time.Second, -10 * time.Second, time.Minute,
				-time.Minute, 5 * time.Minute, time.Hour, -time.Hour, -24 * time.Hour, 24 * time.Hour,
			}).Draw(t, "step"))
			got, gotErr := cache.Verify(context.Background(), raw)
			want, wantErr := decoder.Verify(context.Background(), raw)
			if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Fatalf("%s at %v: got %+v, %v, want %+v, %v", payload, at.Time, got, gotErr, want, wantErr)
			}
		}
		hits += cache.Stats().Hits
	})
	if hits < 50 && !testing.Short() { // short runs have too few rounds to say
		t.Errorf("%d hits: this compares nothing", hits)
	}
}

func marshalFor(t interface{ Fatal(...any) }, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheCacheDropsWhatHasExpiredInPassing(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	at := &moment{testNow}
	cache := newCache(t, newDecoder(t, ring, func(c *token.DecoderConfig) { c.Now, c.Leeway = at.now, 5*time.Second }))
	add := func(n, life int) {
		t.Helper()
		now := at.Unix()
		claims := goodClaims(map[string]any{"n": n, "iat": now, "nbf": now, "exp": now + int64(life), "x": strings.Repeat("x", 600)})
		if _, err := cache.Verify(t.Context(), mustSign(t, ring, testType, marshal(t, claims))); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 200 {
		add(n, 10)
	}
	full := token.CacheEntries(cache)
	if full != 200 {
		t.Fatalf("%d entries", full)
	}
	at.Time = at.Add(14 * time.Second)
	add(1000, 10)
	if n := token.CacheEntries(cache); n != full+1 {
		t.Errorf("%d entries: dropped within a minute", n)
	}
	at.Time = at.Add(46*time.Second - 1)
	add(1001, 100)
	if n := token.CacheEntries(cache); n != full+2 {
		t.Errorf("%d entries: dropped within a minute", n)
	}
	at.Time = at.Add(1)
	add(1002, 100)
	if n := token.CacheEntries(cache); n >= 20 {
		t.Errorf("%d entries: what has expired is kept", n)
	}
	at.Time = at.AddDate(-1, 0, 0) // a clock that is set back neither stops it nor makes it busy
	add(1003, 10)
	at.Time = at.Add(61 * time.Second)
	add(1004, 10)
}
