package sqlite

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// moving returns a configuration with a clock, and what moves it.
func moving(from time.Time) (cfg Config, set func(time.Time)) {
	var now atomic.Pointer[time.Time]
	set = func(t time.Time) { now.Store(&t) }
	set(from)
	cfg = quiet()
	cfg.Now = func() time.Time { return *now.Load() }
	return cfg, set
}

// wantPruned prunes until there is no more.
func wantPruned(t *testing.T, s *Store, limit, want int) {
	t.Helper()
	total := 0
	for more := true; more; {
		var n int
		var err error
		n, more, err = s.PruneSessions(t.Context(), 0, limit)
		if total += n; err != nil || n > limit {
			t.Fatalf("pruned: got %d and %v, want %d at most", n, err, limit)
		}
	}
	if total != want {
		t.Fatalf("pruned: got %d, want %d", total, want)
	}
}

func TestPruningPassesBySessionsThatHaveBeenUsed(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	cfg, set := moving(noon)
	var commits atomic.Int64
	s := openAt(t, dbPath(t), cfg, tuning{hooks: hooks{commit: func() error { commits.Add(1); return nil }}})
	used := make([]string, pruneChunk+1) // more than one transaction looks at
	for i := range used {
		used[i] = login(t, s)
	}
	set(noon.Add(time.Minute))
	for range 3 {
		login(t, s)
	}
	set(noon.Add(timing.Idle - time.Hour))
	for _, id := range used {
		wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
	}
	set(noon.Add(timing.Idle + time.Hour))
	before := commits.Load()
	wantPruned(t, s, 1000, 3)
	if n := commits.Load() - before; n < 2 {
		t.Errorf("%d transactions looked at %d sessions, more than %d in one", n, len(used)+3, pruneChunk)
	}
	before = commits.Load()
	wantPruned(t, s, 10, 0)
	if n := commits.Load() - before; n != 1 {
		t.Errorf("what was looked at is looked at again: %d transactions, want 1", n)
	}
	wantOutcome(t, s, used[0], 2, tokenjar.OutcomeRotated)
	set(noon.Add(2*timing.Idle + 2*time.Hour))
	wantPruned(t, s, 10_000, len(used))
}

func TestPruningKnowsOfAnEndThatCameNearer(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	cfg, set := moving(noon)
	s := openAt(t, dbPath(t), cfg, tuning{})
	claimed, judged := login(t, s), login(t, s)
	shorter := timing
	shorter.Idle = time.Hour
	rotate := func(id string, n int64, want tokenjar.Outcome) {
		t.Helper()
		r := show(id, n)
		r.Timing = shorter
		if v, err := s.Rotate(t.Context(), r); err != nil || v.Outcome != want {
			t.Fatalf("token %d: got %s and %v, want %s", n, v.Outcome, err, want)
		}
	}
	rotate(claimed, 1, tokenjar.OutcomeRotated)
	// The other one is written by the long way: read, judged, written.
	if _, err := write(t.Context(), s, "judge", func(x *tx) (tokenjar.Verdict, error) {
		r := show(judged, 1)
		r.Timing = shorter
		return judge(x, r)
	}); err != nil {
		t.Fatal(err)
	}
	set(noon.Add(time.Hour))
	wantPruned(t, s, 10, 0)
	set(noon.Add(time.Hour + time.Millisecond))
	wantPruned(t, s, 10, 2)
}

// After migration 5 every live session has to be looked at once. One call must not do all of that.
func TestOneCallLooksAtNoMoreSessionsThanItMayDelete(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	path := dbPath(t)
	cfg, _ := moving(noon)
	const alive, limit = 10 * pruneChunk, 2 * pruneChunk
	old := raw(t, fileOfVersion(t, path, 3), fmt.Sprintf(`
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
INSERT INTO sessions
SELECT printf('%%05d', i), 'user', 0, 0, 0, 0, %d, %d, 0, 1, zeroblob(32), 0, 0, 0, 0, NULL, '', '', '', NULL, '' FROM n`,
		alive, millis(noon.Add(time.Hour)), millis(noon.Add(time.Hour))))
	old.close()
	var commits atomic.Int64
	s := openAt(t, path, cfg, tuning{hooks: hooks{commit: func() error { commits.Add(1); return nil }}})
	calls := 0
	for more := true; more; calls++ {
		before := commits.Load()
		var n int
		var err error
		if n, more, err = s.PruneSessions(t.Context(), 0, limit); n != 0 || err != nil {
			t.Fatalf("pruned: got %d and %v, want none", n, err)
		}
		if n := commits.Load() - before; n > limit/pruneChunk {
			t.Fatalf("call %d made %d transactions of %d sessions, and may look at %d", calls, n, pruneChunk, limit)
		}
	}
	if calls != alive/limit+1 {
		t.Errorf("%d calls looked at %d sessions, want %d", calls, alive, alive/limit+1)
	}
}

func TestSessionsOfAnEarlierVersionArePruned(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	path := dbPath(t)
	cfg, set := moving(noon)
	old := raw(t, fileOfVersion(t, path, 3), `
INSERT INTO sessions VALUES ('over', 'user', 0, 0, 0, 0, 1, 1, 0, 1, zeroblob(32), 0, 0, 0, 0, NULL, '', '', '', NULL, '')`)
	old.close()
	s := openAt(t, path, cfg, tuning{})
	login(t, s)
	wantPruned(t, s, 10, 1)
	set(noon.Add(timing.Idle + time.Second))
	wantPruned(t, s, 10, 1)
}
