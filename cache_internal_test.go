package tokenjar

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The memory behind the cache of verified tokens. What it is for is tested in cache_test.go.

func newTestCache() *tokenCache { return &tokenCache{seed: maphash.MakeSeed()} }

// recordOf is a record all of whose parts tell its number.
func recordOf(n, size int) record {
	return record{
		session: uint64(n), expires: int64(n) + 1, authTime: int64(n) + 2, generation: int64(n) + 3, notBefore: int64(n) - 1,
		token:  fmt.Sprintf("head%d.payload%d.%s", n, n, strings.Repeat("x", size)+fmt.Sprint(n)),
		userID: fmt.Sprintf("user-%d", n), sid: fmt.Sprintf("session-%d", n),
	}
}

func checkEntry(t interface {
	Helper()
	Fatalf(string, ...any)
}, e entry, n int, r record) {
	t.Helper()
	id := e.identity()
	if e.session() != r.session || e.token() != r.token || id.UserID != r.userID || id.SessionID != r.sid || id.Generation != r.generation ||
		id.ExpiresAt.Unix() != r.expires || id.AuthTime.Unix() != r.authTime || id.payload != fmt.Sprintf("payload%d", n) ||
		e.validAt(time.Unix(r.notBefore-1, 0)) || !e.validAt(time.Unix(r.notBefore, 0)) || !e.validAt(time.Unix(r.expires-1, 999)) || e.validAt(time.Unix(r.expires, 0)) {
		t.Fatalf("entry %d: got %+v, want %+v", n, id, r)
	}
}

func TestTheCacheIsBoundedAndTheOldestGoFirst(t *testing.T) {
	c := newTestCache()
	const total = 3 * maxChunks * chunkSize / 600 // three times what fits
	for n := range total {
		r := recordOf(n, 500)
		c.add(1, r)
		checkEntry(t, c.find(1, r.token), n, r)
	}
	s := c.shelf.Load()
	chunks, entries := 0, 0
	for i := range s.chunks {
		if ch := s.chunks[i].Load(); ch != nil {
			chunks++
			entries += ch.count
		}
	}
	if chunks > maxChunks || entries != s.entries || len(*s.slots.Load()) > maxSlots || s.newest <= maxChunks {
		t.Fatalf("%d chunks with %d entries, counted %d, %d slots, newest %d", chunks, entries, s.entries, len(*s.slots.Load()), s.newest)
	}
	found := 0
	for n := range total {
		r := recordOf(n, 500)
		if e := c.find(1, r.token); e.found() {
			checkEntry(t, e, n, r)
			found++
			if n < total-entries {
				t.Fatalf("token %d is found, although its chunk has gone", n)
			}
		}
	}
	if found < entries*98/100 {
		t.Errorf("%d of %d entries are found", found, entries)
	}
	c.expire(time.Unix(total+2, 0))
	if c.shelf.Load() != nil {
		t.Error("everything has expired, and something is kept")
	}
}

func TestSlotsLeadOnlyIntoChunksThatAreThere(t *testing.T) {
	c := newTestCache()
	for n := range 4 * maxChunks {
		c.add(1, recordOf(n, 3000)) // three a chunk, and some of four
	}
	s := c.shelf.Load()
	for i := range *s.slots.Load() {
		slot := (*s.slots.Load())[i].Load()
		if slot == 0 {
			continue
		}
		number := slot >> placeBits & numberMask
		if ch := s.chunks[number%maxChunks].Load(); ch == nil || ch.number != number {
			t.Fatalf("slot %d leads to chunk %d, which is not there", i, number)
		}
	}
}

func TestTheNumberOfAChunkMayComeRoundAgain(t *testing.T) {
	c := newTestCache()
	c.add(1, recordOf(0, 10))
	s := c.shelf.Load()
	s.drop(s.newest%maxChunks, c.seed)
	s.newest = 2*(1<<numberBits) - 3
	for n := range 400 {
		r := recordOf(n, 3000)
		c.add(1, r)
		checkEntry(t, c.find(1, r.token), n, r)
	}
}

func TestWhatDoesNotFitIsNotRemembered(t *testing.T) {
	c := newTestCache()
	for n, r := range []record{recordOf(1, maxCached), {token: "a.b.c", userID: strings.Repeat("u", chunkSize)}} {
		c.add(1, r)
		if c.find(1, r.token).found() {
			t.Errorf("%d: found", n)
		}
	}
	if c.find(1, "").found() || c.find(1, "a").found() {
		t.Error("an empty cache finds something")
	}
}

func TestTheCacheAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newTestCache()
		model := map[int]uint64{} // epoch by number
		epoch := uint64(1)
		sizes := map[int]int{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := rapid.IntRange(0, 300).Draw(t, "n")
				if _, ok := sizes[n]; !ok {
					sizes[n] = rapid.SampledFrom([]int{0, 1, 7, 8, 400, 3900}).Draw(t, "size")
				}
				c.add(epoch, recordOf(n, sizes[n]))
				model[n] = epoch
			},
			"add with a ring that has been replaced": func(t *rapid.T) {
				if epoch > 1 {
					c.add(epoch-1, recordOf(1000, 5))
					if c.find(epoch, recordOf(1000, 5).token).found() {
						t.Fatal("found")
					}
				}
			},
			"swap": func(t *rapid.T) { epoch++ },
			"expire": func(t *rapid.T) {
				at := rapid.IntRange(0, 400).Draw(t, "at")
				c.expire(time.Unix(int64(at), 0))
				for n := range model {
					if n+1 <= at {
						delete(model, n) // may be gone
					}
				}
			},
			"": func(t *rapid.T) {
				for n := range 301 {
					r := recordOf(n, sizes[n])
					e := c.find(epoch, r.token)
					if _, ok := sizes[n]; ok && e.found() {
						checkEntry(t, e, n, r)
					}
					if model[n] == epoch && !e.found() {
						t.Fatalf("%d is not found", n)
					}
					if _, ever := sizes[n]; !ever && e.found() {
						t.Fatalf("%d was never added", n)
					}
				}
			},
		})
	})
}

// Readers hold no lock while chunks are dropped and tables grow under them.
func TestReadersAndWritersOfTheCacheInParallel(t *testing.T) {
	c := newTestCache()
	const numbers = 20_000
	var wg sync.WaitGroup
	for writer := range 2 {
		wg.Go(func() {
			for i := range 15_000 {
				n := rand.IntN(numbers)
				c.add(uint64(1+i/10_000), recordOf(n, 900))
				if i%5000 == 4999 && writer == 0 {
					c.expire(time.Unix(numbers/2, 0))
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for i := range 60_000 {
				n := rand.IntN(numbers)
				r := recordOf(n, 900)
				if e := c.find(uint64(1+i%2), r.token); e.found() {
					checkEntry(t, e, n, r)
				}
			}
		})
	}
	wg.Wait()
}

func TestTheFilterNeverHidesARevocation(t *testing.T) {
	var r revocations
	r.init(maphash.MakeSeed())
	seed := r.seed
	name := func(n int) (uint64, string) {
		id := fmt.Sprintf("session-%d", n)
		return maphash.String(seed, id), id
	}
	const revoked = 100_000
	now := time.Unix(1_000_000, 0)
	for n := range revoked {
		_, id := name(n)
		r.add(id, ReasonLogout, now.Add(time.Duration(n%2)*time.Hour))
	}
	falsely := 0
	for n := range 2 * revoked {
		hash, id := name(n)
		if _, told := r.reason(hash, id); told != (n < revoked) {
			t.Fatalf("session %d: %v", n, told)
		}
		if n >= revoked && r.filter.Load().mayHold(hash) {
			falsely++
		}
	}
	if falsely > revoked/300 {
		t.Errorf("%d of %d sessions that were not revoked take the lock", falsely, revoked)
	}
	r.forget(now.Add(time.Minute))
	for n := range revoked {
		hash, id := name(n)
		if _, told := r.reason(hash, id); told != (n%2 == 1) {
			t.Fatalf("after half was forgotten, session %d: %v", n, told)
		}
	}
	r.forget(now.Add(2 * time.Hour))
	if r.filter.Load() != nil || r.count() != 0 {
		t.Error("nothing is revoked, and there is a filter")
	}
}
