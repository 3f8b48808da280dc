package token

import (
	"errors"
	"sync/atomic"
)

// A LiveRing is a ring that a program replaces while it is in use, which is what rotation is: publish the next key, sign
// with it, let the old one verify until its last token is dead, take it away.
//
//	next, err := token.NewRing(newKey, oldKey.Public())
//	...
//	err = live.Replace(next)
//
// Encoders, decoders and caches that were given a LiveRing follow it from their next call on. Each call sees one ring as
// a whole. It is safe for concurrent use; [NewLiveRing] makes one. The zero LiveRing has no key: it verifies nothing and
// signs nothing.
type LiveRing struct {
	state atomic.Pointer[liveState] // ring and epoch are swapped together, or a cache could pair the old with the new
}

type liveState struct {
	ring  *Ring
	epoch uint64
}

var _ EpochKeySet = (*LiveRing)(nil)

var errNoRing = errors.New("token: a live ring needs a *Ring, made with NewRing")

// NewLiveRing makes a live ring that begins with ring. A nil or zero ring is an error.
func NewLiveRing(ring *Ring) (*LiveRing, error) {
	l := new(LiveRing)
	if err := l.Replace(ring); err != nil {
		return nil, err
	}
	return l, nil
}

// Replace puts ring in the place of the one in use. When it has returned, no call that begins then sees the old one, and
// no [Cache] has anything left of it: a key that is not in the new ring takes its tokens along at once. The caller sees to
// it that a key was published before it signs and verifies for as long as its tokens live.
//
// A nil or zero ring is an error, and leaves the ring in use where it is.
func (l *LiveRing) Replace(ring *Ring) error {
	if ring == nil || len(ring.keys) == 0 {
		return errNoRing
	}
	for {
		old := l.state.Load()
		next := &liveState{ring: ring, epoch: 1}
		if old != nil {
			next.epoch = old.epoch + 1
		}
		if l.state.CompareAndSwap(old, next) {
			return nil
		}
	}
}

// emptyRing is what the zero LiveRing uses.
var emptyRing = liveState{ring: &Ring{jwks: []byte(`{"keys":[]}`)}}

func (l *LiveRing) load() *liveState {
	if state := l.state.Load(); state != nil {
		return state
	}
	return &emptyRing
}

// Ring returns the ring in use; of the zero LiveRing it is one without keys.
func (l *LiveRing) Ring() *Ring { return l.load().ring }

// Sign is [Ring.Sign] with the ring in use.
func (l *LiveRing) Sign(typ string, payload []byte) (string, error) {
	return l.Ring().Sign(typ, payload)
}

// Verify is [Ring.Verify] with the ring in use.
func (l *LiveRing) Verify(compact string) (Header, []byte, error) { return l.Ring().Verify(compact) }

// JWKS is [Ring.JWKS] of the ring in use.
func (l *LiveRing) JWKS() []byte { return l.Ring().JWKS() }

// Epoch returns how many rings there have been, the one in use included.
func (l *LiveRing) Epoch() uint64 { return l.load().epoch }
