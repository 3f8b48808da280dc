package tokenjar_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// events collects what a service tells of.
type events struct {
	mu   sync.Mutex
	list []tokenjar.AuditEvent
}

func (e *events) on(c *tokenjar.Config) {
	c.OnEvent = func(event tokenjar.AuditEvent) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.list = append(e.list, event)
	}
}

// named returns the events of a name.
func (e *events) named(name string) []tokenjar.AuditEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []tokenjar.AuditEvent
	for _, event := range e.list {
		if event.Name == name {
			found = append(found, event)
		}
	}
	return found
}

func (e *events) want(t *testing.T, name string, n int) {
	t.Helper()
	if found := e.named(name); len(found) != n {
		t.Fatalf("%d events %s, want %d: %+v", len(found), name, n, found)
	}
}

var (
	laptop = tokenjar.Client{IP: "192.0.2.1", UserAgent: "test"} // that of OpenSession
	thief  = tokenjar.Client{IP: "198.51.100.7", UserAgent: "curl"}
)

func (w *world) show(t *testing.T, g tokenjar.Grant, c tokenjar.Client) tokenjar.Grant {
	t.Helper()
	next, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: c})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestR10AReplayByAnotherClientIsASharedSuccessor(t *testing.T) { // T-06
	for _, row := range []struct {
		name   string
		client tokenjar.Client
		shared bool
	}{
		{"the same client", laptop, false},
		{"another address of its network", tokenjar.Client{IP: "192.0.2.77", UserAgent: "test"}, false},
		{"another network", tokenjar.Client{IP: "192.0.3.1", UserAgent: "test"}, true},
		{"another user agent", tokenjar.Client{IP: "192.0.2.1", UserAgent: "curl"}, true},
		{"an address that cannot be read", tokenjar.Client{IP: "unix", UserAgent: "test"}, true},
	} {
		for _, otherProcess := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, other process %v", row.name, otherProcess), func(t *testing.T) {
				var told events
				w := newWorld(t, told.on)
				first := w.login(t)
				next := w.show(t, first, laptop)
				if otherProcess {
					w.restart(t)
				}
				for range 3 {
					sameTokens(t, next, w.show(t, first, row.client))
				}
				if err := w.FlushShared(t.Context()); err != nil {
					t.Fatal(err)
				}
				told.want(t, "refresh.grace_replay", 3)
				list, err := w.Sessions(t.Context(), w.user.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !row.shared {
					told.want(t, "refresh.shared_successor", 0)
					if list[0].SharedGen != 0 {
						t.Errorf("shown as shared: %+v", list[0])
					}
					return
				}
				told.want(t, "refresh.shared_successor", 1)
				e := told.named("refresh.shared_successor")[0]
				if e.IP != row.client.IP || e.UserAgent != row.client.UserAgent || e.SessionID != first.SessionID ||
					e.Detail["last_client_ip"] != laptop.IP || e.Detail["last_user_agent"] != laptop.UserAgent {
					t.Errorf("event %+v does not name both clients", e)
				}
				if s := list[0]; s.SharedGen != 2 || s.SharedIP != row.client.IP || s.SharedUserAgent != row.client.UserAgent ||
					!s.SharedAt.Equal(w.clock.Now()) {
					t.Errorf("shown as %+v", s)
				}
				if err := w.FlushShared(t.Context()); err != nil {
					t.Fatal(err)
				}
				told.want(t, "refresh.shared_successor", 1)
			})
		}
	}
}

// sulkingStore does not take notes while it sulks.
type sulkingStore struct {
	*memory.Store
	sulks atomic.Bool
}

func (s *sulkingStore) MarkShared(ctx context.Context, shared []tokenjar.Shared) ([]tokenjar.Shared, error) {
	if s.sulks.Load() {
		return nil, fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	return s.Store.MarkShared(ctx, shared)
}

func TestR10ASharedSuccessorThatCannotBeNotedNowIsNotedLater(t *testing.T) {
	var told events
	var store *sulkingStore
	w := newWorld(t, told.on, func(c *tokenjar.Config) {
		store = &sulkingStore{Store: c.Store.(*memory.Store)}
		c.Store = store
	})
	first := w.login(t)
	w.show(t, first, laptop)
	store.sulks.Store(true)
	w.show(t, first, thief)
	wantErr(t, w.FlushShared(t.Context()), tokenjar.ErrStoreUnavailable)
	told.want(t, "refresh.shared_successor", 0)
	store.sulks.Store(false)
	if err := w.FlushShared(t.Context()); err != nil {
		t.Fatal(err)
	}
	told.want(t, "refresh.shared_successor", 1)
}

// heldStore holds rotations until it is let go.
type heldStore struct {
	*memory.Store
	letGo chan struct{}
}

func (s *heldStore) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	<-s.letGo
	return s.Store.Rotate(ctx, r)
}

func TestR10TheLoserOfARaceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told events
		var store *heldStore
		w := newWorld(t, told.on, func(c *tokenjar.Config) {
			store = &heldStore{c.Store.(*memory.Store), make(chan struct{})}
			c.Store = store
		})
		first := w.login(t)
		const losers = 5
		errs := make(chan error, 1+losers)
		for range 1 + losers {
			go func() {
				_, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: first.RefreshToken, Client: laptop})
				errs <- err
			}()
		}
		synctest.Wait() // one holds the rotation, all others wait for it
		close(store.letGo)
		for range 1 + losers {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		told.want(t, "refresh.rotated", 1)
		told.want(t, "refresh.lost_race", losers)
		told.want(t, "refresh.grace_replay", 0)
		w.show(t, first, laptop)
		told.want(t, "refresh.grace_replay", 1)
		told.want(t, "refresh.lost_race", losers)
	})
}

// watchedStore is one store of several nodes: what one of them does is told to all of them.
type watchedStore struct {
	*memory.Store
	mu       sync.Mutex
	watchers map[int]func([]tokenjar.Revocation)
	next     int
	broken   chan struct{} // closed: whoever watches loses its connection
}

func watched(c *tokenjar.Config) *watchedStore {
	s := &watchedStore{Store: c.Store.(*memory.Store), watchers: map[int]func([]tokenjar.Revocation){}, broken: make(chan struct{})}
	c.Store = s
	return s
}

func (s *watchedStore) Watch(ctx context.Context, changed func([]tokenjar.Revocation)) error {
	s.mu.Lock()
	id, broken := s.next, s.broken
	s.next++
	s.watchers[id] = changed
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, id)
		s.mu.Unlock()
	}()
	changed(nil)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-broken:
		return errors.New("the connection is lost")
	}
}

func (s *watchedStore) tell(list []tokenjar.Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, changed := range s.watchers {
		changed(list)
	}
}

func (s *watchedStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

func (s *watchedStore) breakOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.broken)
	s.broken = make(chan struct{})
}

func TestR4AcrossNodesAKeptAnswerIsNotGivenToAGrandparent(t *testing.T) { // T-09
	w := newWorld(t, func(c *tokenjar.Config) { watched(c) })
	first := w.login(t)
	second := w.mustRefresh(t, first)
	sameTokens(t, second, w.show(t, first, laptop)) // from memory
	here := w.Service
	w.restart(t) // another node
	third := w.mustRefresh(t, second)
	w.Service = here
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionReused)
	_, err = w.refresh(t, third)
	wantErr(t, err, tokenjar.ErrSessionReused)
}

func TestR9AcrossNodesAKeptAnswerIsNotGivenAfterSignOut(t *testing.T) {
	w := newWorld(t, func(c *tokenjar.Config) { watched(c) })
	first := w.login(t)
	w.mustRefresh(t, first)
	here := w.Service
	w.restart(t)
	if err := w.Logout(t.Context(), []tokenjar.SignedSession{{SessionID: first.SessionID, UserID: w.user.ID}}); err != nil {
		t.Fatal(err)
	}
	w.Service = here // which has not learned of it
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}

func TestS02ARevocationThatIsPushedIsKnownWithoutAPoll(t *testing.T) {
	var store *watchedStore
	w := newWorld(t, func(c *tokenjar.Config) { store = watched(c) })
	g, other := w.login(t), w.login(t)
	run(t, w.Service)
	for store.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	store.tell([]tokenjar.Revocation{{SessionID: g.SessionID, Reason: tokenjar.ReasonReuse}}) // the rows say nothing of it
	wantErr(t, w.Ended(g.SessionID), tokenjar.ErrSessionReused)
	if err := w.Ended(other.SessionID); err != nil {
		t.Errorf("another session has ended: %v", err)
	}
}

func TestS02AWatchThatIsLostIsTakenUpAgain(t *testing.T) {
	var store *watchedStore
	w := newWorld(t, func(c *tokenjar.Config) { store = watched(c) })
	run(t, w.Service)
	for range 2 {
		for store.count() == 0 {
			time.Sleep(time.Millisecond)
		}
		store.breakOff()
		for store.count() > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	for store.count() == 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestANodeWhoseClockIsOffTheStoresIsNotReady(t *testing.T) { // C-15
	for _, row := range []struct {
		off   time.Duration
		ready bool
	}{{0, true}, {5 * time.Second, true}, {-5 * time.Second, true}, {5*time.Second + time.Millisecond, false}, {-6 * time.Second, false}} {
		t.Run(row.off.String(), func(t *testing.T) {
			w := newWorld(t, func(c *tokenjar.Config) {
				stores := c.Now
				c.Now = func() time.Time { return stores().Add(row.off) }
			})
			run(t, w.Service)
			if err := w.PollRevocations(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.Stats().ClockSkew; got != row.off {
				t.Errorf("skew is %s, want %s", got, row.off)
			}
			err := w.Ready(t.Context())
			if row.ready != (err == nil) {
				t.Fatalf("ready: %v", err)
			}
			if !row.ready && (!errors.Is(err, tokenjar.ErrStoreUnavailable) || !strings.Contains(err.Error(), "clock")) {
				t.Errorf("the reason is %v", err)
			}
		})
	}
}
