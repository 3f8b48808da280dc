package torture

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar/internal/plural"
)

const sessionReused = "session_reused"

// tryReuse shows a token that is two generations old: R4. Another session of the account must live on: R7.
func (r *run) tryReuse(ctx context.Context) error {
	s, err := r.live(ctx)
	if err != nil {
		return err
	}
	bystander, err := r.live(ctx, s)
	if err != nil {
		return err
	}
	old := s.refresh
	for i := range 2 {
		n, _ := r.between(i)
		if _, err := r.rotate(ctx, n, s); err != nil {
			return err
		}
	}
	at := r.nodes[0] // the one that spent it, and may keep its answer still
	a, err := r.show(ctx, at, s, old)
	if err != nil {
		return err
	}
	const lookAt = "the version of the nodes, and what they do with the database"
	switch {
	case a.ok():
		r.fail("R4", fmt.Sprintf("%s answered a token that was two generations old with %s", at, a.pair.refresh),
			"A stolen token goes on working after its owner has used it twice: theft is not noticed.", lookAt)
		s.keep(a.pair)
		s.spoiled = true
		r.notTried("R7", "no reuse was noticed: see R4")
		return nil
	case a.code != sessionReused:
		r.fail("R4", fmt.Sprintf("%s answered %s, not %s, to a token that was two generations old", at, a, sessionReused),
			"The owner is not told that a copy of the token was used.", lookAt)
	}
	if dead, err := r.deadEverywhere(ctx, s, a); err != nil {
		return err
	} else if s.over, s.spoiled = dead, true; dead {
		r.count("reuse", 1)
	} else if a.code != sessionReused {
		r.notTried("R7", "no reuse was noticed: see R4")
		return nil
	}
	r.pass("R4", "a token two generations old, within the grace; then every token of its session on every node")
	return r.livesOn(ctx, bystander)
}

// deadEverywhere makes sure that the newest tokens of a session are accepted no more.
func (r *run) deadEverywhere(ctx context.Context, s *session, over *answer) (bool, error) {
	_, alive, err := r.gone(ctx, s, s.pair, over)
	if err == nil && alive != "" {
		r.fail("R4", alive, "Whoever has a copy of the token stays signed in.",
			"whether the nodes share one database and hear of what is revoked in it: tokenjar_revocation_staleness_seconds")
	}
	return err == nil && alive == "", err
}

// livesOn makes sure that a session is accepted, refreshed and accepted again on every node.
func (r *run) livesOn(ctx context.Context, s *session) error {
	for _, n := range r.nodes {
		a, in, err := r.accepts(ctx, n, s, s.access)
		if err != nil {
			return err
		}
		what := "access token"
		if in {
			what = "refresh token"
			if a, err = r.show(ctx, n, s, s.refresh); err != nil {
				return err
			}
			in = a.ok()
		}
		if !in {
			s.over = true
			r.fail("R7", fmt.Sprintf("after a copied token had ended one session, %s answered %s to the %s of another session of the "+
				"same account", n, a, what),
				"Who steals one token can sign the user out everywhere.",
				"a program of yours that ends all sessions of a user at the event session.revoked")
			return nil
		}
		s.keep(a.pair)
	}
	r.pass("R7", fmt.Sprintf("another session of the account was used and refreshed on %s after that", plural.Count(len(r.nodes), "node", "nodes")))
	return nil
}

const poll = 50 * time.Millisecond

// gone shows both tokens of a session that has ended to every node until they are refused. The answer is the one that
// said that the session is over. delays are how long it took on the nodes that were not asked; alive says what was still
// accepted too late, "" if nothing was.
func (r *run) gone(ctx context.Context, s *session, p pair, over *answer) (delays []time.Duration, alive string, err error) {
	if alive, err = r.shown(ctx, over.from, s, p, over, 0); alive != "" || err != nil {
		return nil, alive, err
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, n := range r.nodes {
		if n == over.from {
			continue
		}
		group.Go(func() {
			took, late, failed := r.until(ctx, n, s, p, over)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case failed != nil:
				err = failed
			case late != "":
				alive = late
			default:
				delays = append(delays, took)
			}
		})
	}
	group.Wait()
	return delays, alive, err
}

// until polls one node until it refuses both tokens.
func (r *run) until(ctx context.Context, n *node, s *session, p pair, over *answer) (took time.Duration, late string, err error) {
	for {
		accepted, err := r.shown(ctx, n, s, p, over, Bound)
		switch {
		case err != nil:
			return 0, "", err
		case accepted == stillIn:
		case accepted != "":
			return 0, accepted, nil
		default:
			return r.cfg.Now().Sub(over.got), "", nil
		}
		if err := r.cfg.Sleep(ctx, poll); err != nil {
			return 0, "", err
		}
	}
}

// stillIn says that a token is accepted, but may be.
const stillIn = "."

// shown shows both tokens to a node. It returns "" when it refuses both, what was accepted when that was sent later than
// within after the end, and stillIn when it was sent earlier.
func (r *run) shown(ctx context.Context, n *node, s *session, p pair, over *answer, within time.Duration) (string, error) {
	accepted := func(a *answer, what string) string {
		after := a.sent.Sub(over.got)
		if within > 0 && after <= within {
			return stillIn
		}
		return fmt.Sprintf("%s of a session whose end %s had answered was accepted by %s %d ms later", what, over.from, n,
			after.Milliseconds())
	}
	a, in, err := r.accepts(ctx, n, s, p.access)
	if err != nil {
		return "", err
	}
	if in {
		return accepted(a, "an access token"), nil
	}
	if a, err = r.show(ctx, n, s, p.refresh); err != nil {
		return "", err
	}
	if a.status == http.StatusOK {
		return accepted(a, "a refresh token"), nil
	}
	return "", nil
}
