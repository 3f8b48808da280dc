package token_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// Group K again: keys that change while they are in use.

func newLiveRing(tb testing.TB, ring *token.Ring) *token.LiveRing {
	tb.Helper()
	live, err := token.NewLiveRing(ring)
	if err != nil {
		tb.Fatal(err)
	}
	return live
}

func replace(tb testing.TB, live *token.LiveRing, ring *token.Ring) {
	tb.Helper()
	if err := live.Replace(ring); err != nil {
		tb.Fatal(err)
	}
}

func newCache(tb testing.TB, decoder *token.Decoder) *token.Cache {
	tb.Helper()
	cache, err := token.NewCache(decoder)
	if err != nil {
		tb.Fatal(err)
	}
	return cache
}

func TestALiveRingIsTheRingInUse(t *testing.T) {
	a, b := newRing(t, newKey(t, "a", token.EdDSA)), newRing(t, newKey(t, "b", token.EdDSA))
	live := newLiveRing(t, a)
	if live.Ring() != a || live.Epoch() != 1 || !bytes.Equal(live.JWKS(), a.JWKS()) {
		t.Errorf("begins with %p, epoch %d", live.Ring(), live.Epoch())
	}
	for _, bad := range []*token.Ring{nil, new(token.Ring)} {
		if err := live.Replace(bad); err == nil || live.Ring() != a || live.Epoch() != 1 {
			t.Errorf("an empty ring was taken: %v", err)
		}
		if l, err := token.NewLiveRing(bad); err == nil || l != nil {
			t.Error("NewLiveRing took an empty ring")
		}
	}
	raw := mustSign(t, a, testType, nil)
	replace(t, live, b)
	if live.Ring() != b || live.Epoch() != 2 || !bytes.Equal(live.JWKS(), b.JWKS()) {
		t.Errorf("then %p, epoch %d", live.Ring(), live.Epoch())
	}
	if _, _, err := live.Verify(raw); !errors.Is(err, token.ErrSignature) {
		t.Errorf("a token of the old ring: %v", err)
	}
	signed, err := live.Sign(testType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header, _, err := b.Verify(signed); err != nil || header.KeyID != "b" {
		t.Errorf("signs with %v, %v", header, err)
	}
	replace(t, live, b)
	if live.Epoch() != 3 {
		t.Errorf("the same ring again: epoch %d, want one more", live.Epoch())
	}
}

func TestTheZeroLiveRingHasNoKey(t *testing.T) {
	live := new(token.LiveRing)
	raw := mustSign(t, newRing(t, newKey(t, "a", token.EdDSA)), testType, marshal(t, goodClaims(nil)))
	if _, _, err := live.Verify(raw); !errors.Is(err, token.ErrSignature) {
		t.Errorf("verifies: %v", err)
	}
	if _, err := live.Sign(testType, nil); !errors.Is(err, token.ErrCannotSign) {
		t.Errorf("signs: %v", err)
	}
	if got := string(live.JWKS()); got != `{"keys":[]}` || live.Epoch() != 0 {
		t.Errorf("publishes %s, epoch %d", got, live.Epoch())
	}
}

// Publish the new key, let it sign, retire the old one, with traffic: nothing fresh is refused, neither by a decoder nor by
// a cache.
func TestK11RotationUnderTraffic(t *testing.T) {
	key := [3]*token.Key{newKey(t, "one", token.EdDSA), newKey(t, "two", token.EdDSA), newKey(t, "three", token.EdDSA)}
	live := newLiveRing(t, newRing(t, key[0]))
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: live, Type: testType, Issuer: testIssuer, Audience: testAudience, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	decoder := newDecoder(t, live, nil)
	cache := newCache(t, decoder)
	var passed [4]atomic.Int64 // tokens made and verified, by worker
	var wait sync.WaitGroup
	stop := make(chan struct{})
	for worker := range passed {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				raw, err := encoder.Encode(token.Claims{"sub": "u"}, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				for _, verifier := range []token.Verifier{decoder, cache, cache} {
					if v, err := verifier.Verify(context.Background(), raw); err != nil || v.Subject() != "u" {
						t.Errorf("K-11 a fresh token failed: %v", err)
						return
					}
				}
				passed[worker].Add(1)
			}
		})
	}
	under := func(ring *token.Ring) {
		replace(t, live, ring)
		for worker := range passed { // two each, so that what was made under the ring before has been verified
			for before := passed[worker].Load(); passed[worker].Load() < before+2 && !t.Failed(); {
				time.Sleep(time.Millisecond)
			}
		}
	}
	for i := range 6 {
		old, next := key[i%3], key[(i+1)%3]
		first, err := encoder.Encode(token.Claims{}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cache.Verify(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		for _, ring := range []*token.Ring{newRing(t, old, next.Public()), newRing(t, next, old.Public())} {
			under(ring)
			if _, err := cache.Verify(t.Context(), first); err != nil {
				t.Errorf("K-11 a token of the old key failed: %v", err)
			}
		}
	}
	close(stop)
	wait.Wait()
	if stats := cache.Stats(); stats.Hits == 0 {
		t.Error("no token was found: this tests no cache")
	}
}

// A key that is gone takes along what was remembered of it, from the next call on, however busy the cache is.
func TestK13ACompromisedKeyTakesItsRememberedTokensAlong(t *testing.T) {
	bad, good := newKey(t, "bad", token.EdDSA), newKey(t, "good", token.EdDSA)
	both, clean := newRing(t, bad, good.Public()), newRing(t, good)
	live := newLiveRing(t, both)
	cache := newCache(t, newDecoder(t, live, nil))
	const tokens = 16
	var raws [tokens]string
	for i := range raws {
		raws[i] = mustSign(t, both, testType, marshal(t, goodClaims(map[string]any{"n": i})))
	}
	kept := mustSign(t, clean, testType, marshal(t, goodClaims(nil)))
	for range 20 {
		replace(t, live, both)
		var gone atomic.Bool
		var wait sync.WaitGroup
		stop := make(chan struct{})
		for worker := range 3 {
			wait.Go(func() {
				for i := worker; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					was := gone.Load() // before the call begins
					_, err := cache.Verify(context.Background(), raws[i%tokens])
					if was && !errors.Is(err, token.ErrSignature) || !was && err != nil && !errors.Is(err, token.ErrSignature) {
						t.Errorf("K-13 the key was gone: %v, got %v", was, err)
						return
					}
				}
			})
		}
		for _, raw := range raws {
			if _, err := cache.Verify(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
		}
		replace(t, live, clean)
		gone.Store(true)
		for _, raw := range raws {
			_, err := cache.Verify(t.Context(), raw)
			wantError(t, err, token.ErrSignature)
		}
		if _, err := cache.Verify(t.Context(), kept); err != nil {
			t.Errorf("K-13 a token of the other key: %v", err)
		}
		close(stop)
		wait.Wait()
	}
}

// replacing is a live ring that is replaced while it verifies: the widest the race can be.
type replacing struct {
	*token.LiveRing
	during func()
}

func (r *replacing) Verify(compact string) (token.Header, []byte, error) {
	header, payload, err := r.LiveRing.Verify(compact)
	r.during()
	return header, payload, err
}

func TestK18WhatTheOldRingVerifiedIsNotRememberedUnderTheNew(t *testing.T) {
	old, next := newRing(t, newKey(t, "old", token.EdDSA)), newRing(t, newKey(t, "next", token.EdDSA))
	keys := &replacing{LiveRing: newLiveRing(t, old), during: func() {}}
	cache := newCache(t, newDecoder(t, keys, nil))
	raw := mustSign(t, old, testType, marshal(t, goodClaims(nil)))
	keys.during = func() { replace(t, keys.LiveRing, next) }
	if _, err := cache.Verify(t.Context(), raw); err != nil {
		t.Fatalf("verified by the ring that was in use: %v", err)
	}
	keys.during = func() {}
	for range 2 {
		_, err := cache.Verify(t.Context(), raw)
		wantError(t, err, token.ErrSignature)
	}
	replace(t, keys.LiveRing, old) // back again is another epoch too
	before := cache.Stats()
	if _, err := cache.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	if after := cache.Stats(); after.Hits != before.Hits {
		t.Error("an entry of an earlier epoch was found")
	}
}

func TestReplacingInParallelCountsEachRing(t *testing.T) {
	rings := []*token.Ring{newRing(t, newKey(t, "a", token.EdDSA)), newRing(t, newKey(t, "b", token.EdDSA))}
	live := newLiveRing(t, rings[0])
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			last := live.Epoch()
			for range 100 {
				if err := live.Replace(rings[i%2]); err != nil {
					t.Error(err)
				}
				if now := live.Epoch(); now <= last {
					t.Errorf("epoch %d after %d", now, last)
				} else {
					last = now
				}
			}
		})
	}
	wait.Wait()
	if live.Epoch() != 401 {
		t.Errorf("epoch %d after 400 rings", live.Epoch())
	}
}
