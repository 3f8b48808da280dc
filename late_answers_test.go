package tokenjar_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Answers that begin when others have overtaken them: here, on another node, or so long ago that nobody remembers it here.

func TestR9ALateAnswerIsOvertakenByWhatAnotherNodeHasDone(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, w *waitingRoom, g, next tokenjar.Grant)
		want      bool
	}{
		"nothing has happened": {func(*testing.T, *waitingRoom, tokenjar.Grant, tokenjar.Grant) {}, false},
		"the same was given again": {func(t *testing.T, w *waitingRoom, g, _ tokenjar.Grant) {
			w.other.show(t, g, laptop)
		}, false},
		"rotated further": {func(t *testing.T, w *waitingRoom, g, _ tokenjar.Grant) {
			w.other.show(t, w.other.show(t, g, laptop), laptop)
		}, true},
		"rotated further here, minutes ago": {func(t *testing.T, w *waitingRoom, _, next tokenjar.Grant) {
			w.show(t, next, laptop)
			time.Sleep(80 * time.Second) // until this node has forgotten it
		}, true},
		"signed out": {func(t *testing.T, w *waitingRoom, g, _ tokenjar.Grant) {
			if err := w.other.EndSession(t.Context(), g.User.ID, g.SessionID); err != nil {
				t.Fatal(err)
			}
		}, true},
		"signed out and deleted, minutes ago": {func(t *testing.T, w *waitingRoom, g, _ tokenjar.Grant) {
			if err := w.other.EndSession(t.Context(), g.User.ID, g.SessionID); err != nil {
				t.Fatal(err)
			}
			time.Sleep(4 * time.Minute)
			if _, err := w.store.Session(t.Context(), g.SessionID); !errors.Is(err, tokenjar.ErrNotFound) {
				t.Fatalf("got %v: is the row still there?", err)
			}
		}, true},
		"its time is over": {func(*testing.T, *waitingRoom, tokenjar.Grant, tokenjar.Grant) { time.Sleep(2 * time.Minute) }, true},
		"the store does not answer": {func(_ *testing.T, w *waitingRoom, _, _ tokenjar.Grant) {
			w.calls.fail("Session", false)
		}, true},
		"the store hangs": {func(_ *testing.T, w *waitingRoom, _, _ tokenjar.Grant) {
			w.calls.fail("Session", true)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
				g := w.login(t)
				next := w.show(t, g, laptop)
				time.Sleep(time.Second)
				c.meanwhile(t, w, g, next)
				time.Sleep(12 * time.Second)
				asked := time.Now()
				if got := w.Overtaken(context.Background(), next); got != c.want {
					t.Errorf("got %v, want %v", got, c.want)
				}
				if d := time.Since(asked); d > time.Second {
					t.Errorf("the answer waited for %s", d)
				}
			}, func(c *tokenjar.Config) { c.Idle, c.AccessLifetime = 2*time.Minute, 30*time.Second })
		})
	}
}
