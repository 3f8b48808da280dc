package token_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// FuzzCacheVerify: whatever is done to a good token, and whenever it is shown, a cache answers as its decoder does, before
// its keys are replaced, after, and when the old ones are back.
func FuzzCacheVerify(f *testing.F) {
	signing := []*token.Key{newKey(f, "k", token.HS256), newKey(f, "k2", token.HS256)}
	both, second := newRing(f, signing[0], signing[1]), newRing(f, signing[1])
	tokens := []string{
		mustSign(f, both, testType, marshal(f, goodClaims(nil))),
		mustSign(f, second, testType, marshal(f, goodClaims(map[string]any{"sub": "user-2", "aud": []string{"a", testAudience}}))),
		mustSign(f, both, testType, marshal(f, goodClaims(map[string]any{"exp": raw(fmt.Sprintf("%d.5", testNow.Unix()+300))}))),
		mustSign(f, both, "rt+jwt", marshal(f, goodClaims(nil))),
	}
	f.Fuzz(func(t *testing.T, which uint8, at, length uint16, insert string, shown int16) {
		now := &moment{testNow}
		live := newLiveRing(t, both)
		decoder := newDecoder(t, live, func(c *token.DecoderConfig) {
			c.Now, c.Leeway, c.EarlyLeeway = now.now, 1500*time.Millisecond, time.Second
		})
		cache := newCache(t, decoder)
		original := tokens[int(which)%len(tokens)]
		start := min(int(at), len(original))
		end := min(start+int(length), len(original))
		texts := []string{original, original[:start] + insert + original[end:], original}
		agree := func(when string) {
			for _, moved := range []time.Duration{0, time.Duration(shown) * 500 * time.Millisecond, 0} {
				now.Time = testNow.Add(moved)
				for i, text := range texts {
					got, gotErr := cache.Verify(context.Background(), text)
					want, wantErr := decoder.Verify(context.Background(), text)
					if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || (gotErr == nil) == got.IsZero() {
						t.Fatalf("%s, %v later, text %d: got %+v, %v, want %+v, %v", when, moved, i, got, gotErr, want, wantErr)
					}
					claims, decodeErr := decoder.Decode(text)
					if fmt.Sprint(decodeErr) != fmt.Sprint(gotErr) || len(claims) != len(got.Claims()) || claims.String("sub") != got.Subject() {
						t.Fatalf("%s, text %d: Decode says %v, %v, the cache %v, %v", when, i, claims, decodeErr, got.Claims(), gotErr)
					}
				}
			}
		}
		agree("before")
		replace(t, live, second)
		agree("after the first key has gone")
		replace(t, live, both)
		agree("with the first key back")
	})
}
