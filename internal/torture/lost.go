package torture

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar/internal/plural"
)

// settle waits while a request that was sent and given up may still be on its way, before its session goes on. If it came
// later it would show a token older than the one before, as a copy does. How long that is depends on the server: four times
// as long as its slowest answer so far took, a second at least, and no longer than an answer is waited for.
func (r *run) settle(ctx context.Context) error {
	r.mu.Lock()
	wait := min(max(4*r.slowest, time.Second), requestTimeout)
	r.mu.Unlock()
	return r.cfg.Sleep(ctx, wait)
}

// tryLostAnswers throws answers away and asks again elsewhere, and spends every successor elsewhere as soon as it is
// there: R2. The long chain of refreshes also shows how long access tokens live.
func (r *run) tryLostAnswers(ctx context.Context) error {
	s, err := r.live(ctx)
	if err != nil {
		return err
	}
	for i := range r.nodes {
		for _, when := range []moment{onceBegun, onceSent} {
			if err := r.lose(ctx, s, i, when); err != nil {
				return err
			}
		}
	}
	for i := range wantedLives {
		from, at := r.between(i)
		before := s.refresh
		a, err := r.refresh(ctx, at, s, before)
		if err != nil {
			return err
		}
		if err := a.undecided(); err != nil {
			return err
		}
		if !a.ok() || a.pair.refresh.generation != before.generation+1 {
			s.over = !a.ok()
			r.fail("R2", fmt.Sprintf("the token that %s had handed out a moment before was answered %s by %s", from, outcome(a), at),
				"An answer was given before it was in the database, or not all nodes read the same one. A crash, or the next node, "+
					"signs the user out.",
				"whether the nodes share one database, whether it is a replica that lags, and its synchronous settings")
			return breakOff("after what was seen the session is good for nothing")
		}
		s.keep(a.pair)
		r.noteClock(a)
		r.count("rotation", 1)
	}
	r.pass("R2", fmt.Sprintf("%s thrown away and asked for again, %d successors spent as soon as they were there",
		plural.Count(2*len(r.nodes), "answer", "answers"), wantedLives), "that a crash loses nothing can only be tried where the server runs")
	return nil
}

// outcome says what became of a token that was shown.
func outcome(a *answer) string {
	if a.ok() {
		return "with " + a.pair.refresh.String()
	}
	return a.String()
}

// lose throws one answer away and asks for it again on the next node.
func (r *run) lose(ctx context.Context, s *session, i int, when moment) error {
	from, again := r.between(i)
	before := s.refresh
	if err := r.drop(ctx, from, s, before, when); err != nil {
		return err
	}
	a, err := r.refresh(ctx, again, s, before)
	if err != nil {
		return err
	}
	if err := a.undecided(); err != nil {
		return err
	}
	if !a.ok() || a.pair.refresh.generation != before.generation+1 {
		s.over = !a.ok()
		r.fail("R2", fmt.Sprintf("an answer of %s to a token of generation %d was thrown away %s; asked again, %s answered %s", from,
			before.generation, when, again, outcome(a)),
			"A user whose answer is lost on the way, in a tunnel or at a restart, is signed out.",
			"session.grace, and whether the nodes share one database and one secret")
		return breakOff("after what was seen the session is good for nothing")
	}
	s.keep(a.pair)
	if when == onceSent {
		return r.settle(ctx)
	}
	return nil
}
