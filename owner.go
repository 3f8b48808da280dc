package tokenjar

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/tokenjar/tokenjar/internal/tokencache"
)

// tokenOwners remembers of refresh tokens whose they are, so that a page's refresh cookie need not be verified at each
// request only to find that it is of the same user as the access cookie. That never changes: a text that verified for
// one user verifies for that user or for nobody, whatever happens to keys, clocks and sessions, and of nobody's the
// request has nothing to fear. So it keeps a hash of its end, where the MAC is, and of the user, and no token. Two genuine
// texts of one hash, 1 in 2⁶³ under a seed that nobody knows, would let a stray refresh cookie of another user pass
// unnoticed, and no more: it decides nothing else.
type tokenOwners struct {
	seed  maphash.Seed
	table []atomic.Uint64
}

const ownerSlots = 1 << 15

func (o *tokenOwners) init() {
	o.seed = maphash.MakeSeed()
	o.table = make([]atomic.Uint64, ownerSlots)
}

func (o *tokenOwners) slot(raw, userID string) (*atomic.Uint64, uint64) {
	h := tokencache.HashTail(o.seed, raw)
	return &o.table[h%ownerSlots], (h ^ maphash.String(o.seed, userID)) | 1
}

func (o *tokenOwners) note(raw, userID string) {
	slot, h := o.slot(raw, userID)
	if slot.Load() != h {
		slot.Store(h)
	}
}

// known reports whether a refresh token has verified for that user before.
func (o *tokenOwners) known(raw, userID string) bool {
	slot, h := o.slot(raw, userID)
	return slot.Load() == h
}
