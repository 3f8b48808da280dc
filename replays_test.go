package tokenjar_test

import (
	"testing"

	"github.com/tokenjar/tokenjar"
)

// T-07: the number stands here, so that whoever changes it meets a test.
func TestT07TheSixtyFifthReplayIsTurnedAway(t *testing.T) {
	w := newWorld(t)
	first := w.login(t)
	next := w.mustRefresh(t, first)
	for range 64 {
		again, err := w.refresh(t, first)
		if err != nil {
			t.Fatal(err)
		}
		sameTokens(t, next, again)
	}
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrTooManyReplays)
	w.mustRefresh(t, next)
}
