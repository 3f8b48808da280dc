package proxy

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenjar/tokenjar"
)

func TestShares(t *testing.T) {
	for _, c := range []struct {
		places, perSession int
		want               share
	}{
		{DefaultMaxRequests, 0, share{128, 128, 256}},
		{DefaultMaxStreams, 0, share{128, 2500, 5000}},
		{100, 0, share{25, 25, 50}},
		{40, 0, share{16, 16, 20}},
		{16, 0, share{16, 16, 16}},
		{1, 0, share{1, 1, 1}},
		{512, 8, share{8, 128, 256}},
		{512, 200, share{200, 200, 256}},
		{512, 1000, share{512, 512, 256}},
	} {
		if got := newShare(c.places, c.perSession); got != c.want {
			t.Errorf("%d places, %d for a session: got %+v, want %+v", c.places, c.perSession, got, c.want)
		}
	}
}

func TestWhoHoldsAPlace(t *testing.T) {
	seeds := newSeeds()
	anonymous := func(address string) holder { return seeds.holder(tokenjar.Identity{}, address) }
	signedIn := func(session, user, address string) holder {
		return seeds.holder(tokenjar.Identity{SessionID: session, UserID: user}, address)
	}
	for _, c := range []struct {
		name string
		a, b holder
		same bool
	}{
		{"one address", anonymous("192.0.2.1"), anonymous("192.0.2.1"), true},
		{"two addresses", anonymous("192.0.2.1"), anonymous("192.0.2.2"), false},
		{"an address, and as it is written in IPv6", anonymous("192.0.2.1"), anonymous("::ffff:192.0.2.1"), true},
		{"two addresses written in IPv6", anonymous("::ffff:192.0.2.2"), anonymous("::ffff:192.0.2.1"), false},
		{"two addresses of one network", anonymous("2001:db8:1:2::1"), anonymous("2001:db8:1:2:ffff:1:2:3"), true},
		{"two networks", anonymous("2001:db8:1:2::1"), anonymous("2001:db8:1:3::1"), false},
		{"no address, but a name", anonymous("unix"), anonymous("unix"), true},
		{"two names", anonymous("a"), anonymous("b"), false},
		{"a session at two addresses", signedIn("s", "u", "192.0.2.1"), signedIn("s", "u", "192.0.2.2"), true},
		{"two sessions", signedIn("s", "u", ""), signedIn("t", "u", ""), false},
		{"a session whose name is an address", signedIn("192.0.2.1", "u", ""), anonymous("192.0.2.1"), false},
	} {
		if same := c.a.keys[0] == c.b.keys[0]; same != c.same {
			t.Errorf("%s: the same: %v", c.name, same)
		}
	}
	if a, b := signedIn("s", "u", ""), signedIn("t", "u", ""); a.keys[1] != b.keys[1] {
		t.Error("two sessions of one user are two users'")
	}
	if h := signedIn("x", "x", "x"); h.keys[0] == h.keys[1] || h.keys[0] == anonymous("x").keys[0] {
		t.Error("a user is taken for a session, or a session for an address")
	}
}

// held returns how many holders are counted.
func (p *places) held() (n int) {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += len(s.held)
		s.mu.Unlock()
	}
	return n
}

func TestNobodyHasMoreThanASharePlacesComeBackAndNobodyIsRemembered(t *testing.T) {
	p, most, seeds := newPlaces(60), share{session: 5, user: 8, address: 20}, newSeeds()
	var busy, limited, taken atomic.Int64
	var all, bySession [8]atomic.Int64
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			id := tokenjar.Identity{SessionID: fmt.Sprint(i), UserID: fmt.Sprint(i / 2)}
			if i >= 6 {
				id = tokenjar.Identity{} // two of one address
			}
			h := seeds.holder(id, "192.0.2.1")
			mine := 0
			for range 20_000 {
				if mine > 0 && rand.IntN(2) == 0 {
					all[i/2].Add(-1)
					bySession[i].Add(-1)
					mine--
					p.give(h)
					continue
				}
				switch err := p.take(h, most); err {
				case nil:
					mine++
					taken.Add(1)
					limit, own := map[bool]int64{true: int64(most.user), false: int64(most.address)}[h.session], int64(most.address)
					if h.session {
						own = int64(most.session)
					}
					if n := all[i/2].Add(1); n > limit {
						t.Errorf("a user or address has %d", n)
					}
					if n := bySession[i].Add(1); n > own {
						t.Errorf("a session has %d", n)
					}
				case errShare:
					limited.Add(1)
				default:
					busy.Add(1)
				}
			}
			for range mine {
				all[i/2].Add(-1)
				bySession[i].Add(-1)
				p.give(h)
			}
		})
	}
	clients.Wait()
	if len(p.slots) != 0 || p.held() != 0 {
		t.Errorf("%d places are taken, by %d holders", len(p.slots), p.held())
	}
	if taken.Load() == 0 || limited.Load() == 0 {
		t.Errorf("taken %d, limited %d, busy %d", taken.Load(), limited.Load(), busy.Load())
	}
}

// Who finds no place has not used up a share.
func TestWhoIsTurnedAwayHoldsNothing(t *testing.T) {
	p, seeds := newPlaces(2), newSeeds()
	most := share{session: 1, user: 1, address: 1}
	of := func(session, user string) holder {
		return seeds.holder(tokenjar.Identity{SessionID: session, UserID: user}, "")
	}
	ada, phone, eve, zoe := of("1", "ada"), of("2", "ada"), of("3", "eve"), of("4", "zoe")
	take := func(h holder, want error) {
		t.Helper()
		if err := p.take(h, most); err != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	take(ada, nil)
	for range 3 {
		take(ada, errShare)
		take(phone, errShare)
	}
	take(eve, nil)
	for range 3 {
		take(zoe, errBusy)
		take(phone, errBusy)
	}
	p.give(ada)
	p.give(eve)
	for range 3 {
		for _, h := range []holder{phone, zoe} {
			take(h, nil)
			p.give(h)
		}
	}
	if p.held() != 0 {
		t.Errorf("%d are remembered", p.held())
	}
}

// What a request pays for its place.
func BenchmarkPlace(b *testing.B) {
	seeds := newSeeds()
	b.Run("without shares", func(b *testing.B) {
		s := make(slots, DefaultMaxRequests)
		for b.Loop() {
			s.take()
			<-s
		}
	})
	for name, id := range map[string]tokenjar.Identity{
		"session": {SessionID: "0198a3f0c2b47c5e9d3e6a1f", UserID: "0198a3f0c2b47c5e"}, "address": {},
	} {
		b.Run(name, func(b *testing.B) {
			p, most := newPlaces(DefaultMaxRequests), newShare(DefaultMaxRequests, 0)
			b.ReportAllocs()
			for b.Loop() {
				h := seeds.holder(id, "2001:db8:1:2::1")
				if err := p.take(h, most); err != nil {
					b.Fatal(err)
				}
				p.give(h)
			}
		})
	}
}
