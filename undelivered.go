package tokenjar

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// A renewal is committed when its request comes in, and its cookies leave with the head of the answer. Until then the browser
// can only show the token that was spent, as often as it sends something: a handler, or a service behind the proxy, that
// takes longer to answer than the grace would make a thief of it. So while such an answer has not begun, the row says so
// every half grace, for a minute at most, and from each time on there is a grace for the client that the answer is for.
//
// An answer that begins in good time costs no store access: Run looks every moment at what is undelivered.

// undeliveredBatch is how many notes are one write, since rotations wait behind it where there is one writer: each row is on a
// page of its own, as for the SQLite store's pruneChunk.
const undeliveredBatch = 50

// undeliveredAnswers are the answers that have not begun, those of a session's newest generation as one.
type undeliveredAnswers struct {
	mu        sync.Mutex
	bySession map[string]*undeliveredAnswer
}

type undeliveredAnswer struct {
	generation int64
	answers    int       // that have not begun
	due        time.Time // of the next note
	until      time.Time // from then on nothing is noted any more
}

// Undelivered says that an answer which carries a grant has not begun. Until delivered is called, which is then to be done
// as soon as the head of the answer has left or never will, the token that was spent for the grant may be shown again by the
// same client (its user agent and network), on this node and on others, for at most a minute from the rotation.
//
// What that costs is a write every half grace, and nothing before the first half of one is over. It ends at once when the
// session does. After the first use of the grant's tokens, anywhere, nothing more is noted, and the grace from the last note
// runs out: a request with the spent token may have been on its way. [Service.Run] has to run. delivered may be called more
// than once.
func (s *Service) Undelivered(g Grant) (delivered func()) {
	grace, now := s.timing.Grace, s.now()
	until := g.graceEnd.Add(slowAnswer - grace)
	if g.Generation <= 1 || grace == 0 || grace >= slowAnswer || !now.Before(until) {
		return func() {}
	}
	// In good time before the grace is over. A grant that was given again near its end waits for a moment all the same, so
	// that an answer that begins at once costs nothing.
	due := now.Add(min(max(g.graceEnd.Sub(now)/2, grace/10), grace/2))
	return s.undelivered.add(g.SessionID, g.Generation, due, until)
}

func (u *undeliveredAnswers) add(sessionID string, generation int64, due, until time.Time) (remove func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bySession == nil {
		u.bySession = make(map[string]*undeliveredAnswer)
	}
	a := u.bySession[sessionID]
	switch {
	case a == nil || a.generation < generation:
		a = &undeliveredAnswer{generation: generation, due: due, until: until}
		u.bySession[strings.Clone(sessionID)] = a // the text may be part of a request
	case a.generation > generation: // the token that was spent is two generations old: no grace helps it
		return func() {}
	case until.After(a.until): // the answer was given late
		a.until = until
	}
	if due.Before(a.due) {
		a.due = due
	}
	a.answers++
	return sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if a.answers--; a.answers == 0 && u.bySession[sessionID] == a {
			delete(u.bySession, sessionID)
		}
	})
}

// drop forgets the answers of a session that has ended.
func (u *undeliveredAnswers) drop(sessionID string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.bySession, sessionID)
}

// take returns what is to be noted now, and forgets what has waited for too long.
func (u *undeliveredAnswers) take(now time.Time) (due []Undelivered) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, a := range u.bySession {
		switch {
		case !now.Before(a.until):
			delete(u.bySession, id)
		case !now.Before(a.due):
			due = append(due, Undelivered{SessionID: id, Generation: a.generation})
		}
	}
	return due
}

// postpone says when answers that have been noted are due again.
func (u *undeliveredAnswers) postpone(noted []Undelivered, due time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, n := range noted {
		if a := u.bySession[n.SessionID]; a != nil && a.generation == n.Generation {
			a.due = due
		}
	}
}

// undeliveredEvery is how often these answers are looked at: a second, or what a short grace leaves time for.
func (s *Service) undeliveredEvery() time.Duration {
	if quarter := s.timing.Grace / 4; quarter > 0 {
		return min(quarter, time.Second)
	}
	return time.Second
}

// noteUndelivered notes the answers that are due. Those that the store does not take are due again at once.
func (s *Service) noteUndelivered(ctx context.Context) error {
	now := s.now()
	for batch := range slices.Chunk(s.undelivered.take(now), undeliveredBatch) {
		if err := s.store.MarkUndelivered(ctx, batch); err != nil {
			return err
		}
		s.undelivered.postpone(batch, now.Add(s.timing.Grace/2))
	}
	return nil
}
