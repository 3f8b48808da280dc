package tokenjar_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// Races by seed instead of by luck: a store holds each call before and after it, and lets go one at a time, in an order
// that the seed decides, each time when nothing else can move. So one seed is one interleaving.

// A schedule is the order of things in one bubble of synctest.
type schedule struct {
	rng *rand.Rand

	mu       sync.Mutex
	holding  bool
	held     map[string]chan struct{} // by "actor: point"
	running  map[string]bool
	returned []string // since the last step
	trace    []string
}

type actorKey struct{}

// newScheduledWorld is a world whose service is under a schedule, on a store opened in this bubble.
func newScheduledWorld(t *testing.T, open opener, change ...func(*tokenjar.Config)) (*world, *schedule) {
	t.Helper()
	s := &schedule{}
	w := newWorldOn(t, open, append(change, func(c *tokenjar.Config) {
		c.Store = storehook.Wrap(c.Store.(storehook.All), s.around)
		c.MaxPerUser = 1000
	})...)
	return w, s
}

func (s *schedule) around(ctx context.Context, call string, do func(context.Context) error) error {
	s.hold(ctx, "before "+call)
	err := do(ctx)
	s.hold(ctx, "after "+call)
	return err
}

// hold waits until it is this actor's turn. Outside of run nobody waits.
func (s *schedule) hold(ctx context.Context, point string) {
	s.mu.Lock()
	if !s.holding {
		s.mu.Unlock()
		return
	}
	name := fmt.Sprint(ctx.Value(actorKey{}), ": ", point)
	turn := make(chan struct{})
	s.held[name] = turn
	s.mu.Unlock()
	<-turn
}

// run lets actors race in the order of a seed, until all have returned. The start of each is a point of its own.
func (s *schedule) run(t *testing.T, rng *rand.Rand, actors map[string]func(context.Context)) {
	t.Helper()
	s.rng, s.holding, s.trace = rng, true, nil
	s.held, s.running = make(map[string]chan struct{}), make(map[string]bool)
	for name := range actors {
		s.running[name] = true
	}
	for name, act := range actors {
		go func() {
			ctx := context.WithValue(context.Background(), actorKey{}, name)
			s.hold(ctx, "start")
			act(ctx)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.running, name)
			s.returned = append(s.returned, name+": returned")
		}()
	}
	for s.step() {
	}
	s.holding = false
	if len(s.running) > 0 {
		t.Fatalf("%v never returned\n%s", s.running, s.order())
	}
}

// step waits until nothing moves, and lets one held call go on. It reports false when none is held.
func (s *schedule) step() bool {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.returned) // goroutines that one step woke arrive in any order
	s.trace = append(s.trace, s.returned...)
	s.returned = nil
	if len(s.held) == 0 {
		return false
	}
	names := slices.Sorted(maps.Keys(s.held))
	name := names[s.rng.IntN(len(names))]
	s.trace = append(s.trace, name)
	close(s.held[name])
	delete(s.held, name)
	return true
}

// order is what happened, for the message of a failure.
func (s *schedule) order() string { return strings.Join(s.trace, "\n") }
