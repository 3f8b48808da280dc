package torture

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/tokenjar/tokenjar/internal/plural"
)

// crowds are how many refreshes of one token there are at once. One crowd and the replays after it stay below the 64
// that a server answers.
var crowds = []int{2, 10, 60}

// tryParallel has one refresh token shown many times at once, spread over the nodes: R1, R6; and then once more on every
// node: R3.
func (r *run) tryParallel(ctx context.Context) error {
	s, err := r.live(ctx)
	if err != nil {
		return err
	}
	for _, n := range crowds {
		if err := r.crowd(ctx, s, n); err != nil {
			return err
		}
	}
	note := fmt.Sprintf("2, 10 and 60 refreshes of one token at once, over %s", plural.Count(len(r.nodes), "node", "nodes"))
	r.pass("R1", note)
	r.pass("R6", note+", by cookie and in the body")
	r.pass("R3", "two spent tokens shown again on every node")
	return nil
}

// crowd is one such moment. In that of ten half of them show the token in the body, as a client without cookies does.
func (r *run) crowd(ctx context.Context, s *session, n int) error {
	if err := r.budget.ready(ctx, n); err != nil {
		return err
	}
	spent := s.refresh
	answers, errs := make([]*answer, n), make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			if at := r.nodes[i%len(r.nodes)]; n == 10 && i/len(r.nodes)%2 == 1 {
				answers[i], errs[i] = r.refreshInBody(ctx, at, spent)
			} else {
				answers[i], errs[i] = r.refresh(ctx, at, s, spent)
			}
		})
	}
	close(start)
	group.Wait()
	for i := range n {
		if errs[i] != nil {
			return errs[i]
		}
		if err := answers[i].undecided(); err != nil {
			return err
		}
	}
	successors, err := r.judgeCrowd(s, spent, answers)
	if err != nil {
		return err
	}
	s.keep(successors[0].pair)
	if err := r.losersAreIn(ctx, s, answers); err != nil {
		return err
	}
	if n <= 10 {
		if err := r.replay(ctx, s, spent, successors); err != nil {
			return err
		}
	}
	if n == 10 && !s.spoiled {
		if err := r.shareIt(ctx, s, spent, successors); err != nil {
			return err
		}
	}
	if s.spoiled {
		return breakOff("after what was seen the session is good for nothing")
	}
	return nil
}

// judgeCrowd looks at all answers to one token. It returns one for each successor that was given: one in all.
func (r *run) judgeCrowd(s *session, spent jwt, answers []*answer) (successors []*answer, err error) {
	var turnedAway *answer
	granted, turned := 0, 0
	for _, a := range answers {
		if name := a.clears(); name != "" {
			r.fail("R6", fmt.Sprintf("%s answered %s to one of %d parallel refreshes and deleted the cookie %s", a.from, a, len(answers), name),
				"The browser's other tabs are signed out, though their session lives.",
				"what stands between: tokenjar deletes no cookie of a session that lives")
		}
		switch {
		case !a.ok():
			turned++
			turnedAway = a
		default:
			granted++
			if !slices.ContainsFunc(successors, func(b *answer) bool { return b.pair.refresh.same(a.pair.refresh) }) {
				successors = append(successors, a)
			}
		}
	}
	if granted == 0 {
		r.fail("R1", fmt.Sprintf("none of %d parallel refreshes of one token got a successor: %s", len(answers), turnedAway),
			"Whoever has several tabs open is signed out.", "the log of the nodes for this account, event session.revoked")
		s.over = true
		return nil, breakOff("the session is over")
	}
	r.count("lost race", granted-1)
	if turned > 0 {
		r.fail("R6", fmt.Sprintf("%d of %d parallel refreshes of one token were turned away, as with %s by %s", turned, len(answers),
			turnedAway, turnedAway.from),
			"The second of two tabs is signed out, or has to try again, though it did nothing wrong.",
			"session.grace, and whether all nodes have one secret, one database and one version")
	}
	first := successors[0]
	for _, a := range successors {
		switch t, u := first.pair.refresh, a.pair.refresh; {
		case u.id != t.id || u.generation != spent.generation+1:
			s.spoiled = true
			r.fail("R1", fmt.Sprintf("of %d parallel refreshes of a token of generation %d one got %s from %s, another %s from %s",
				len(answers), spent.generation, t, first.from, u, a.from),
				"The session has two branches: the next refresh of one of them looks like theft, and a thief can hide in the other.",
				"whether the nodes share one database and one secret, and whether the database claims a token in one statement")
		case !u.same(t):
			r.fail("R3", fmt.Sprintf("parallel refreshes got %s from %s, but %s from %s", t, first.from, u, a.from),
				"Two browsers hold successors that are not the same token.", "the version of the nodes, and their clocks")
		}
	}
	return successors, nil
}

// losersAreIn uses the access tokens of two different answers, on two nodes.
func (r *run) losersAreIn(ctx context.Context, s *session, answers []*answer) error {
	used := map[string]bool{}
	for i, a := range answers {
		if !a.ok() || used[a.pair.access.id] || len(used) == 2 {
			continue
		}
		used[a.pair.access.id] = true
		_, at := r.between(i)
		got, in, err := r.accepts(ctx, at, s, a.pair.access)
		if err != nil {
			return err
		}
		if !in {
			r.fail("R6", fmt.Sprintf("the access token that %s gave to one of %d parallel refreshes is refused by %s: %s", a.from,
				len(answers), at, got),
				"Whoever loses a race has an answer that is good for nothing.",
				"whether all nodes share one key ring, and their clocks")
		}
	}
	return nil
}

// replay shows a spent token once more on every node. The answer must be one that was given before.
func (r *run) replay(ctx context.Context, s *session, spent jwt, before []*answer) error {
	for _, n := range r.nodes {
		q, err := r.refreshRequest(ctx, n, s, spent)
		if err != nil {
			return err
		}
		if err := r.replayed(q, n, s, before); err != nil || s.spoiled {
			return err
		}
	}
	return nil
}

// shareIt shows a spent token as another client does, which whoever looks at the session is told of. That is noted a
// moment later, if the session has not gone on by then.
func (r *run) shareIt(ctx context.Context, s *session, spent jwt, before []*answer) error {
	q, err := r.refreshRequest(ctx, r.nodes[0], s, spent)
	if err != nil {
		return err
	}
	q.Header.Set("User-Agent", "tokenjar torture, as another client")
	if err := r.replayed(q, r.nodes[0], s, before); err != nil || s.spoiled {
		return err
	}
	r.count("shared", 1)
	return r.settle(ctx)
}

// replayed sends a refresh that shows a spent token, and judges its answer by those that there were.
func (r *run) replayed(q *http.Request, n *node, s *session, before []*answer) error {
	a, err := r.do(q, n)
	if err != nil {
		return err
	}
	if err := a.undecided(); err != nil {
		return err
	}
	switch {
	case !a.ok():
		s.spoiled = true
		r.fail("R3", fmt.Sprintf("a token that was spent a moment ago was answered %s by %s when it was shown again", a, n),
			"A tab that is a moment late is signed out.",
			"session.grace, and whether all nodes have one secret, one database and one version")
	case !slices.ContainsFunc(before, func(b *answer) bool { return b.pair.refresh.same(a.pair.refresh) }):
		s.spoiled = true
		r.fail("R3", fmt.Sprintf("%s gave %s; shown again to %s the same token gave %s", before[0].from, before[0].pair.refresh, n,
			a.pair.refresh),
			"A replay makes a sibling. The owner's next refresh looks like theft, or a thief's like the owner's.",
			"whether all nodes have the same lines in the secret, and one version")
	default:
		r.count("replay", 1)
		r.count("lost race", 1) // which counts both
	}
	return nil
}

// count notes that we have caused events that a server counts.
func (r *run) count(event string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally[event] += n
}
