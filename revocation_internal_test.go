package tokenjar

import (
	"fmt"
	"hash/maphash"
	"testing"
	"time"
)

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
