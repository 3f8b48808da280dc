package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// hold keeps the writer inside an operation until release is called, so that others gather in its queue.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	entered, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		s.writer.do(context.Background(), func(*tx) error {
			close(entered)
			<-leave
			return nil
		})
	}()
	<-entered
	var once sync.Once
	release = func() {
		once.Do(func() {
			close(leave)
			<-left
		})
	}
	t.Cleanup(release)
	return release
}

// gather queues operations in order behind a writer that is held, and returns a function that waits for their errors.
func gather(t *testing.T, s *Store, ops ...func() error) (wait func() []error) {
	t.Helper()
	errs := make([]error, len(ops))
	var wg sync.WaitGroup
	for i, op := range ops {
		before := len(s.writer.queue)
		wg.Go(func() { errs[i] = op() })
		until(t, "operation is queued", func() bool { return len(s.writer.queue) == before+1 })
	}
	return func() []error {
		wg.Wait()
		return errs
	}
}

func TestFailingOperationHarmsNobodyInItsBatch(t *testing.T) {
	var commits atomic.Int64
	s := openAt(t, dbPath(t), quiet(), tuning{hooks: hooks{commit: func() error { commits.Add(1); return nil }}})
	ctx := context.Background()
	taken := login(t, s)
	a, b := newSession(), newSession()
	clash := newSession()
	clash.ID, clash.Replaces = taken, []string{taken} // ends a session, then fails
	release := hold(t, s)
	wait := gather(t, s,
		func() error { _, _, err := s.CreateSession(ctx, a); return err },
		func() error { _, _, err := s.CreateSession(ctx, clash); return err },
		func() error { return s.RenameSession(ctx, "user", "unknown", "name") },
		func() error {
			_, err := write(ctx, s, "half", func(t *tx) (struct{}, error) {
				if _, err := t.exec(`UPDATE sessions SET name = 'half' WHERE id = ?1`, taken); err != nil {
					return struct{}{}, err
				}
				return struct{}{}, errors.New("after a write")
			})
			return err
		},
		func() error { _, _, err := s.CreateSession(ctx, b); return err },
	)
	before := commits.Load()
	release()
	errs := wait()
	if errs[0] != nil || errs[4] != nil {
		t.Errorf("the others: got %v and %v", errs[0], errs[4])
	}
	if !errors.Is(errs[1], tokenjar.ErrConflict) || !errors.Is(errs[2], tokenjar.ErrNotFound) || errs[3] == nil {
		t.Errorf("those that fail: got %v", errs[1:4])
	}
	if n := commits.Load() - before; n != 2 { // the one that held the writer, and the batch
		t.Errorf("commits: got %d, want 2", n)
	}
	row, err := s.Session(ctx, taken)
	if err != nil || !row.RevokedAt.IsZero() || row.Name != "" {
		t.Errorf("row of the operations that failed: got %+v and %v, want it as it was", row, err)
	}
	for _, id := range []string{a.ID, b.ID} {
		if _, err := s.Session(ctx, id); err != nil {
			t.Errorf("acknowledged session: %v", err)
		}
	}
}

func TestF07CommitThatFailsIsUnavailableToAllOfItsBatch(t *testing.T) {
	var fail atomic.Int64 // so many commits from now
	s := openAt(t, dbPath(t), quiet(), tuning{hooks: hooks{commit: func() error {
		if fail.Add(-1) >= 0 {
			return errors.New("disk went away: SELECT secret FROM users")
		}
		return nil
	}}})
	ctx := context.Background()
	id := login(t, s)
	n := newSession()
	release := hold(t, s)
	wait := gather(t, s,
		func() error { _, err := s.Rotate(ctx, show(id, 1)); return err },
		func() error { _, _, err := s.CreateSession(ctx, n); return err },
		func() error { return s.RenameSession(ctx, "user", "unknown", "name") },
	)
	fail.Store(2) // the operation that holds the writer, and the batch behind it
	release()
	for _, err := range wait() {
		wantUnavailable(t, err)
		if errors.Is(err, tokenjar.ErrNotFound) {
			t.Errorf("error %v concludes from a transaction that was not committed", err)
		}
		if strings.Contains(err.Error(), "SELECT") {
			t.Errorf("error %v tells what the driver said", err)
		}
	}
	if _, err := s.Session(ctx, n.ID); !errors.Is(err, tokenjar.ErrNotFound) {
		t.Errorf("session of the lost batch: got %v, want %v", err, tokenjar.ErrNotFound)
	}
	wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
}

func TestOperationWhoseCallerLeftTheQueueIsNotRun(t *testing.T) {
	s := openAt(t, dbPath(t), quiet(), tuning{})
	id, other := login(t, s), login(t, s)
	release := hold(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	left := gather(t, s, func() error { _, err := s.Rotate(ctx, show(id, 1)); return err })
	stays := gather(t, s, func() error { _, err := s.Rotate(context.Background(), show(other, 1)); return err })
	cancel()
	err := left()[0] // before the writer is free
	wantUnavailable(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: got %v, want %v in it", err, context.Canceled)
	}
	release()
	if err := stays()[0]; err != nil {
		t.Errorf("the one behind it: %v", err)
	}
	wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
	wantOutcome(t, s, other, 1, tokenjar.OutcomeGraceReplay)
}

func TestCallerWhoseOperationIsBeingRunNeedNotWait(t *testing.T) {
	s := openAt(t, dbPath(t), quiet(), tuning{})
	id := login(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	entered, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := write(ctx, s, "slow", func(tx *tx) (tokenjar.Session, error) {
			close(entered)
			<-leave
			return claim(tx, show(id, 1))
		})
		done <- err
	}()
	<-entered
	cancel()
	wantUnavailable(t, <-done)
	close(leave)
	wantOutcome(t, s, id, 1, tokenjar.OutcomeGraceReplay) // in doubt, and in fact done: asked again, the same successor
}

func TestFullQueueTurnsAwayAtOnce(t *testing.T) {
	cfg := quiet()
	cfg.Queue = 2
	s := openAt(t, dbPath(t), cfg, tuning{})
	id := login(t, s)
	release := hold(t, s)
	rename := func() error { return s.RenameSession(context.Background(), "user", id, "name") }
	wait := gather(t, s, rename, rename)
	_, err := s.Rotate(context.Background(), show(id, 1))
	wantUnavailable(t, err)
	release()
	for _, err := range wait() {
		if err != nil {
			t.Errorf("one that was queued: %v", err)
		}
	}
	wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
}

func TestCloseCommitsWhatIsQueued(t *testing.T) {
	path := dbPath(t)
	s := openAt(t, path, quiet(), tuning{})
	n := newSession()
	release := hold(t, s)
	wait := gather(t, s, func() error { _, _, err := s.CreateSession(context.Background(), n); return err })
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	until(t, "store refuses", s.writer.isClosed)
	wantUnavailable(t, s.RenameSession(context.Background(), "user", "unknown", ""))
	release()
	if err := errors.Join(wait()[0], <-closed); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path, quiet(), tuning{})
	if _, err := again.Session(context.Background(), n.ID); err != nil {
		t.Error(err)
	}
	if size(t, path+"-wal") != 0 {
		t.Error("the log was not emptied at Close")
	}
}

func (w *writer) isClosed() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.closed
}

func TestLockedLongerThanTheBusyTimeoutIsUnavailableAndPasses(t *testing.T) {
	cfg := quiet()
	cfg.BusyTimeout = 30 * time.Millisecond
	path := dbPath(t)
	s := openAt(t, path, cfg, tuning{})
	id := login(t, s)
	locker := raw(t, path, `BEGIN IMMEDIATE`)
	for range 3 {
		_, err := s.Rotate(context.Background(), show(id, 1))
		wantUnavailable(t, err)
	}
	if row, err := s.Session(context.Background(), id); err != nil || row.Generation != 1 {
		t.Errorf("reading goes on: got %+v and %v", row, err)
	}
	_, err := Open(context.Background(), path, cfg)
	wantUnavailable(t, err)
	if _, err := locker.c.ExecContext(context.Background(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
}

// bulky is a rotation that needs more pages than there are.
func bulky(id string, n int64) tokenjar.Rotation {
	r := show(id, n)
	r.UserAgent = strings.Repeat("x", 1<<20)
	return r
}

func TestF05FullDatabaseSpendsNoTokenAndRecovers(t *testing.T) {
	const unlimited = 1 << 30
	var pages atomic.Int64
	pages.Store(unlimited)
	limit := func(c *conn) error {
		_, err := c.c.ExecContext(context.Background(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages.Load()))
		return err
	}
	path := dbPath(t)
	s := openAt(t, path, quiet(), tuning{hooks: hooks{connected: limit}})
	id, other := login(t, s), login(t, s)
	pages.Store(1) // SQLite makes that the present size
	if err := s.writer.do(context.Background(), func(t *tx) error { return limit(t.conn) }); err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	wait := gather(t, s,
		func() error { return s.RenameSession(context.Background(), "user", other, "name") },
		func() error { _, err := s.Rotate(context.Background(), bulky(id, 1)); return err },
	)
	release()
	for _, err := range wait() {
		wantUnavailable(t, err)
	}
	for _, session := range []string{id, other} {
		row, err := s.Session(context.Background(), session)
		if err != nil || row.Generation != 1 || row.CurrentHash != hash(session, 1) || row.Name != "" {
			t.Fatalf("row: got %+v and %v, want it as it was", row, err)
		}
	}
	_, err := s.Rotate(context.Background(), bulky(id, 1))
	wantUnavailable(t, err)
	wantOutcome(t, s, other, 1, tokenjar.OutcomeRotated) // needs no room
	pages.Store(unlimited)
	if err := s.writer.do(context.Background(), func(t *tx) error { return limit(t.conn) }); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Rotate(context.Background(), bulky(id, 1)); err != nil || v.Outcome != tokenjar.OutcomeRotated {
		t.Fatalf("after space is back: got %s and %v, want rotated", v.Outcome, err)
	}
	integrity(t, path)
}

func TestLogStaysBoundedUnderConstantLoad(t *testing.T) {
	path := dbPath(t)
	const pause = 64 // pages
	s := openAt(t, path, quiet(), tuning{checkpoint: 50, pause: pause, idle: time.Hour})
	var wg sync.WaitGroup
	for range 4 {
		id := login(t, s)
		wg.Go(func() {
			for n := int64(1); n <= 300; n++ {
				if _, err := s.Rotate(context.Background(), show(id, n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	// 1200 rotations are thousands of pages. The log may grow while a checkpoint runs, so the bound is generous.
	if got, most := size(t, path+"-wal"), int64(12*pause*4096); got > most {
		t.Errorf("log: got %d bytes, want at most %d", got, most)
	}
}

func TestLogIsEmptiedWhenNothingHappens(t *testing.T) {
	path := dbPath(t)
	s := openAt(t, path, quiet(), tuning{idle: 20 * time.Millisecond})
	for range 2 {
		login(t, s)
		until(t, "log is empty", func() bool { return size(t, path+"-wal") == 0 })
	}
}

func TestErrorsNameTheOperationAndNothingElse(t *testing.T) {
	s := openAt(t, dbPath(t), quiet(), tuning{})
	ctx := context.Background()
	if err := s.CreateUser(ctx, tokenjar.User{ID: "canary-id", Username: "canary"}); err != nil {
		t.Fatal(err)
	}
	user := tokenjar.User{ID: "canary-2", Username: "Canary", PasswordHash: "canary-hash"}
	_, refused := write(ctx, s, "refused", func(t *tx) (int64, error) {
		return t.exec(`INSERT INTO canary (canary) VALUES ('canary')`)
	})
	_, missing := s.Session(ctx, "canary")
	for _, row := range []struct {
		err  error
		want string
	}{
		{s.CreateUser(ctx, user), "create user: conflict"},
		{missing, "read session: not found"},
		{refused, "refused: the database refused the statement (sqlite: 1)"},
	} {
		if row.err == nil || row.err.Error() != row.want {
			t.Errorf("error: got %v, want %q", row.err, row.want)
		}
	}
}
