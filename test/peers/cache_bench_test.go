package peers_test

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/test/peers"
	"github.com/tokenjar/tokenjar/token"
)

// What a token costs that was verified before: token.Cache, of many tokens in turn.

const cachedTokens = 1000

// cached returns a cache that has seen its tokens.
func cached(b *testing.B, algorithm string) (*token.Cache, []string) {
	all, err := peers.Libraries(newKey(b, "k", algorithm, 1), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	ours := all[0].(*peers.Tokenjar)
	cache, err := token.NewCache(ours.Decoder)
	if err != nil {
		b.Fatal(err)
	}
	texts := make([]string, cachedTokens)
	for i := range texts {
		if texts[i], err = ours.Sign(map[string]any{"sub": fmt.Sprint("0198a1b2-user-", i), "sid": "01JQ5T7W9Z", "scp": []string{"read", "write"}}); err != nil {
			b.Fatal(err)
		}
		for range 2 {
			if _, err := cache.Verify(b.Context(), texts[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	if cache.Stats().Hits != cachedTokens {
		b.Fatalf("%d of %d tokens were remembered", cache.Stats().Hits, cachedTokens)
	}
	return cache, texts
}

func BenchmarkCacheHit(b *testing.B) {
	for b.Loop() {
		var all []*contender
		for _, algorithm := range []string{"ES256", "EdDSA", "RS256", "HS256"} {
			cache, texts := cached(b, algorithm)
			i, ctx := 0, b.Context()
			all = append(all, &contender{name: algorithm, run: func() {
				i++
				if v, err := cache.Verify(ctx, texts[i%cachedTokens]); err != nil || v.Subject() == "" {
					b.Fatal(err)
				}
			}})
		}
		all = append(all, &contender{name: "time.Now, for comparison", run: func() { time.Now() }})
		race(b, all)
		fmt.Printf("\nA hit, of %d tokens in turn: nanoseconds, fastest round · median; times ES256; bytes · allocations\n\n", cachedTokens)
		printHead("", "ns", "times ES256", "bytes · allocations")
		for _, c := range all {
			printRow(c.name, whole(c.fastest())+" · "+whole(c.median()), c.ratio(all[0]), whole(c.bytes)+" · "+whole(c.allocation))
		}
	}
}

// BenchmarkCacheCores is the throughput of hits with every core at work, by the wall clock, beside that of the same hash and
// clock with nothing shared: what the machine has to give.
func BenchmarkCacheCores(b *testing.B) {
	cache, texts := cached(b, "ES256")
	cores, ctx, seed := runtime.GOMAXPROCS(0), b.Context(), maphash.MakeSeed()
	verify := func(raw string) bool {
		_, err := cache.Verify(ctx, raw)
		return err == nil
	}
	bare := func(raw string) bool {
		return maphash.String(seed, raw[len(raw)-64:]) != 0 && time.Now().Unix() != 0
	}
	run := func(goroutines int, one func(string) bool) float64 { // calls a second
		const each = 20_000
		var all sync.WaitGroup
		start := time.Now()
		for g := range goroutines {
			all.Go(func() {
				for i := range each {
					if !one(texts[(i+g*cachedTokens/goroutines)%cachedTokens]) {
						b.Error("refused")
						return
					}
				}
			})
		}
		all.Wait()
		return float64(goroutines*each) / time.Since(start).Seconds()
	}
	for b.Loop() {
		fmt.Printf("\nMillion calls a second: at best on one core · on %d at once; their ratio, of the rounds and of the best\n\n", cores)
		printHead("", "one", "all", "ratio", "best")
		for _, row := range []struct {
			name string
			one  func(string) bool
		}{{"hits", verify}, {"the same hash and clock, nothing shared", bare}} {
			var ratios, one, many []float64
			for range rounds(b) {
				a, z := run(1, row.one), run(cores, row.one)
				one, many, ratios = append(one, a), append(many, z), append(ratios, z/a)
			}
			printRow(row.name, digits(slices.Max(one)/1e6), digits(slices.Max(many)/1e6), fmt.Sprintf("%s [%s–%s]", digits(percentile(ratios, 0.5)),
				digits(percentile(ratios, 0.1)), digits(percentile(ratios, 0.9))), digits(slices.Max(many)/slices.Max(one)))
		}
	}
}

// BenchmarkCacheScan is what a full cache gives the garbage collector to look through, and how much there is.
func BenchmarkCacheScan(b *testing.B) {
	for b.Loop() {
		all, err := peers.Libraries(newKey(b, "k", "HS256", 1), time.Now)
		if err != nil {
			b.Fatal(err)
		}
		ours := all[0].(*peers.Tokenjar)
		cache, err := token.NewCache(ours.Decoder)
		if err != nil {
			b.Fatal(err)
		}
		live, scanned := heap()
		const tokens = 30_000
		for i := range tokens {
			raw, err := ours.Sign(map[string]any{"sub": fmt.Sprint("user-", i)})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := cache.Verify(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
		liveAfter, scannedAfter := heap()
		fmt.Printf("\nA cache of %d tokens: %s bytes in all, %s a token, of which the collector scans %s\n", tokens,
			whole(liveAfter-live), whole((liveAfter-live)/tokens), whole(max(0, scannedAfter-scanned)))
		runtime.KeepAlive(cache)
	}
}

// heap returns how many bytes are live, and how many of them the collector scans.
func heap() (live, scanned float64) {
	runtime.GC()
	runtime.GC()
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}}
	metrics.Read(samples)
	return float64(samples[0].Value.Uint64()), float64(samples[1].Value.Uint64())
}
