package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Revocations are known in memory, so that a request costs no store access: those of this node at once, those of other
// processes when the store is polled. An entry is needed only as long as an access token of its session may live.

// revocationOverlap is how far back each poll looks beyond the last one: a transaction that committed late carries an
// earlier time.
const revocationOverlap = 30 * time.Second

type revocations struct {
	seed   maphash.Seed           // of session ids
	filter atomic.Pointer[filter] // in front of entries; nil when there are none

	mu      sync.RWMutex
	entries map[string]revocation // by session id

	poll    chan struct{} // holds one element while a poll is under way
	since   time.Time     // the store's clock at the last poll
	version int64         // of the data, where the store tells it
	polled  atomic.Pointer[time.Time]
	skew    atomic.Int64 // of this node's clock against the store's at the last poll, in nanoseconds
	failing atomic.Bool  // the last poll failed
}

type revocation struct {
	why   Reason
	until time.Time // by this node's clock
}

func (r *revocations) init(seed maphash.Seed) {
	r.seed, r.poll = seed, make(chan struct{}, 1)
}

// reason returns why a session was revoked, if it was. session is the hash of its id. It takes a lock only for one that
// very probably was.
func (r *revocations) reason(session uint64, sessionID string) (Reason, bool) {
	if f := r.filter.Load(); f == nil || !f.mayHold(session) {
		return "", false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	entry, ok := r.entries[sessionID]
	return entry.why, ok
}

// add makes a revocation known: whoever asks after it has returned is told.
func (r *revocations) add(sessionID string, why Reason, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == nil {
		r.entries = make(map[string]revocation)
	}
	if old, known := r.entries[sessionID]; known && old.until.After(until) {
		until = old.until
	}
	// Cloned: the text may be part of a request, or of a chunk of the cache.
	r.entries[strings.Clone(sessionID)] = revocation{why: why, until: until}
	if f := r.filter.Load(); f == nil || len(r.entries) > f.room {
		r.refill()
	} else {
		f.add(maphash.String(r.seed, sessionID))
	}
}

// forget drops entries that no living token needs.
func (r *revocations) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.entries)
	for id, entry := range r.entries {
		if now.After(entry.until) {
			delete(r.entries, id)
		}
	}
	if len(r.entries) < before {
		r.refill()
	}
}

// refill makes the filter anew from the entries. It is called with the lock held.
func (r *revocations) refill() {
	if len(r.entries) == 0 {
		r.filter.Store(nil)
		return
	}
	f := newFilter(2 * len(r.entries))
	for id := range r.entries {
		f.add(maphash.String(r.seed, id))
	}
	r.filter.Store(f)
}

func (r *revocations) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.entries)
}

// within reports whether this node has learned of revocations within a time. A clock that has been set back says nothing of
// how long it was, so that it counts as too long until the next poll.
func (r *revocations) within(d time.Duration, now time.Time) bool {
	age := now.Sub(*r.polled.Load())
	return -time.Second <= age && age <= d
}

// A filter tells of most sessions that they are not in a set, without a lock (a Bloom filter in which each member has
// four bits of one word). With at least 32 bits a member, about one in five hundred others seems to be in.
type filter struct {
	room int // members
	bits []atomic.Uint64
}

func newFilter(room int) *filter {
	words := 1 << bits.Len(uint(max(room, 128)/2)) // more than half a word each
	return &filter{room: room, bits: make([]atomic.Uint64, words)}
}

func (f *filter) word(hash uint64) (*atomic.Uint64, uint64) {
	mask := uint64(1)<<(hash>>40&63) | 1<<(hash>>46&63) | 1<<(hash>>52&63) | 1<<(hash>>58)
	return &f.bits[hash%uint64(len(f.bits))], mask
}

func (f *filter) add(hash uint64) {
	word, mask := f.word(hash)
	word.Or(mask)
}

func (f *filter) mayHold(hash uint64) bool {
	word, mask := f.word(hash)
	return word.Load()&mask == mask
}

// Ended returns nil for a session that has not been revoked as far as this node knows; otherwise [ErrSessionEnded],
// [ErrSessionReplaced] or [ErrSessionReused]. It asks no store.
func (s *Service) Ended(sessionID string) error {
	if why, revoked := s.revoked.reason(maphash.String(s.seed, sessionID), sessionID); revoked {
		return endedFor(why)
	}
	return nil
}

// lateLook is how long an answer that begins late waits for the store's word on its cookies.
const lateLook = time.Second

// Overtaken reports whether a grant has been overtaken: its session has been revoked, or rotated further. An answer that
// begins only now must not put its cookies over newer ones.
//
// Within a grace of the grant it asks no store: this node knows what it has done itself, and what was revoked elsewhere.
// Later another node, or this one before a minute ago, may have rotated further, and the row is read.
//
// When the store does not answer within a second the grant counts as overtaken, which is the smaller harm. Left out, the
// cookies are asked for again: the browser shows its old token, nobody has used the successor, and that is a late retry. Set
// over newer ones they are a spent token, which ends the session for reuse at the next renewal, or those of a user who has
// signed out since.
func (s *Service) Overtaken(ctx context.Context, g Grant) bool {
	if s.Ended(g.SessionID) != nil || s.outcomes.superseded(g.SessionID, g.Generation) {
		return true
	}
	if s.timing.Grace == 0 || s.now().Sub(g.asOf) <= s.timing.Grace { // without a grace nobody else was given the token
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lateLook)
	defer cancel()
	row, err := s.store.Session(ctx, g.SessionID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		s.log.WarnContext(ctx, "a late answer leaves its cookies out: the store does not say whether they are the newest",
			"session_id", g.SessionID, "err", err)
	}
	return err != nil || !row.Live() || row.Generation != g.Generation
}

// learn makes revocations effective on this node: from here on no token of these sessions is accepted and no answer of
// a refresh in flight is given.
func (s *Service) learn(why Reason, sessionIDs ...string) {
	until := s.now().Add(max(s.keys.Load().longestAccess, s.timing.Grace, slowAnswer) + revocationOverlap)
	for _, id := range sessionIDs {
		s.revoked.add(id, why, until)
		s.outcomes.drop(id)
		s.undelivered.drop(id)
		s.upstream.drop(id)
		s.bound.end(id, endedFor(why))
	}
}

// loadNews fetches at start all revocations, and changes of claims, that a living access token could still be up against.
func (s *Service) loadNews(ctx context.Context) error {
	clock, err := s.store.News(ctx, s.now().Add(24*time.Hour)) // the store's clock, and nothing else
	if err != nil {
		return err
	}
	s.revoked.since = clock.At.Add(-s.keys.Load().longestAccess)
	s.revoked.version = -1 // never one of a store's
	return s.pollNews(ctx)
}

// A versionedStore tells cheaply whether its data may have changed since it was last asked.
type versionedStore interface {
	DataVersion(ctx context.Context) (int64, error)
}

// pollNews learns what other processes have done: which sessions were revoked and whose claims changed since the last
// poll, with an overlap, and what became of the key ring.
func (s *Service) pollNews(ctx context.Context) error {
	return s.pollIf(ctx, func() bool { return true })
}

// pollIf does so if that is still needed once no other poll is under way. It gives up waiting when the context ends.
func (s *Service) pollIf(ctx context.Context, needed func() bool) (err error) {
	r := &s.revoked
	select {
	case r.poll <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("poll revocations: %w: %w", ErrStoreUnavailable, ctx.Err())
	}
	if !needed() {
		<-r.poll
		return nil
	}
	asked := s.now() // before the store is: what is revoked from here on may be missed
	defer func() {
		if err == nil {
			r.polled.Store(&asked)
		}
		r.failing.Store(err != nil)
		<-r.poll
	}()
	return errors.Join(s.fetchNews(ctx), s.pollKeyRing(ctx))
}

// fetchNews is called while no other poll is under way.
func (s *Service) fetchNews(ctx context.Context) (err error) {
	r := &s.revoked
	var version int64
	if v, ok := s.store.(versionedStore); ok {
		if version, err = v.DataVersion(ctx); err != nil {
			return err
		}
		if version == r.version {
			return nil
		}
	}
	asked := s.now()
	news, err := s.store.News(ctx, r.since.Add(-revocationOverlap))
	if err == nil {
		r.skew.Store(int64(offset(asked, s.now(), news.At)))
	}
	if err == nil && news.At.Before(r.since) { // the store's clock has stepped back
		news, err = s.store.News(ctx, news.At.Add(-s.keys.Load().longestAccess-revocationOverlap))
	}
	if err != nil {
		return err
	}
	s.learnAll(news.Revocations)
	for _, each := range news.ClaimsChanges {
		s.learnClaims(each.UserID, each.Generation)
	}
	r.since, r.version = news.At, version
	return nil
}

// learnAll takes on what other nodes have revoked.
func (s *Service) learnAll(revoked []Revocation) {
	for _, each := range revoked {
		if s.Ended(each.SessionID) == nil {
			s.learn(each.Reason, each.SessionID)
		}
	}
}

// offset is how far a clock that showed asked before and answered after is off one that showed at in between. What the wait
// can explain is not counted.
func offset(asked, answered, at time.Time) time.Duration {
	switch {
	case at.Before(asked):
		return asked.Sub(at)
	case at.After(answered):
		return answered.Sub(at)
	}
	return 0
}

// skew is how far this node's clock is off the store's: positive when it is ahead.
func (s *Service) skew() time.Duration { return time.Duration(s.revoked.skew.Load()) }

// MaxSkew is how far the clock of a node may be off the store's: beyond it the times in its tokens are wrong, and it is
// not ready.
const MaxSkew = 5 * time.Second

// watchAgain is how long a node waits before it watches a store again that it could not watch, or not any more. Until
// then it learns by polling.
const watchAgain = time.Second

// watch learns of what other nodes do as soon as they have done it, where the store tells, until ctx ends.
func (s *Service) watch(ctx context.Context, store Watcher) {
	poll := make(chan struct{}, 1) // however many ask for it, one poll after the last of them is enough
	var polling sync.WaitGroup
	defer polling.Wait()
	polling.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-poll:
				s.pollNews(ctx) // if it fails, so does the next regular one, which says so
			}
		}
	})
	for watching := true; ; {
		err := store.Watch(ctx, func(revoked []Revocation) {
			if !watching {
				s.log.Info("the store is watched again")
				watching = true
			}
			s.learnAll(revoked)
			if revoked == nil {
				select {
				case poll <- struct{}{}:
				default:
				}
			}
		})
		if ctx.Err() != nil {
			return
		}
		if watching {
			s.log.Warn("the store cannot be watched: news of other nodes come by polling alone", "err", err)
			watching = false
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchAgain):
		}
	}
}
