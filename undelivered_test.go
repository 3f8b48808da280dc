package tokenjar_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// Answers that begin long after their renewal. The cookies leave with the head: until then the browser shows what it has.

// calls counts what a store is asked for, and fails what it is told to.
type calls struct {
	mu    sync.Mutex
	of    map[string]int
	fails string // the name of a call that fails
	hangs bool   // it hangs instead, until its context ends
	held  string // the name of a call that waits until it is let pass
	pass  chan struct{}
}

func (c *calls) around(ctx context.Context, call string, do func(context.Context) error) error {
	c.mu.Lock()
	if c.of == nil {
		c.of = make(map[string]int)
	}
	c.of[call]++
	fails, hangs := call == c.fails, c.hangs
	held, pass := call == c.held, c.pass
	c.mu.Unlock()
	if held {
		<-pass
	}
	switch {
	case fails && hangs:
		<-ctx.Done()
		return fmt.Errorf("injected: %w: %w", tokenjar.ErrStoreUnavailable, ctx.Err())
	case fails:
		return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	return do(ctx)
}

func (c *calls) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[call]
}

func (c *calls) fail(call string, hangs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails, c.hangs = call, hangs
}

// hold has a call wait. Each value that is sent lets one pass, and a close lets all.
func (c *calls) hold(call string) (pass chan<- struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held, c.pass = call, make(chan struct{})
	return c.pass
}

// A waitingRoom is a world in a bubble of synctest, in which time passes by itself and Run is at work on each node.
type waitingRoom struct {
	*world
	calls  calls // of the first node
	events events
	other  *world // another node on the same store
}

// inWaitingRoom runs a test in one, on each store within the process.
func inWaitingRoom(t *testing.T, test func(t *testing.T, w *waitingRoom), change ...func(*tokenjar.Config)) {
	t.Helper()
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &waitingRoom{}
				ordinary := func(testing.TB, func() time.Time) storehook.All { return store.open(t, time.Now) }
				w.world = newWorldOn(t, ordinary, append(change, func(c *tokenjar.Config) {
					c.Now = time.Now
					c.Store = storehook.Wrap(c.Store.(storehook.All), w.calls.around)
					w.events.on(c)
				})...)
				beside := *w.world
				beside.cfg.Store = w.store
				beside.restart(t)
				w.other = &beside
				stop, stopOther := w.run(), w.other.run()
				defer stopOther()
				defer stop()
				test(t, w)
			})
		})
	}
}

// run runs a service until stop is called, which waits for its end.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

// slowly renews a session by a request whose answer does not begin before delivered is called.
func (w *world) slowly(t *testing.T, g tokenjar.Grant, c tokenjar.Client) (next tokenjar.Grant, delivered func()) {
	t.Helper()
	next = w.show(t, g, c)
	return next, w.Undelivered(next)
}

// until sleeps until a time after another.
func until(begin time.Time, after time.Duration) { time.Sleep(time.Until(begin.Add(after))) }

func TestASlowAnswerCostsNobodyTheSession(t *testing.T) { // T-05
	for where, second := range map[string]func(*waitingRoom) *world{
		"second tab on the same node": func(w *waitingRoom) *world { return w.world },
		"second tab on another node":  func(w *waitingRoom) *world { return w.other },
	} {
		t.Run(where, func(t *testing.T) {
			inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
				g := w.login(t)
				for round := range 3 { // two of three rotations are slow, and nothing is used up that is there once in three
					begin := time.Now()
					next, delivered := w.slowly(t, g, laptop)
					if round < 2 {
						for _, at := range []time.Duration{15 * time.Second, 30 * time.Second, 55 * time.Second, time.Minute} {
							until(begin, at)
							if again := second(w).show(t, g, laptop); again.RefreshToken != next.RefreshToken {
								t.Fatalf("round %d: after %s there are two successors", round, at)
							}
						}
					}
					delivered()
					if _, err := w.Authenticate(next.AccessToken); err != nil {
						t.Fatal(err)
					}
					until(begin, 4*time.Minute)
					g = next
				}
				if row := w.row(t, g.SessionID); !row.Live() || row.Generation != 4 || row.LateRetryGen != 0 {
					t.Errorf("got %+v", row)
				}
				w.events.want(t, "refresh.late_retry", 0)
				if n := w.UndeliveredSessions(); n != 0 {
					t.Errorf("%d answers still count as undelivered", n)
				}
			})
		})
	}
}

func TestASlowAnswerThatWasGivenLateKeepsItsGraceAsWell(t *testing.T) {
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		g := w.login(t)
		lost := w.show(t, g, laptop)
		time.Sleep(2 * time.Minute)
		_, delivered := w.slowly(t, g, laptop) // the late retry
		defer delivered()
		time.Sleep(50 * time.Second)
		if again := w.other.show(t, g, laptop); again.RefreshToken != lost.RefreshToken {
			t.Error("there are two successors")
		}
	})
}

func TestASlowAnswerThatWasGivenLateInAnotherNetworkKeepsItsGraceThere(t *testing.T) { // T-05
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		train := tokenjar.Client{IP: "203.0.113.9", UserAgent: laptop.UserAgent}
		g := w.login(t)
		lost := w.show(t, g, laptop)
		time.Sleep(2 * time.Minute)
		_, delivered := w.slowly(t, g, train) // the late retry
		defer delivered()
		time.Sleep(40 * time.Second)
		if again := w.other.show(t, g, train); again.RefreshToken != lost.RefreshToken {
			t.Error("there are two successors")
		}
		w.events.want(t, "refresh.late_retry", 1)
	})
}

func TestASlowReplayNearTheEndOfTheGraceKeepsItOpen(t *testing.T) {
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		g := w.login(t)
		begin := time.Now()
		lost := w.show(t, g, laptop) // the train enters a tunnel
		until(begin, 8*time.Second)
		_, delivered := w.slowly(t, g, laptop)
		defer delivered()
		for _, at := range []time.Duration{12 * time.Second, 25 * time.Second, 59 * time.Second} {
			until(begin, at)
			if again := w.other.show(t, g, laptop); again.RefreshToken != lost.RefreshToken {
				t.Fatalf("after %s there are two successors", at)
			}
		}
		w.events.want(t, "refresh.late_retry", 0)
	})
}

func TestAfterAMinuteASlowAnswerIsALostOne(t *testing.T) { // R5
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		for name, used := range map[string]bool{"not used": false, "used by then": true} {
			g := w.login(t)
			begin := time.Now()
			next, delivered := w.slowly(t, g, laptop)
			until(begin, time.Minute)
			notes := w.calls.count("MarkUndelivered")
			until(begin, 70*time.Second+time.Millisecond)
			if n := w.calls.count("MarkUndelivered"); n != notes {
				t.Errorf("%s: %d notes after the minute", name, n-notes)
			}
			if used {
				if _, err := w.Authenticate(next.AccessToken); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			_, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
			if used {
				wantErr(t, err, tokenjar.ErrSessionReused)
			} else if row := w.row(t, g.SessionID); err != nil || row.LateRetryGen != 2 {
				t.Errorf("%s: got %v and %+v, want a late retry", name, err, row)
			}
			delivered()
			delivered() // is of no consequence
		}
		if n := w.UndeliveredSessions(); n != 0 {
			t.Errorf("%d answers still count as undelivered", n)
		}
	})
}

func TestR9AfterLogoutNothingIsKeptOpen(t *testing.T) {
	for name, logout := range map[string]func(*testing.T, *waitingRoom, tokenjar.Grant) error{
		"here": func(t *testing.T, w *waitingRoom, g tokenjar.Grant) error {
			return w.EndSession(t.Context(), g.User.ID, g.SessionID)
		},
		"elsewhere": func(t *testing.T, w *waitingRoom, g tokenjar.Grant) error {
			return w.other.EndSession(t.Context(), g.User.ID, g.SessionID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
				g := w.login(t)
				next, delivered := w.slowly(t, g, laptop)
				time.Sleep(12 * time.Second)
				if err := logout(t, w, g); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // until every node knows
				if n := w.UndeliveredSessions(); n != 0 {
					t.Errorf("%d answers still count as undelivered", n)
				}
				notes := w.calls.count("MarkUndelivered")
				time.Sleep(30 * time.Second)
				if n := w.calls.count("MarkUndelivered"); notes == 0 || n != notes {
					t.Errorf("%d notes before the logout and %d after it", notes, n-notes)
				}
				for _, node := range []*world{w.world, w.other} {
					_, err := node.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
					wantErr(t, err, tokenjar.ErrSessionEnded)
				}
				if !w.Overtaken(t.Context(), next) {
					t.Error("the late answer sets its cookies")
				}
				delivered()
			})
		})
	}
}

func TestAnAnswerInGoodTimeAsksTheStoreForNothing(t *testing.T) {
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		g := w.login(t)
		begin := time.Now()
		// Both answers are on their way when Run looks, each second. The second one is given again, a second before the end.
		for _, at := range []time.Duration{700 * time.Millisecond, 9700 * time.Millisecond} {
			until(begin, at)
			next, delivered := w.slowly(t, g, laptop)
			time.Sleep(400 * time.Millisecond)
			if w.Overtaken(t.Context(), next) {
				t.Error("its cookies are left out")
			}
			delivered()
		}
		time.Sleep(time.Minute)
		if notes, reads := w.calls.count("MarkUndelivered"), w.calls.count("Session"); notes != 0 || reads != 0 {
			t.Errorf("%d notes and %d reads", notes, reads)
		}
	})
}

func TestWithoutGraceNothingIsKeptOpen(t *testing.T) {
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		g := w.login(t)
		_, delivered := w.slowly(t, g, laptop)
		defer delivered()
		time.Sleep(30 * time.Second)
		if n := w.UndeliveredSessions() + w.calls.count("MarkUndelivered"); n != 0 {
			t.Error("it is waited for")
		}
		_, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
		wantErr(t, err, tokenjar.ErrSessionReused)
	}, func(c *tokenjar.Config) { c.InsecureNoGrace = true })
}

func TestAShortGraceIsKeptOpenAsWell(t *testing.T) {
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		g := w.login(t)
		next, delivered := w.slowly(t, g, laptop)
		defer delivered()
		for range 50 {
			time.Sleep(1100 * time.Millisecond)
			if again := w.other.show(t, g, laptop); again.RefreshToken != next.RefreshToken {
				t.Fatal("there are two successors")
			}
		}
		w.events.want(t, "refresh.late_retry", 0)
	}, func(c *tokenjar.Config) { c.Grace = time.Second })
}

func TestManySlowAnswersOfOneSessionAreOneNote(t *testing.T) {
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		g := w.login(t)
		var all []func()
		for range 20 {
			_, delivered := w.slowly(t, g, laptop)
			all = append(all, delivered)
		}
		time.Sleep(7 * time.Second)
		if n := w.calls.count("MarkUndelivered"); n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
		for _, delivered := range all[1:] {
			delivered()
		}
		time.Sleep(10 * time.Second)
		w.show(t, g, laptop)
		w.events.want(t, "refresh.late_retry", 0)
		all[0]()
		if n := w.UndeliveredSessions(); n != 0 {
			t.Errorf("%d answers still count as undelivered", n)
		}
	})
}

func TestNotesAreWrittenFiftyAtATime(t *testing.T) { // rotations wait behind a write
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		next := w.show(t, w.login(t), laptop)
		for i := range 101 {
			each := next
			if i > 0 { // of sessions that the store passes over
				each.SessionID = fmt.Sprint(i)
			}
			defer w.Undelivered(each)()
		}
		time.Sleep(7 * time.Second)
		if n := w.calls.count("MarkUndelivered"); n != 3 {
			t.Errorf("%d writes, want 3", n)
		}
		if row := w.row(t, next.SessionID); row.UndeliveredGen != 2 {
			t.Errorf("the one that is there is not noted: %+v", row)
		}
	})
}

// A request with the spent token may be on its way while the answer arrives, and its successor is used at once.
func TestAfterTheFirstUseAGraceFromTheLastNoteRunsOut(t *testing.T) { // T-01, T-05
	for name, row := range map[string]struct {
		at  time.Duration // the last note is that of second 20
		err error
	}{
		"a request that was on its way": {30 * time.Second, nil},
		"a copy":                        {31 * time.Second, tokenjar.ErrSessionReused},
	} {
		t.Run(name, func(t *testing.T) {
			inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
				g := w.login(t)
				begin := time.Now()
				next, delivered := w.slowly(t, g, laptop)
				defer delivered() // another request of the browser's was answered, and this one is slow still
				until(begin, 22*time.Second)
				if _, err := w.Authenticate(next.AccessToken); err != nil {
					t.Fatal(err)
				}
				until(begin, row.at)
				_, err := w.other.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
				wantErr(t, err, row.err)
			})
		})
	}
}

func TestAnAnswerThatARotationHasOvertakenIsNotWaitedFor(t *testing.T) {
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		g := w.login(t)
		first, delivered := w.slowly(t, g, laptop)
		second, deliveredSecond := w.slowly(t, first, laptop)
		late := w.Undelivered(first) // of a replay that was slower still
		delivered()
		late()
		time.Sleep(30 * time.Second)
		if again := w.show(t, first, laptop); again.RefreshToken != second.RefreshToken {
			t.Error("the newer one is not waited for any more")
		}
		deliveredSecond()
		if n := w.UndeliveredSessions(); n != 0 {
			t.Errorf("%d answers still count as undelivered", n)
		}
		_, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
		wantErr(t, err, tokenjar.ErrSessionReused)
	})
}

func TestWhatCannotBeNotedIsToldOfOnceAndHarmsNothing(t *testing.T) { // R12
	var log bytes.Buffer
	inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
		log.Reset()
		g := w.login(t)
		next, delivered := w.slowly(t, g, laptop)
		defer delivered()
		w.calls.fail("MarkUndelivered", false)
		time.Sleep(40 * time.Second)
		w.calls.fail("", false)
		time.Sleep(2 * time.Second)
		if again := w.other.show(t, g, laptop); again.RefreshToken != next.RefreshToken {
			t.Error("there are two successors")
		}
		w.events.want(t, "refresh.late_retry", 0)
		synctest.Wait()
		if n := strings.Count(log.String(), "background work fails"); n != 1 || strings.Contains(log.String(), g.RefreshToken) {
			t.Errorf("it is told of %d times:\n%s", n, &log)
		}
	}, func(c *tokenjar.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
}

func TestAServiceThatHasStoppedNotesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		w := newWorldOn(t, func(t testing.TB, _ func() time.Time) storehook.All { return stores[0].open(t, time.Now) }, func(cfg *tokenjar.Config) {
			cfg.Now, cfg.Store = time.Now, storehook.Wrap(cfg.Store.(storehook.All), c.around)
		})
		stop := w.run()
		_, delivered := w.slowly(t, w.login(t), laptop)
		time.Sleep(7 * time.Second)
		stop()
		time.Sleep(time.Minute)
		if n := c.count("MarkUndelivered"); n != 1 {
			t.Errorf("%d notes, want the one of before the stop", n)
		}
		delivered()
	})
}
