package tokenjar_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// A sign-in that nobody got an answer to leaves no session behind, whenever the store turns out to have opened it.
func TestASignInWhoseCommitIsInDoubtLeavesNoSession(t *testing.T) {
	doubt := fmt.Errorf("injected: commit: %w", tokenjar.ErrStoreUnavailable)
	for _, row := range []struct {
		name   string
		commit time.Duration // after the caller was told that nobody knows; negative: never
		down   time.Duration // how long the store takes no revocation
		ended  int
	}{
		{"it was committed", 0, 0, 1},
		{"it is committed when the caller has given up", 17 * time.Second, 0, 1},
		{"the store is away for a while", 0, 10 * time.Minute, 1},
		{"it was not committed", -1, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told events
				var inDoubt atomic.Bool
				var revocations atomic.Int64
				begun := time.Now()
				w := newWorld(t, told.on, func(c *tokenjar.Config) {
					c.Now = time.Now
					c.Store = storehook.Wrap(c.Store.(storehook.All), func(ctx context.Context, call string, do func(context.Context) error) error {
						switch {
						case call == "RevokeSessions":
							revocations.Add(1)
							if time.Since(begun) < row.down {
								return doubt
							}
						case call == "CreateSession" && inDoubt.Load():
							if row.commit == 0 {
								do(ctx)
							} else if row.commit > 0 {
								time.AfterFunc(row.commit, func() { do(context.Background()) })
							}
							return doubt
						}
						return do(ctx)
					})
				})
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				kept := w.login(t)
				inDoubt.Store(true)
				_, err := w.OpenSession(t.Context(), w.user, tokenjar.Credentials{})
				wantErr(t, err, tokenjar.ErrStoreUnavailable)
				if n := revocations.Load(); n != 0 {
					t.Errorf("the answer waited for %d revocations", n)
				}
				time.Sleep(row.down + 5*time.Minute)
				list, err := w.Sessions(t.Context(), w.user.ID)
				if err != nil || len(list) != 1 || list[0].ID != kept.SessionID {
					t.Errorf("sessions %+v and %v, want %s alone", list, err, kept.SessionID)
				}
				told.want(t, "session.revoked", row.ended)
				before := revocations.Load()
				time.Sleep(time.Hour)
				if n := revocations.Load(); n != before {
					t.Errorf("it is asked for %d times more, for ever", n-before)
				}
				stop()
				<-done
			})
		})
	}
}
