package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/ratelimit"
)

// A clock without a monotonic part, which tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newLogins(t testing.TB, c *clock, change ...func(*ratelimit.Config)) *ratelimit.Logins {
	t.Helper()
	cfg := ratelimit.Config{Now: c.now}
	for _, f := range change {
		f(&cfg)
	}
	l, err := ratelimit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tries counts how many of n tries are allowed, and returns how long the last refusal says to wait.
func tries(t testing.TB, n int, limit string, allow func() error) (allowed int, wait time.Duration) {
	t.Helper()
	for range n {
		err := allow()
		if err == nil {
			allowed++
			continue
		}
		var limited *tokenjar.RateLimitError
		if !errors.As(err, &limited) || limited.Limit != limit || limited.RetryAfter <= 0 {
			t.Fatalf("refusal: got %#v, want the limit %q and a time", err, limit)
		}
		wait = limited.RetryAfter
	}
	return allowed, wait
}

func account(l *ratelimit.Logins, key string) func() error {
	return func() error { return l.AllowAccount(context.Background(), key) }
}

func address(l *ratelimit.Logins, ip string) func() error {
	return func() error { return l.AllowAddress(context.Background(), ip) }
}

func TestBurstThenOneTryForEachRefill(t *testing.T) {
	for _, row := range []struct {
		limit string
		allow func(*ratelimit.Logins) func() error
		burst int
		every time.Duration
	}{
		{"account", func(l *ratelimit.Logins) func() error { return account(l, "user 1") }, 5, 12 * time.Second},
		{"address", func(l *ratelimit.Logins) func() error { return address(l, "192.0.2.1") }, 30, 2 * time.Second},
	} {
		c := newClock()
		allow := row.allow(newLogins(t, c))
		got, wait := tries(t, 1000, row.limit, allow)
		if got != row.burst || wait != row.every {
			t.Errorf("%s, at once: got %d and then one in %s, want %d and %s", row.limit, got, wait, row.burst, row.every)
		}
		// However hard it is tried meanwhile, each refill lets one pass, at the moment that was told and not before.
		for range 50 {
			c.advance(row.every - time.Nanosecond)
			if got, wait := tries(t, 10, row.limit, allow); got != 0 || wait != time.Nanosecond {
				t.Fatalf("%s, just before the refill: got %d, next in %s", row.limit, got, wait)
			}
			c.advance(time.Nanosecond)
			if got, _ := tries(t, 10, row.limit, allow); got != 1 {
				t.Fatalf("%s, at the refill: got %d, want 1", row.limit, got)
			}
		}
		c.advance(time.Minute)
		if got, _ := tries(t, 1000, row.limit, allow); got != row.burst {
			t.Errorf("%s, rested for a minute: got %d, want %d", row.limit, got, row.burst)
		}
		c.advance(1000 * time.Hour)
		if got, _ := tries(t, 1000, row.limit, allow); got != row.burst {
			t.Errorf("%s, rested for long: got %d, want %d: nothing is saved up", row.limit, got, row.burst)
		}
	}
}

func TestRatesAreThoseOfTheConfiguration(t *testing.T) {
	for _, s := range []string{"1/s", "1/d", "7/m", "100/h", "3/s", "10000/s"} {
		r, err := ratelimit.ParseRate(s)
		if err != nil {
			t.Fatal(err)
		}
		c := newClock()
		l := newLogins(t, c, func(cfg *ratelimit.Config) { cfg.PerAccount = r })
		if got, wait := tries(t, r.Burst+1, "account", account(l, "a")); got != r.Burst || wait != r.Per/time.Duration(r.Burst) {
			t.Errorf("%s: got %d at once, the next in %s", s, got, wait)
		}
		c.advance(r.Per)
		if got, _ := tries(t, r.Burst+1, "account", account(l, "a")); got != r.Burst {
			t.Errorf("%s, after its time: got %d", s, got)
		}
	}
}

// stuffing plays the road of a login, address first: 10,000 accounts in a minute, one try each.
func stuffing(t *testing.T, addresses int) (passed, most int) {
	t.Helper()
	c := newClock()
	l := newLogins(t, c)
	perAddress := make(map[int]int)
	for i := range 10_000 {
		from := i % addresses
		if l.AllowAddress(t.Context(), fmt.Sprintf("198.51.%d.%d", from/250, from%250)) == nil &&
			l.AllowAccount(t.Context(), fmt.Sprint("user ", i)) == nil {
			passed++
			perAddress[from]++
		}
		c.advance(6 * time.Millisecond)
	}
	for _, n := range perAddress {
		most = max(most, n)
	}
	return passed, most
}

func TestCredentialStuffing(t *testing.T) {
	t.Run("L-05 one address: its rate and no more", func(t *testing.T) {
		if passed, _ := stuffing(t, 1); passed != 30+29 {
			t.Errorf("in a minute: got %d, want %d", passed, 30+29)
		}
	})
	t.Run("L-05 ten addresses: ten times as much", func(t *testing.T) {
		if passed, most := stuffing(t, 10); passed > 10*most || most != 30+29 {
			t.Errorf("in a minute: got %d, and %d by one address, want %d", passed, most, 30+29)
		}
	})
	t.Run("L-05 500 addresses: 20 tries of each are within its rate, so what bounds them is the hash slots", func(t *testing.T) {
		if passed, most := stuffing(t, 500); passed != 10_000 || most != 20 {
			t.Errorf("in a minute: got %d, and %d by one address: some are mistaken for others", passed, most)
		}
	})
	t.Run("L-05 one account from 500 addresses: the account's rate", func(t *testing.T) {
		c := newClock()
		l := newLogins(t, c)
		passed := 0
		for second := range 600 {
			for i := range 20 {
				if l.AllowAddress(t.Context(), fmt.Sprintf("198.51.100.%d", (second*20+i)%250)) == nil &&
					l.AllowAccount(t.Context(), "user victim") == nil {
					passed++
				}
			}
			c.advance(time.Second)
		}
		if want := 5 + 599/12; passed != want {
			t.Errorf("in ten minutes: got %d, want %d", passed, want)
		}
	})
}

func TestAccountsAndAddressesAreCountedApart(t *testing.T) {
	t.Run("L-07 one key is one count, and another key another", func(t *testing.T) {
		l := newLogins(t, newClock())
		tries(t, 5, "account", account(l, "user 1"))
		if got, _ := tries(t, 1, "account", account(l, "user 1")); got != 0 {
			t.Error("the same account has a second count")
		}
		for _, key := range []string{"user 2", "user 11", "name 1", "user 1 ", ""} {
			if got, _ := tries(t, 9, "account", account(l, key)); got != 5 {
				t.Errorf("%q: got %d, want 5 of its own", key, got)
			}
		}
	})
	t.Run("a key that reads like an address is counted apart from it", func(t *testing.T) {
		l := newLogins(t, newClock())
		tries(t, 5, "account", account(l, "192.0.2.1"))
		if got, _ := tries(t, 40, "address", address(l, "192.0.2.1")); got != 30 {
			t.Errorf("got %d, want 30", got)
		}
	})
	t.Run("L-06 L-09 tries that succeed count, and other accounts' tries give nothing back", func(t *testing.T) {
		l := newLogins(t, newClock())
		victim, own := account(l, "user victim"), account(l, "user own")
		passed := 0
		for range 100 { // the attacker signs in to an account of his own in between
			if own(); victim() == nil {
				passed++
			}
		}
		if passed != 5 {
			t.Errorf("got %d, want 5", passed)
		}
	})
	t.Run("L-09 a restart forgets, as documented", func(t *testing.T) {
		c := newClock()
		tries(t, 9, "account", account(newLogins(t, c), "user 1"))
		if got, _ := tries(t, 9, "account", account(newLogins(t, c), "user 1")); got != 5 {
			t.Errorf("got %d, want 5", got)
		}
	})
}

func TestAddressSpellings(t *testing.T) {
	for _, row := range []struct {
		name  string
		used  []string
		other string // has a count of its own
	}{
		{"L-10 IPv4, also mapped into IPv6", []string{"192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:0201", "::ffff:192.0.2.1%eth0", "0:0:0:0:0:ffff:192.0.2.1"}, "192.0.2.2"},
		{"L-10 IPv6 in every spelling, with a zone", []string{"2001:db8::1", "2001:DB8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8:0::1%eth0"}, "2001:db8:0:1::1"},
		{"L-10 IPv6 of one network of 64 bits", []string{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2:3:4:5:6"}, "2001:db8:1:3::1"},
		{"L-10 link-local, whatever the zone", []string{"fe80::1", "fe80::2%eth0", "fe80::3%eth1"}, "fe80:0:0:1::1"},
		{"text that is no address is one address", []string{"", "unknown", "@", "192.0.2.1:80", "[2001:db8::1]", "192.0.2.01", "1.2.3", "192.0.2.1 ", "\x00"}, "192.0.2.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLogins(t, newClock())
			passed := 0
			for i := range 60 {
				got, _ := tries(t, 1, "address", address(l, row.used[i%len(row.used)]))
				passed += got
			}
			if passed != 30 {
				t.Errorf("by all spellings: got %d, want 30", passed)
			}
			if got, _ := tries(t, 60, "address", address(l, row.other)); got != 30 {
				t.Errorf("%s: got %d, want 30 of its own", row.other, got)
			}
		})
	}
	t.Run("L-10 ten thousand addresses of one network are one", func(t *testing.T) {
		l := newLogins(t, newClock())
		passed := 0
		for range 10_000 {
			if l.AllowAddress(t.Context(), fmt.Sprintf("2001:db8::%x:%x", rand.IntN(1<<16), rand.IntN(1<<16))) == nil {
				passed++
			}
		}
		if passed != 30 {
			t.Errorf("got %d, want 30", passed)
		}
	})
}

func small(cfg *ratelimit.Config) { cfg.MaxKeys = 1000 }

func TestFloodOfKeysResetsNobody(t *testing.T) {
	c := newClock()
	l := newLogins(t, c, small)
	victim := account(l, "user victim")
	tries(t, 5, "account", victim)
	for i := range 20_000 { // twenty times what it is made for
		l.AllowAccount(t.Context(), fmt.Sprint("name ", i))
	}
	if got, _ := tries(t, 10, "account", victim); got != 0 {
		t.Fatalf("after the flood: got %d tries, want none", got)
	}
	c.advance(12*time.Second - 1)
	if got, _ := tries(t, 10, "account", victim); got != 0 {
		t.Errorf("before the refill: got %d tries, want none", got)
	}
	// It passes by itself, for the victim and for everybody.
	c.advance(time.Minute)
	for _, key := range []string{"user victim", "user stranger"} {
		if got, _ := tries(t, 10, "account", account(l, key)); got != 5 {
			t.Errorf("%s, a minute after the flood: got %d, want 5", key, got)
		}
	}
}

func TestFloodOfKeysHarmsFewStrangers(t *testing.T) {
	for _, row := range []struct {
		usedUp, most int // of 2,000 strangers
	}{
		{4096, 120}, // as many as there is room for: 1 in 40 is expected
		{410, 2},    // next to nobody
	} {
		l := newLogins(t, newClock(), func(cfg *ratelimit.Config) { cfg.MaxKeys = 4096 })
		for i := range row.usedUp {
			for range 5 {
				l.AllowAccount(t.Context(), fmt.Sprint("name ", i))
			}
		}
		turnedAway := 0
		for i := range 2000 {
			if l.AllowAccount(t.Context(), fmt.Sprint("stranger ", i)) != nil {
				turnedAway++
			}
		}
		if turnedAway > row.most {
			t.Errorf("%d accounts used up: %d of 2,000 strangers were turned away, want %d at most", row.usedUp, turnedAway, row.most)
		}
	}
}

func TestMemoryDoesNotGrowWithTheKeys(t *testing.T) {
	l := newLogins(t, newClock())
	use := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := use()
	for i := range 20_000 {
		l.AllowAccount(t.Context(), fmt.Sprint("name ", i))
	}
	if after := use(); after > before+1<<18 {
		t.Errorf("heap: got %d bytes, %d before", after, before)
	}
	runtime.KeepAlive(l)
}

// The model counts each key alone. The limiter may be stricter, when keys are mistaken for each other, and never laxer.
func TestNoStoryGivesATryTooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		room := rapid.SampledFrom([]int{1, 3, 4096}).Draw(t, "MaxKeys")
		l, err := ratelimit.New(ratelimit.Config{Now: c.now, MaxKeys: room})
		if err != nil {
			t.Fatal(err)
		}
		const every, burst = 12 * time.Second, 5
		full := make(map[int]time.Time) // when the key will have all its tries again
		steady := c.now()               // the clock without its steps back
		for range rapid.IntRange(10, 200).Draw(t, "tries") {
			d := rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, every - 1, every, time.Minute, -time.Hour, -time.Second}).Draw(t, "later")
			c.advance(d)
			steady = steady.Add(max(d, 0))
			key := rapid.IntRange(0, 6).Draw(t, "key")
			from := full[key]
			if from.Before(steady) {
				from = steady
			}
			next := from.Add(every)
			may := !next.After(steady.Add(burst * every))
			if l.AllowAccount(t.Context(), fmt.Sprint(key)) != nil {
				if may && room > 1000 {
					t.Fatalf("key %d was refused although there is room for all keys", key)
				}
				continue
			}
			if !may {
				t.Fatalf("key %d was allowed although it has used up its rate", key)
			}
			full[key] = next
		}
	})
}

func TestClockSteps(t *testing.T) {
	t.Run("back: nobody is locked out, and nobody is let through", func(t *testing.T) {
		c := newClock()
		l := newLogins(t, c)
		used, fresh := account(l, "used"), account(l, "fresh")
		tries(t, 5, "account", used)
		c.advance(-24 * time.Hour)
		if got, wait := tries(t, 9, "account", used); got != 0 || wait != 12*time.Second {
			t.Errorf("used up: got %d, the next in %s, want none and 12s", got, wait)
		}
		if got, _ := tries(t, 9, "account", fresh); got != 5 {
			t.Errorf("another: got %d, want 5", got)
		}
		c.advance(12 * time.Second)
		if got, _ := tries(t, 9, "account", used); got != 1 {
			t.Errorf("used up, at the refill: got %d, want 1", got)
		}
	})
	t.Run("back again and again: time goes on by what is counted in between", func(t *testing.T) {
		c := newClock()
		l := newLogins(t, c)
		tries(t, 5, "account", account(l, "used"))
		passed := 0
		for range 120 {
			c.advance(time.Second)
			got, _ := tries(t, 1, "account", account(l, "used"))
			passed += got
			c.advance(-time.Hour)
			tries(t, 1, "address", address(l, "192.0.2.1"))
			got, _ = tries(t, 1, "account", account(l, "used"))
			passed += got
		}
		if passed != 10 {
			t.Errorf("in two minutes: got %d, want 10", passed)
		}
	})
	t.Run("before 1970 and far in the future", func(t *testing.T) {
		for _, at := range []time.Time{{}, time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)} {
			c := &clock{t: at}
			l := newLogins(t, c)
			if got, wait := tries(t, 9, "account", account(l, "a")); got != 5 || wait != 12*time.Second {
				t.Errorf("%s: got %d, the next in %s", at, got, wait)
			}
		}
	})
}

func TestParallelTriesAreCountedExactly(t *testing.T) {
	at := newClock().now()
	l, err := ratelimit.New(ratelimit.Config{Now: func() time.Time {
		runtime.Gosched() // in the middle of a count, somebody else's turn
		return at
	}})
	if err != nil {
		t.Fatal(err)
	}
	var accounts, addresses atomic.Int64
	count := func(n *atomic.Int64, err error) {
		if err == nil {
			n.Add(1)
		} else if !errors.As(err, new(*tokenjar.RateLimitError)) {
			t.Errorf("refusal: got %v", err)
		}
	}
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			<-begin
			for range 10 {
				count(&accounts, l.AllowAccount(t.Context(), "user 1"))
				count(&addresses, l.AllowAddress(t.Context(), "192.0.2.1"))
			}
		})
	}
	close(begin)
	wg.Wait()
	if accounts.Load() != 5 || addresses.Load() != 30 {
		t.Errorf("got %d and %d, want 5 and 30", accounts.Load(), addresses.Load())
	}
}

func TestTryWhoseCallerHasGoneCounts(t *testing.T) {
	l := newLogins(t, newClock())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 {
		if err := l.AllowAccount(gone, "user 1"); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := tries(t, 1, "account", account(l, "user 1")); got != 0 {
		t.Error("hanging up gives tries back")
	}
}

func BenchmarkAllowAccount(b *testing.B) {
	l := newLogins(b, newClock())
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprint("user ", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l.AllowAccount(context.Background(), keys[i&(1<<16-1)])
		i++
	}
}
