package tokenjar

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// A sign-in whose commit is in doubt may have opened a session whose tokens nobody got. It would stand in the user's list
// until it goes idle. It is ended as soon as the store answers again, beside the requests and as well as it goes: a process
// that ends meanwhile leaves it.

const (
	orphanEvery = 5 * time.Second
	orphanTries = 12   // answers of the store, for a minute: a commit may come after its caller has given up
	maxOrphans  = 1000 // beyond them they are left to go idle
)

type orphans struct {
	mu   sync.Mutex
	byID map[string]orphan
}

type orphan struct {
	userID string
	tries  int
}

// add notes a session that may have been opened for nobody.
func (o *orphans) add(userID, sessionID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID == nil {
		o.byID = make(map[string]orphan)
	}
	if len(o.byID) < maxOrphans {
		o.byID[sessionID] = orphan{userID: userID}
	}
}

// endOrphans ends those that have been opened, in one write.
func (s *Service) endOrphans(ctx context.Context) error {
	s.orphans.mu.Lock()
	waiting := maps.Clone(s.orphans.byID)
	s.orphans.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	ended, err := s.store.RevokeSessions(ctx, "", slices.Collect(maps.Keys(waiting)), ReasonLogout)
	if err != nil {
		return err
	}
	for _, id := range ended {
		s.ended(ctx, waiting[id].userID, ReasonLogout, []string{id})
	}
	s.orphans.mu.Lock()
	defer s.orphans.mu.Unlock()
	for id, o := range waiting {
		if o.tries++; o.tries == orphanTries || slices.Contains(ended, id) {
			delete(s.orphans.byID, id)
		} else {
			s.orphans.byID[id] = o
		}
	}
	return nil
}
