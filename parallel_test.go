package tokenjar_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/stress"
)

func TestAThousandParallelUsersAreNeverMixedUp(t *testing.T) {
	w := newWorld(t)
	const users = 100
	grants := make([]tokenjar.Grant, users)
	for i := range users {
		u := w.user
		u.ID, u.Username, u.Email = fmt.Sprintf("user-%d", i), fmt.Sprintf("user%d", i), ""
		if err := w.store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		g, err := w.OpenSession(t.Context(), u, tokenjar.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		grants[i] = g
	}
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() {
			g := grants[n%users]
			id, err := w.Authenticate(g.AccessToken)
			if err != nil || id.UserID != g.User.ID || id.SessionID != g.SessionID {
				t.Errorf("the token of %s is %s's: %v", g.User.ID, id.UserID, err)
			}
			next, err := w.refresh(t, g)
			if err != nil || next.User.ID != g.User.ID {
				t.Errorf("the refresh of %s gave a token of %s: %v", g.User.ID, next.User.ID, err)
			}
		})
	}
	wg.Wait()
}

// Chains of rotations side by side, in which every token is shown by 2 to 200 rivals at once, on two nodes that share a
// store: no fork, nobody signed out. Then each chain's late replay, all of which are caught.
func TestR1TenThousandParallelRotationsForkNothing(t *testing.T) { // T-01, T-02, T-03
	onEveryStore(t, func(t *testing.T, w *world) {
		const chains, length = 10, 20
		rotations := 10_000
		if _, slow := w.store.(interface{ Close() error }); slow {
			rotations = 400
		} else if stress.Race {
			rotations = 2000
		}
		nodes := []*world{w, w.second(t)}
		users := make([]tokenjar.User, chains)
		for i := range users {
			users[i] = w.newUser(t, fmt.Sprint("user-", i))
		}
		var rivals, turnedAway, caught atomic.Int64
		batches := stress.Times(t, rotations) / (chains * length)
		for batch := range batches {
			grown := make([][]tokenjar.Grant, chains)
			var wg sync.WaitGroup
			for i := range chains {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(5, uint64(batch*chains+i)))
					first, err := w.OpenSession(context.Background(), users[i], tokenjar.Credentials{})
					if err != nil {
						t.Error(err)
						return
					}
					chain := []tokenjar.Grant{first}
					for range length {
						n := 2 + rng.IntN(4)
						if rng.IntN(60) == 0 {
							n = 200
						}
						next, away := rotateAtOnce(t, nodes, chain[len(chain)-1], n)
						if t.Failed() {
							return
						}
						rivals.Add(int64(n))
						turnedAway.Add(int64(away))
						chain = append(chain, next)
					}
					grown[i] = chain
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			for i, chain := range grown {
				node, newest := nodes[i%2], chain[length]
				if row := w.row(t, newest.SessionID); row.Generation != length+1 || !row.Live() {
					t.Fatalf("after %d rotations the row is %+v", length, row)
				}
				if _, err := node.Authenticate(newest.AccessToken); err != nil { // the newest is in use
					t.Fatal(err)
				}
				if err := node.FlushSeen(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.clock.advance(w.Timing().Grace + time.Second)
			for i, chain := range grown {
				copied := chain[length-1-i%length] // the one before the newest, and older ones
				for _, shown := range []tokenjar.Grant{copied, chain[length]} {
					_, err := nodes[(i+batch)%2].refresh(t, shown)
					wantErr(t, err, tokenjar.ErrSessionReused)
				}
				caught.Add(1)
			}
		}
		t.Logf("%d rotations with %d rivals: 0 forks, 0 signed out, %d turned away for being too many; %d of %d late replays caught",
			batches*chains*length, rivals.Load(), turnedAway.Load(), caught.Load(), batches*chains)
	}, func(c *tokenjar.Config) { c.MaxPerUser = 1000 })
}

// rotateAtOnce lets n rivals show one token at once, on all nodes, half of them on the way to a handler. All get one
// successor, but that some may be told they are too many.
func rotateAtOnce(t *testing.T, nodes []*world, g tokenjar.Grant, n int) (next tokenjar.Grant, turnedAway int) {
	t.Helper()
	grants, errs := make([]tokenjar.Grant, n), make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			grants[i], errs[i] = nodes[i%len(nodes)].Refresh(context.Background(), tokenjar.RefreshRequest{
				Token: g.RefreshToken, Renewal: i/2%2 == 0,
			})
		})
	}
	close(begin)
	wg.Wait()
	for i, err := range errs {
		switch {
		case err == nil && next.RefreshToken == "":
			next = grants[i]
		case err == nil && grants[i].RefreshToken != next.RefreshToken:
			t.Errorf("generation %d has two successors", g.Generation)
		case errors.Is(err, tokenjar.ErrTooManyReplays) && i/2%2 == 1 && n > tokenjar.MaxReplays:
			turnedAway++
		case err != nil:
			t.Errorf("of %d at generation %d, one got: %v", n, g.Generation, err)
		}
	}
	if next.Generation != g.Generation+1 {
		t.Errorf("generation %d was followed by %d", g.Generation, next.Generation)
	}
	return next, turnedAway
}
