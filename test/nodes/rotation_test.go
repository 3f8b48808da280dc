package nodes

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/history"
	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/internal/stress"
)

// However many ask several nodes at once for the successor of one token, there is one, everybody is told it, and nobody is
// signed out. Whoever shows the token after the grace, when its successor was used, ends the session, at any node.
func TestT02RivalsOnSeveralNodesGetOneSuccessor(t *testing.T) {
	t.Parallel()
	// The third node is asked directly, and by its settings the grace is over after a second: what comes within a minute
	// is a replay for the two others and late for that one, so that nobody has to wait for a minute.
	dsn := pgtest.Schema(t)
	c := start(t, setup{nodes: 3, behind: 2, database: dsn, each: func(n *node) {
		n.settings["SESSION_GRACE"] = longGrace
		if n.name == "node 3" {
			n.settings["SESSION_GRACE"] = "1s"
		}
		if stress.Times(t, 1) > 1 {
			n.settings["LOG_LEVEL"] = "warn"
		}
	}})
	sizes := []int{2, 3, 5, 8, 16, 40, 64, 120, 200}
	total := stress.Times(t, 10_000)
	const chains = 4
	var f faults
	var rotations, limited, busy, tokens atomic.Int64
	began := time.Now()
	var running sync.WaitGroup
	for chain := range chains {
		running.Go(func() {
			rival := c.http(nil, "ada", false, &f)
			j := &history.Journal{}
			newest := signIn(t, j, rival)
			for i := chain; rotations.Load() < int64(total) && newest.Outcome == history.OK && !t.Failed(); i++ {
				n := sizes[i%len(sizes)]
				answers := make([]history.Answer, n)
				var rivals sync.WaitGroup
				for r := range n {
					rivals.Go(func() {
						for range 5 { // a machine with other work may answer 503 in time of need: then one asks again
							answers[r] = asked(t.Context(), j, fmt.Sprint("rival ", r), history.Refresh, newest.Tokens, rival.Refresh)
							if answers[r].Outcome != history.Unknown || answers[r].Err != nil {
								break
							}
							busy.Add(1)
						}
					})
				}
				rivals.Wait()
				rotations.Add(int64(n))
				tokens.Add(1)
				before := newest
				newest = history.Answer{}
				for _, a := range answers {
					switch {
					case a.Outcome == history.Refused && n > tokenjar.MaxReplays: // so many replays of one token are turned away
						limited.Add(1)
					case a.Outcome != history.OK:
						t.Errorf("chain %d, %d rivals: %s %v", chain, n, a.Note, a.Err)
					case newest.Outcome == history.OK && newest.Refresh != a.Refresh:
						t.Errorf("chain %d, %d rivals: a fork: successors %s and %s", chain, n, history.Name(newest.Refresh), history.Name(a.Refresh))
					case a.Refresh == before.Refresh:
						t.Errorf("chain %d, %d rivals: the token itself was given again", chain, n)
					default:
						newest = a
					}
				}
				if now := rotations.Load(); now*10/int64(total) != (now-int64(n))*10/int64(total) && total > 10_000 {
					t.Logf("%s: %d of %d", time.Since(began).Round(time.Second), now, total)
				}
				if len(j.Ops()) > 5000 { // a long run is checked piece by piece
					checkChain(t, j)
					*j = history.Journal{}
					newest = signIn(t, j, rival)
				}
			}
			checkChain(t, j)
		})
	}
	running.Wait()
	f.check(t)
	t.Logf("%d rotations of %d tokens at 2 nodes in %s; %d turned away for too many replays, %d asked again after 503",
		rotations.Load(), tokens.Load(), time.Since(began).Round(time.Millisecond), limited.Load(), busy.Load())
	if busy.Load() > rotations.Load()/100 {
		t.Error("more than one in a hundred was told 503")
	}
	if !t.Failed() {
		t.Log("0 forks, 0 people signed out")
	}
	lateReplays(t, c, dsn, stress.Times(t, 30))
}

// checkChain checks the history of a session.
func checkChain(t *testing.T, j *history.Journal) {
	t.Helper()
	if err := history.Check(j.Ops(), history.Rules{Grace: true, Timeout: 10 * time.Minute}); err != nil {
		t.Error(err)
	}
}

// signIn opens a session, and writes that down.
func signIn(t *testing.T, j *history.Journal, client history.Client) history.Answer {
	t.Helper()
	a := asked(t.Context(), j, "sign-in", history.Login, history.Tokens{}, func(ctx context.Context, _ history.Tokens) history.Answer {
		return client.Login(ctx)
	})
	if a.Outcome != history.OK {
		t.Errorf("sign-in: %s %v", a.Note, a.Err)
	}
	return a
}

// lateReplays shows n tokens when their successors have been used and the grace is over: every one is caught.
func lateReplays(t *testing.T, c *cluster, dsn string, n int) {
	t.Helper()
	var f faults
	first, second, strict := c.http(c.nodes[0], "ada", false, &f), c.http(c.nodes[1], "ada", false, &f), c.http(c.nodes[2], "ada", false, &f)
	pool := pgtest.Pool(t, dsn)
	ctx := t.Context()
	ok := func(a history.Answer) history.Answer {
		t.Helper()
		if a.Outcome != history.OK {
			t.Fatalf("%s %v", a.Note, a.Err)
		}
		return a
	}
	for done := 0; done < n; {
		batch := min(n-done, 30)
		parents, successors := make([]history.Tokens, batch), make([]history.Tokens, batch)
		for i := range batch {
			parents[i] = ok(first.Login(ctx)).Tokens
			successors[i] = ok(second.Refresh(ctx, parents[i])).Tokens
			ok(first.Read(ctx, successors[i]))
		}
		eventually(t, "the use of the successors is noted, and a second has passed", func() bool {
			var open int
			err := pool.QueryRow(ctx, `SELECT count(*) FROM sessions WHERE id = ANY($1) AND
				NOT (successor_seen AND rotated_at < extract(epoch FROM now()) * 1000 - 1100)`, sessionsOf(successors)).Scan(&open)
			if err != nil {
				t.Fatal(err)
			}
			return open == 0
		})
		for i := range batch {
			if a := strict.Refresh(ctx, parents[i]); a.Outcome != history.Ended || !strings.Contains(a.Note, "session_reused") {
				t.Errorf("late replay %d: %s, want session_reused", done+i, a.Note)
			}
			for _, node := range []*history.HTTP{first, second, strict} {
				if a := node.Refresh(ctx, successors[i]); a.Outcome != history.Ended {
					t.Errorf("after late replay %d the successor is answered with %s", done+i, a.Note)
				}
			}
		}
		done += batch
	}
	f.check(t)
	if !t.Failed() {
		t.Logf("%d of %d late replays caught", n, n)
	}
}

func sessionsOf(list []history.Tokens) []string {
	var ids []string
	for _, t := range list {
		ids = append(ids, t.Session)
	}
	return slices.Clip(ids)
}

// Sign-out at one node and refreshes at another, in whatever order they meet: what was told can be explained by one order
// of events, so that no refresh succeeds after a sign-out was answered.
func TestT11RefreshesAndSignOutsOnSeveralNodes(t *testing.T) {
	t.Parallel()
	c := start(t, setup{settings: map[string]string{"SESSION_GRACE": longGrace, "LOG_LEVEL": "warn"}})
	var f faults
	total := stress.Times(t, 30)
	var wg sync.WaitGroup
	const lanes = 3
	var done, beaten atomic.Int64
	for lane := range lanes {
		wg.Go(func() {
			cookies := lane%2 == 0
			at := func(n *node) *history.HTTP { return c.http(n, "ada", cookies, &f) }
			j := &history.Journal{}
			for n := done.Add(1); int(n) <= total && !t.Failed(); n = done.Add(1) {
				progress(t, int(n), total)
				*j = history.Journal{}
				in := signIn(t, j, at(nil))
				if in.Outcome != history.OK {
					return
				}
				var rivals sync.WaitGroup
				for i, n := range []*node{c.nodes[0], c.nodes[1], nil} {
					client := at(n)
					rivals.Go(func() {
						with := in.Tokens
						for range 3 {
							a := asked(t.Context(), j, fmt.Sprint("refresh ", i), history.Refresh, with, client.Refresh)
							if a.Err != nil {
								t.Errorf("refresh: %v", a.Err)
							}
							if a.Outcome != history.OK || a.Refresh == "" {
								beaten.Add(1)
								return
							}
							with = a.Tokens
						}
					})
				}
				out := at(c.nodes[n%2])
				rivals.Go(func() {
					if a := asked(t.Context(), j, "sign-out", history.Revoke, in.Tokens, out.Revoke); a.Outcome != history.OK {
						t.Errorf("sign-out: %s %v", a.Note, a.Err)
					}
				})
				rivals.Wait()
				for i, n := range c.nodes {
					asked(t.Context(), j, fmt.Sprint("afterwards ", i), history.Refresh, in.Tokens, c.http(n, "ada", false, &f).Refresh)
				}
				if err := history.Check(j.Ops(), history.Rules{Grace: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	f.check(t)
	if beaten.Load() == 0 {
		t.Error("no sign-out came before a refresh: nothing was tested")
	}
	t.Logf("%d races, %d refreshes came after the sign-out", total, beaten.Load())
}

// A session goes round the nodes with every request, and none of them knows less than another.
func TestAnyNodeServesAnyRequest(t *testing.T) {
	t.Parallel()
	c := start(t, setup{})
	b := c.browser(t, nil)
	b.signIn(t, "ada")
	served := make(map[string]int)
	for i := range 20 {
		if i%3 == 0 {
			b.set("access_token", "")
		}
		served[b.want(t, http.StatusOK, "GET", "/auth/user", nil).header.Get("X-Node")]++
		if i%4 == 0 {
			served[b.want(t, http.StatusOK, "POST", "/auth/token/refresh", nil).header.Get("X-Node")]++
		}
	}
	if len(served) != len(c.nodes) {
		t.Errorf("nginx asked %v, want all of %d nodes", served, len(c.nodes))
	}
	b.want(t, http.StatusOK, "POST", "/auth/logout", nil)
	for range c.nodes {
		b.want(t, http.StatusUnauthorized, "GET", "/auth/user", nil)
	}
}
