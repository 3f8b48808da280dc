package tokencache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// The memory itself. What it is for is tested where it is used: package token, and the root package.

// recordOf is a record all of whose parts tell its number.
func recordOf(n, size int) Record {
	return Record{
		Expires: int64(n) + 1, NotBefore: int64(n) - 1, Memo: fmt.Sprintf("memo-%d", n),
		Token: fmt.Sprintf("head%d.payload%d.%s", n, n, strings.Repeat("x", size)+fmt.Sprint(n)),
	}
}

func checkEntry(t interface {
	Helper()
	Fatalf(string, ...any)
}, e Entry, n int, r Record) {
	t.Helper()
	if e.Token() != r.Token || e.Memo() != r.Memo || e.Expires() != r.Expires || e.NotBefore() != r.NotBefore ||
		e.ValidAt(time.Unix(r.NotBefore-1, 999)) || !e.ValidAt(time.Unix(r.NotBefore, 0)) || !e.ValidAt(time.Unix(r.Expires-1, 999)) || e.ValidAt(time.Unix(r.Expires, 0)) {
		t.Fatalf("entry %d: got %q %q %d %d, want %+v", n, e.Token(), e.Memo(), e.Expires(), e.NotBefore(), r)
	}
}

func TestTheCacheIsBoundedAndTheOldestGoFirst(t *testing.T) {
	c := New()
	const total = 3 * maxChunks * chunkSize / 600 // three times what fits
	for n := range total {
		r := recordOf(n, 500)
		c.Add(1, r)
		checkEntry(t, c.Find(1, r.Token), n, r)
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
		if e := c.Find(1, r.Token); e.Found() {
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
	c.Expire(time.Unix(total+2, 0))
	if c.shelf.Load() != nil {
		t.Error("everything has expired, and something is kept")
	}
}

func TestSlotsLeadOnlyIntoChunksThatAreThere(t *testing.T) {
	c := New()
	for n := range 4 * maxChunks {
		c.Add(1, recordOf(n, 3000)) // three a chunk, and some of four
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
	c := New()
	c.Add(1, recordOf(0, 10))
	s := c.shelf.Load()
	s.drop(s.newest%maxChunks, c.seed)
	s.newest = 2*(1<<numberBits) - 3
	for n := range 400 {
		r := recordOf(n, 3000)
		c.Add(1, r)
		checkEntry(t, c.Find(1, r.Token), n, r)
	}
}

func TestWhatDoesNotFitIsNotRemembered(t *testing.T) {
	c := New()
	for n, r := range []Record{recordOf(1, MaxToken), {Token: "a.b.c", Memo: strings.Repeat("m", chunkSize)}} {
		c.Add(1, r)
		if c.Find(1, r.Token).Found() {
			t.Errorf("%d: found", n)
		}
	}
	if c.Find(1, "").Found() || c.Find(1, "a").Found() {
		t.Error("an empty cache finds something")
	}
}

func TestTheCacheAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New()
		model := map[int]uint64{} // epoch by number
		epoch := uint64(1)
		sizes := map[int]int{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := rapid.IntRange(0, 300).Draw(t, "n")
				if _, ok := sizes[n]; !ok {
					sizes[n] = rapid.SampledFrom([]int{0, 1, 7, 8, 400, 3900}).Draw(t, "size")
				}
				c.Add(epoch, recordOf(n, sizes[n]))
				model[n] = epoch
			},
			"add with a ring that has been replaced": func(t *rapid.T) {
				if epoch > 1 {
					c.Add(epoch-1, recordOf(1000, 5))
					if c.Find(epoch, recordOf(1000, 5).Token).Found() {
						t.Fatal("found")
					}
				}
			},
			"swap": func(t *rapid.T) { epoch++ },
			"expire": func(t *rapid.T) {
				at := rapid.IntRange(0, 400).Draw(t, "at")
				c.Expire(time.Unix(int64(at), 0))
				for n := range model {
					if n+1 <= at {
						delete(model, n) // may be gone
					}
				}
			},
			"": func(t *rapid.T) {
				for n := range 301 {
					r := recordOf(n, sizes[n])
					e := c.Find(epoch, r.Token)
					if _, ok := sizes[n]; ok && e.Found() {
						checkEntry(t, e, n, r)
					}
					if model[n] == epoch && !e.Found() {
						t.Fatalf("%d is not found", n)
					}
					if _, ever := sizes[n]; !ever && e.Found() {
						t.Fatalf("%d was never added", n)
					}
				}
			},
		})
	})
}

// Readers hold no lock while chunks are dropped and tables grow under them.
func TestReadersAndWritersOfTheCacheInParallel(t *testing.T) {
	c := New()
	const numbers = 20_000
	var wg sync.WaitGroup
	for writer := range 2 {
		wg.Go(func() {
			for i := range 15_000 {
				n := rand.IntN(numbers)
				c.Add(uint64(1+i/10_000), recordOf(n, 900))
				if i%5000 == 4999 && writer == 0 {
					c.Expire(time.Unix(numbers/2, 0))
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for i := range 60_000 {
				n := rand.IntN(numbers)
				r := recordOf(n, 900)
				if e := c.Find(uint64(1+i%2), r.Token); e.Found() {
					checkEntry(t, e, n, r)
				}
			}
		})
	}
	wg.Wait()
}

func TestLookingCostsNoAllocationAndWritesNothing(t *testing.T) {
	c := New()
	r := recordOf(1, 300)
	forged := "x" + r.Token[1:] // the end is that of a good one
	if n := testing.AllocsPerRun(100, func() {
		if c.Find(1, r.Token).Found() {
			t.Fatal("found before it was added")
		}
	}); n != 0 {
		t.Errorf("an empty cache: %v allocations", n)
	}
	c.Add(1, r)
	if n := testing.AllocsPerRun(100, func() {
		if e := c.Find(1, r.Token); !e.Found() || e.Memo() != r.Memo || !e.ValidAt(time.Unix(1, 0)) {
			t.Fatal("not found")
		}
		if c.Find(1, forged).Found() || c.Find(2, r.Token).Found() {
			t.Fatal("found under another text or epoch")
		}
	}); n != 0 {
		t.Errorf("a hit and two misses: %v allocations", n)
	}
	if entries := c.shelf.Load().entries; entries != 1 {
		t.Errorf("%d entries after looking", entries)
	}
}

func TestForgottenAndCounted(t *testing.T) {
	c := New()
	c.Add(1, Record{Token: "a.b.c", Expires: 5})
	if e := c.Find(1, "a.b.c"); !e.Found() || e.Memo() != "" {
		t.Fatal("a record without a memo is not found")
	}
	c.Forget()
	if c.Find(1, "a.b.c").Found() {
		t.Error("found after it was forgotten")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				c.Hit()
			}
		})
	}
	all.Wait()
	c.Miss()
	if hits, misses := c.Counts(); hits != 8000 || misses != 1 {
		t.Errorf("%d hits, %d misses", hits, misses)
	}
}

// The caller's bytes may change once Add has returned.
func TestWhatIsRememberedIsACopy(t *testing.T) {
	c := New()
	text, memo := []byte("head.payload.signature"), []byte("memo")
	c.Add(1, Record{Token: unsafe.String(&text[0], len(text)), Memo: unsafe.String(&memo[0], len(memo)), Expires: 5})
	kept := string(text)
	clear(text)
	clear(memo)
	if e := c.Find(1, kept); !e.Found() || e.Memo() != "memo" {
		t.Error("the cache shares memory with its caller")
	}
}

// A token that is displaced although there is room costs a signature at every look, and displaces another one.
func TestWhereThereIsRoomTokensStay(t *testing.T) {
	for _, tokens := range []int{100, 1000, 20_000} {
		c := New()
		text := func(i int) string { return fmt.Sprintf("header.payload.%032x%032x", i, i*7919) }
		for i := range tokens {
			c.Add(1, Record{Token: text(i), Expires: 5})
		}
		lost := 0
		for i := range tokens {
			if !c.Find(1, text(i)).Found() {
				lost++
			}
		}
		if lost > max(3, tokens/500) {
			t.Errorf("of %d tokens %d are not found", tokens, lost)
		}
	}
}
