package torture

import (
	"context"
	"fmt"
)

// tryLate asks for lost answers after the grace: R5. It waits for that twice.
//
//	lost   rt1 → rt2, which nobody uses   …the grace…   rt1 again: rt2   rt2 → rt3, unused   …the grace…   rt2 again: reuse
//	used   rt1 → rt2, used                …the grace…   rt1 again: reuse
func (r *run) tryLate(ctx context.Context) error {
	if r.cfg.Grace > shortGrace && !r.cfg.Slow {
		r.notTried("R5", fmt.Sprintf("it takes two waits of more than the grace, %s: give --slow", r.cfg.Grace))
		return nil
	}
	lost, err := r.live(ctx)
	if err != nil {
		return err
	}
	used, err := r.live(ctx, lost)
	if err != nil {
		return err
	}
	first := lost.refresh
	firstAnswer, err := r.rotate(ctx, r.nodes[0], lost)
	if err != nil {
		return err
	}
	old := used.refresh
	if _, err = r.rotate(ctx, r.nodes[0], used); err != nil {
		return err
	}
	if _, _, err := r.accepts(ctx, r.nodes[0], used, used.access); err != nil {
		return err
	}
	if err := r.waitGrace(ctx); err != nil {
		return err
	}

	_, at := r.between(0)
	grace := r.cfg.Grace
	const setting = "session.grace: is it longer than --grace says? Then the version of the nodes"
	a, err := r.show(ctx, at, lost, first)
	switch {
	case err != nil:
		return err
	case !a.ok():
		lost.over = true
		r.fail("R5", fmt.Sprintf("a token whose answer had been lost was answered %s after the grace of %s by %s", a, grace, at),
			"A laptop that closes while its answer is on the way is signed out when it wakes up.",
			"the version of the nodes, and whether something else has used the successor")
	case !a.pair.refresh.same(firstAnswer.pair.refresh):
		lost.keep(a.pair)
		r.fail("R5", fmt.Sprintf("the lost answer had %s; asked for again after the grace it has %s", firstAnswer.pair.refresh, a.pair.refresh),
			"The session has two branches.", "the secret of the nodes")
	default:
		lost.keep(a.pair)
		r.count("late retry", 1)
	}
	a, err = r.show(ctx, at, used, old)
	switch {
	case err != nil:
		return err
	case a.ok():
		used.keep(a.pair)
		r.fail("R5", fmt.Sprintf("a token was answered %s after the grace of %s by %s, though its successor had been used", outcome(a), grace, at),
			"A stolen token works for longer than the grace after its owner has gone on.", setting)
	default:
		used.over = true
		r.count("reuse", 1)
	}
	if r.failed("R5") {
		lost.spoiled, used.spoiled = true, true
		return nil
	}

	second := lost.refresh
	if _, err := r.rotate(ctx, at, lost); err != nil {
		return err
	}
	if err := r.waitGrace(ctx); err != nil {
		return err
	}
	if a, err = r.show(ctx, r.nodes[0], lost, second); err != nil {
		return err
	}
	if a.ok() {
		lost.keep(a.pair)
		lost.spoiled = true
		r.fail("R5", fmt.Sprintf("a lost answer was given again after the grace by %s a second time, one rotation after the first", r.nodes[0]),
			"A thief who always comes first makes the owner live on late retries, and is never noticed.", setting)
		return nil
	}
	lost.over = true
	r.count("reuse", 1)
	r.pass("R5", fmt.Sprintf("asked again %s after the grace of %s: an unused answer once and not twice, a used one never", margin, grace))
	return nil
}

func (r *run) waitGrace(ctx context.Context) error {
	wait := r.cfg.Grace + margin
	r.cfg.Progress(fmt.Sprintf("waiting %s, until the grace is over", wait))
	return r.cfg.Sleep(ctx, wait)
}

// show shows a refresh token and breaks off when the answer says nothing about it.
func (r *run) show(ctx context.Context, n *node, s *session, token jwt) (*answer, error) {
	a, err := r.refresh(ctx, n, s, token)
	if err != nil {
		return nil, err
	}
	return a, a.undecided()
}

// rotate spends the newest token of a session and keeps its successor.
func (r *run) rotate(ctx context.Context, n *node, s *session) (*answer, error) {
	a, err := r.show(ctx, n, s, s.refresh)
	if err != nil {
		return nil, err
	}
	if !a.ok() {
		s.over = true
		return nil, breakOff("%s answered %s to the newest token of a session", n, a)
	}
	s.keep(a.pair)
	return a, nil
}
