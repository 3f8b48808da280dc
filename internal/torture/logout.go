package torture

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar/internal/plural"
)

// tryLogout signs out while refreshes are in flight: R9.
func (r *run) tryLogout(ctx context.Context) error {
	var delays []time.Duration
	for i := range r.cfg.Rounds {
		r.cfg.Progress(fmt.Sprintf("sign-out against refresh, %d of %d", i+1, r.cfg.Rounds))
		found, err := r.logoutRound(ctx, i)
		if err != nil {
			return err
		}
		if delays = append(delays, found...); r.failed("R9") {
			return nil
		}
	}
	notes := []string{fmt.Sprintf("%s; on the node that was asked nothing was accepted after its answer", plural.Count(r.cfg.Rounds, "round", "rounds"))}
	if len(delays) > 0 {
		p50, p99, worst := percentiles(delays)
		r.figures("R9", map[string]float64{
			"samples": float64(len(delays)), "p50_ms": milliseconds(p50), "p99_ms": milliseconds(p99), "worst_ms": milliseconds(worst),
		})
		notes = append(notes, fmt.Sprintf("on the others it held after %d ms (p50), %d ms (p99), %d ms at worst, looked at every %d ms",
			p50.Milliseconds(), p99.Milliseconds(), worst.Milliseconds(), poll.Milliseconds()))
	}
	r.pass("R9", notes...)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Round(time.Millisecond).Milliseconds()) }

// percentiles of a list that is not empty, by the nearest rank.
func percentiles(list []time.Duration) (p50, p99, worst time.Duration) {
	list = slices.Sorted(slices.Values(list))
	rank := func(p int) time.Duration { return list[(len(list)*p+99)/100-1] }
	return rank(50), rank(99), rank(100)
}

// logoutRound has several refreshes on every node and one sign-out. In turn the sign-out is sent with them, after the
// first of them is answered, and after half of them are.
func (r *run) logoutRound(ctx context.Context, i int) ([]time.Duration, error) {
	asked, at := r.between(i)
	s, err := r.login(ctx, at)
	if err != nil {
		return nil, err
	}
	n := min(max(4, 2*len(r.nodes)), Burst/2)
	if err := r.budget.ready(ctx, n+3); err != nil { // with what must follow at once
		return nil, err
	}
	wait := []int{0, 1, n / 2}[i%3]
	answered := make(chan struct{}, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	refreshed, errs := make([]*answer, n), make([]error, n)
	for j := range n {
		group.Go(func() {
			<-start
			refreshed[j], errs[j] = r.refresh(ctx, r.nodes[j%len(r.nodes)], s, s.refresh)
			answered <- struct{}{}
		})
	}
	close(start)
	for range wait {
		<-answered
	}
	s.spoiled = true
	out, err := r.logout(ctx, asked, s)
	if err != nil {
		group.Wait()
		return nil, err
	}
	if out.status != http.StatusOK {
		group.Wait()
		return nil, breakOff("%s answered %s to a sign-out", asked, out)
	}
	// At once, before the refreshes are waited for: what the browser held when it signed out.
	delays, dead, err := r.afterLogout(ctx, s, s.pair, out)
	group.Wait()
	if err != nil || !dead {
		return nil, err
	}
	// And what the refreshes have brought.
	shown := map[string]bool{s.access.id: true}
	for j, a := range refreshed {
		switch {
		case errs[j] != nil:
			return nil, errs[j]
		case !a.ok() || shown[a.pair.access.id]:
			continue
		}
		shown[a.pair.access.id] = true
		if _, dead, err := r.afterLogout(ctx, s, a.pair, out); err != nil || !dead {
			return nil, err
		}
	}
	s.over = true
	r.count("logout", 1)
	return delays, nil
}

// afterLogout judges one pair of tokens after the sign-out was answered.
func (r *run) afterLogout(ctx context.Context, s *session, p pair, out *answer) (delays []time.Duration, dead bool, err error) {
	delays, alive, err := r.gone(ctx, s, p, out)
	if err != nil {
		return nil, false, err
	}
	if alive != "" {
		r.fail("R9", alive, "Somebody who has signed out, on a machine that others use, is still signed in.",
			"on the node that was asked, its version; on another one tokenjar_revocation_staleness_seconds, token.session_check, and "+
				"whether it shares the database")
	}
	return delays, alive == "", nil
}
