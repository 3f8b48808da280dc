package postgres

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// A gate keeps the only worker of a store before its first batch, so that what comes meanwhile is the second one.
type gate struct {
	reached, open chan struct{}
	sizes         []int // of batches; read once all calls are answered
}

func newGate() *gate {
	return &gate{reached: make(chan struct{}, 1), open: make(chan struct{})}
}

func (g *gate) batch(size int) {
	g.sizes = append(g.sizes, size)
	if len(g.sizes) == 1 {
		g.reached <- struct{}{}
		<-g.open
	}
}

type answer struct {
	verdict tokenjar.Verdict
	err     error
}

// inOneBatch sends rotations so that they are spent together, and does something before they are.
func inOneBatch(t *testing.T, s *Store, g *gate, before func(), rotations ...tokenjar.Rotation) []answer {
	t.Helper()
	first := login(t, s)
	go s.Rotate(context.Background(), show(first, 1))
	<-g.reached
	answers := make([]answer, len(rotations))
	done := make(chan struct{})
	for i, r := range rotations {
		go func() {
			answers[i].verdict, answers[i].err = s.Rotate(context.Background(), r)
			done <- struct{}{}
		}()
		until(t, "the spend waits", func() bool { return len(s.spender.queue) == i+1 })
	}
	before()
	close(g.open)
	for range rotations {
		<-done
	}
	if g.sizes[1] != len(rotations) {
		t.Fatalf("batches: got %v, want one of %d", g.sizes, len(rotations))
	}
	return answers
}

func gated(t *testing.T, cfg Config) (*Store, *gate, string) {
	t.Helper()
	g, dsn := newGate(), pgtest.Schema(t)
	return openAt(t, dsn, cfg, tuning{workers: 1, hooks: hooks{batch: g.batch}}), g, dsn
}

func nothing() {}

func TestTwoOfOneTokenInABatchAreOneRotationAndOneReplay(t *testing.T) {
	s, g, _ := gated(t, quiet())
	id, other := login(t, s), login(t, s)
	count := make(map[tokenjar.Outcome]int)
	for _, a := range inOneBatch(t, s, g, nothing, show(id, 1), show(other, 1), show(id, 1)) {
		if a.err != nil {
			t.Fatal(a.err)
		}
		count[a.verdict.Outcome]++
	}
	if count[tokenjar.OutcomeRotated] != 2 || count[tokenjar.OutcomeGraceReplay] != 1 {
		t.Errorf("outcomes: got %v, want two rotated and a replay", count)
	}
	row, err := s.Session(t.Context(), other)
	if err != nil || row.Generation != 2 {
		t.Errorf("the other session: got generation %d and %v, want 2", row.Generation, err)
	}
}

func TestARowThatCannotBeWrittenFailsAloneInItsBatch(t *testing.T) {
	s, g, dsn := gated(t, quiet())
	good, bad, alsoGood := login(t, s), login(t, s), login(t, s)
	if _, err := pgtest.Pool(t, dsn).Exec(t.Context(), `UPDATE sessions SET gen = $1 WHERE id = $2`, int64(math.MaxInt64), bad); err != nil {
		t.Fatal(err)
	}
	answers := inOneBatch(t, s, g, nothing, show(good, 1), show(bad, 1), show(alsoGood, 1))
	for i, a := range answers {
		if (a.err != nil) != (i == 1) || i != 1 && a.verdict.Outcome != tokenjar.OutcomeRotated {
			t.Errorf("spend %d: got %s and %v", i, a.verdict.Outcome, a.err)
		}
	}
}

func TestARowThatSomebodyHoldsFailsAloneInItsBatch(t *testing.T) {
	cfg := quiet()
	cfg.Timeout = 3 * time.Second
	s, g, dsn := gated(t, cfg)
	good, held := login(t, s), login(t, s)
	begun, err := pgtest.Pool(t, dsn).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begun.Exec(t.Context(), `SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE`, held); err != nil {
		t.Fatal(err)
	}
	answers := inOneBatch(t, s, g, nothing, show(good, 1), show(held, 1))
	if a := answers[0]; a.err != nil || a.verdict.Outcome != tokenjar.OutcomeRotated {
		t.Errorf("the free row: got %s and %v", a.verdict.Outcome, a.err)
	}
	wantUnavailable(t, answers[1].err)
	if err := begun.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, s, held, 1, tokenjar.OutcomeRotated)
}

func TestABatchWhoseCommitIsInDoubtIsInDoubtForAll(t *testing.T) {
	cfg := quiet()
	cfg.Timeout = time.Minute
	s, g, dsn := gated(t, cfg)
	a, held := login(t, s), login(t, s)
	pool := pgtest.Pool(t, dsn)
	begun, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Rollback(context.Background())
	if _, err := begun.Exec(t.Context(), `SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE`, held); err != nil {
		t.Fatal(err)
	}
	holder := begun.Conn().PgConn().PID()
	for _, answer := range inOneBatch(t, s, g, func() {
		go func() { // as soon as the batch waits for the row, it loses its connection
			for ended := 0; ended == 0; time.Sleep(time.Millisecond) {
				err := pool.QueryRow(context.Background(), `
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))`, holder).Scan(&ended)
				if err != nil {
					return
				}
			}
		}()
	}, show(a, 1), show(held, 1)) {
		wantUnavailable(t, answer.err)
	}
	if err := begun.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, s, a, 1, tokenjar.OutcomeRotated)
	wantOutcome(t, s, held, 1, tokenjar.OutcomeRotated)
}

func TestWhoDoesNotFitIsTurnedAwayAtOnce(t *testing.T) {
	g := newGate()
	cfg := quiet()
	cfg.Queue = 3
	s := openAt(t, pgtest.Schema(t), cfg, tuning{workers: 1, hooks: hooks{batch: g.batch}})
	id := login(t, s)
	answers := make(chan error, 4)
	rotate := func() {
		_, err := s.Rotate(context.Background(), show(id, 1))
		answers <- err
	}
	go rotate()
	<-g.reached
	for i := range 3 {
		go rotate()
		until(t, "the spend waits", func() bool { return len(s.spender.queue) == i+1 })
	}
	_, err := s.Rotate(t.Context(), show(id, 1))
	wantUnavailable(t, err)
	if !errors.Is(err, errQueueFull) {
		t.Errorf("got %v, want %v", err, errQueueFull)
	}
	close(g.open)
	for range 4 {
		if err := <-answers; err != nil {
			t.Errorf("a spend that fitted: %v", err)
		}
	}
}

func TestWhoLeavesEarlyDoesNotDisturbTheOthers(t *testing.T) {
	s, g, _ := gated(t, quiet())
	stays, leaves := login(t, s), login(t, s)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	answers := inOneBatch(t, s, g, func() {
		go func() {
			_, err := s.Rotate(ctx, show(leaves, 1))
			left <- err
		}()
		until(t, "the spend waits", func() bool { return len(s.spender.queue) == 2 })
		leave()
		err := <-left
		wantUnavailable(t, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the context ended", err)
		}
	}, show(stays, 1))
	if a := answers[0]; a.err != nil || a.verdict.Outcome != tokenjar.OutcomeRotated {
		t.Errorf("who stayed: got %s and %v", a.verdict.Outcome, a.err)
	}
	wantOutcome(t, s, leaves, 1, tokenjar.OutcomeRotated) // it was never made
}

func TestALoneCallerWaitsForNobody(t *testing.T) {
	var sizes []int
	s := openAt(t, pgtest.Schema(t), quiet(), tuning{hooks: hooks{batch: func(n int) { sizes = append(sizes, n) }}})
	id := login(t, s)
	for n := range int64(20) {
		wantOutcome(t, s, id, n+1, tokenjar.OutcomeRotated)
	}
	if len(sizes) != 20 {
		t.Errorf("batches: got %v, want 20 of one", sizes)
	}
}

func TestACloseAnswersWhoWaits(t *testing.T) {
	s, g, _ := gated(t, quiet())
	id := login(t, s)
	done := make(chan error, 1)
	go func() {
		_, err := s.Rotate(context.Background(), show(id, 1))
		done <- err
	}()
	<-g.reached
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	until(t, "the store is being closed", s.closed.Load)
	close(g.open)
	<-closed
	if err := <-done; err != nil {
		wantUnavailable(t, err)
	}
	_, err := s.Rotate(t.Context(), show(id, 1))
	wantUnavailable(t, err)
	_, err = s.Session(t.Context(), id)
	wantUnavailable(t, err)
}

// Sign-ins, revocations and rotations of the same sessions in every order wait for each other, never for ever.
func TestNoTwoTransactionsWaitForEachOther(t *testing.T) {
	cfg, dsn := quiet(), pgtest.Schema(t)
	cfg.Timeout = time.Minute
	a, b := openAt(t, dsn, cfg, tuning{}), openAt(t, dsn, cfg, tuning{workers: 2, always: true})
	var ids []string
	for range 40 {
		ids = append(ids, login(t, a))
	}
	failed := make(chan error, 100)
	done := make(chan struct{})
	work := func(do func(i int) error) {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 30 {
				if err := do(i); err != nil {
					failed <- err
				}
			}
		}()
	}
	backwards := func(i int) []string { // other orders than the ids'
		return []string{ids[(7*i)%40], ids[(3*i+1)%40], ids[(39*i)%40], ids[i%40]}
	}
	for _, s := range []*Store{a, b} {
		for w := range 8 {
			work(func(i int) error {
				id := ids[(i*11+w*5)%40]
				_, err := s.Rotate(context.Background(), show(id, 1))
				return err
			})
		}
		work(func(i int) error {
			var seen []tokenjar.Seen
			for _, id := range backwards(i) {
				seen = append(seen, tokenjar.Seen{SessionID: id, Generation: 2})
			}
			return s.MarkSeen(context.Background(), seen)
		})
		work(func(i int) error {
			_, err := s.RevokeSessions(context.Background(), "", backwards(i), tokenjar.ReasonLogout)
			return err
		})
		work(func(i int) error {
			n := newSession()
			n.Replaces, n.MaxPerUser = backwards(i), 10
			_, _, err := s.CreateSession(context.Background(), n)
			return err
		})
		work(func(i int) error {
			_, err := s.RevokeUserSessions(context.Background(), "user", ids[i], tokenjar.ReasonLogout)
			return err
		})
	}
	for range 2 * 12 {
		<-done
	}
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// The id of an account that is being deleted is not given again, however close the two calls come.
func TestAnIdIsNotGivenAgainWhileItsAccountIsBeingDeleted(t *testing.T) {
	cfg, dsn := quiet(), pgtest.Schema(t)
	cfg.Timeout = time.Minute
	a, b := openAt(t, dsn, cfg, tuning{}), openAt(t, dsn, cfg, tuning{})
	for range 50 {
		id := newSession().ID
		if err := a.CreateUser(t.Context(), tokenjar.User{ID: id, Username: id, Active: true}); err != nil {
			t.Fatal(err)
		}
		created := make(chan error, 1)
		go func() {
			created <- b.CreateUser(context.Background(), tokenjar.User{ID: id, Username: id, Active: true})
		}()
		if _, err := a.DeleteUser(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := <-created; !errors.Is(err, tokenjar.ErrConflict) {
			t.Fatalf("create: got %v, want %v", err, tokenjar.ErrConflict)
		}
	}
}

// Pruning passes over what somebody holds, and takes it the next time.
func TestPruningWaitsForNobody(t *testing.T) {
	cfg, dsn := quiet(), pgtest.Schema(t)
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	s := openAt(t, dsn, cfg, tuning{})
	held := login(t, s)
	for range 3 {
		login(t, s)
	}
	now = now.Add(1000 * time.Hour)
	pool := pgtest.Pool(t, dsn)
	begun, err := pool.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begun.Exec(t.Context(), `SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE`, held); err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.PruneSessions(t.Context(), time.Hour, 100); err != nil || n != 3 {
		t.Errorf("while one is held: got %d and %v, want 3", n, err)
	}
	if err := begun.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.PruneSessions(t.Context(), time.Hour, 100); err != nil || n != 1 {
		t.Errorf("afterwards: got %d and %v, want 1", n, err)
	}
}
