package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar"
)

func events(n int) []tokenjar.AuditEvent {
	list := make([]tokenjar.AuditEvent, n)
	for i := range list {
		list[i] = tokenjar.AuditEvent{
			At: time.Now(), Name: "login.failed", Reason: "wrong_password", UserID: fmt.Sprint("user ", i%10), IP: "192.0.2.1",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", RequestID: fmt.Sprint(i),
			Detail: map[string]string{"credential": "password"},
		}
	}
	return list
}

func TestBatchOfEventsIsOneCommitAndPreparesOneStatement(t *testing.T) {
	var commits atomic.Int64
	s := openAt(t, dbPath(t), quiet(), tuning{hooks: hooks{commit: func() error { commits.Add(1); return nil }}})
	before := commits.Load()
	if err := s.AppendAudit(t.Context(), events(500)); err != nil {
		t.Fatal(err)
	}
	if n := commits.Load() - before; n != 1 {
		t.Errorf("commits: got %d, want 1", n)
	}
	prepared := len(s.writer.conn.stmts.byText)
	if err := s.AppendAudit(t.Context(), events(500)); err != nil {
		t.Fatal(err)
	}
	if n := len(s.writer.conn.stmts.byText); n != prepared {
		t.Errorf("statements: got %d, want %d as before", n, prepared)
	}
}

func TestPruningNeverHoldsTheWriterForLong(t *testing.T) {
	var commits atomic.Int64
	s := openAt(t, dbPath(t), quiet(), tuning{hooks: hooks{commit: func() error { commits.Add(1); return nil }}})
	list := events(2*pruneChunk + 1)
	for i := range list {
		list[i].At = time.Now().Add(-2 * time.Hour)
	}
	if err := s.AppendAudit(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	before := commits.Load()
	if n, err := s.PruneAudit(t.Context(), time.Hour, 1_000_000); err != nil || n != len(list) {
		t.Fatalf("pruned: got %d and %v, want %d", n, err, len(list))
	}
	if n := commits.Load() - before; n != 3 {
		t.Errorf("transactions: got %d, want 3", n)
	}
}

func TestF07BatchOfEventsThatFailsIsNotThereInPart(t *testing.T) {
	var failing atomic.Bool
	s := openAt(t, dbPath(t), quiet(), tuning{hooks: hooks{commit: func() error {
		if failing.Load() {
			return errors.New("disk went away")
		}
		return nil
	}}})
	failing.Store(true)
	wantUnavailable(t, s.AppendAudit(t.Context(), events(10)))
	failing.Store(false)
	if list, err := s.AuditTrail(t.Context(), tokenjar.AuditFilter{}); err != nil || len(list) != 0 {
		t.Errorf("trail: got %d events and %v, want none", len(list), err)
	}
}

func TestDamagedDetailIsAnErrorAndNotAnEvent(t *testing.T) {
	path := dbPath(t)
	s := openAt(t, path, quiet(), tuning{})
	if err := s.AppendAudit(t.Context(), events(2)); err != nil {
		t.Fatal(err)
	}
	raw(t, path, `UPDATE audit_events SET detail = '{"cut' WHERE id = 1`)
	_, err := s.AuditTrail(t.Context(), tokenjar.AuditFilter{})
	wantUnavailable(t, err)
	if !errors.Is(err, errDamaged) {
		t.Errorf("error: got %v, want %v in it", err, errDamaged)
	}
}

// BenchmarkAppendAudit measures how long the writer is busy with what the service hands over at once.
//
//	go test ./store/sqlite -run '^$' -bench AppendAudit
func BenchmarkAppendAudit(b *testing.B) {
	s := openAt(b, dbPath(b), quiet(), tuning{})
	list := events(500)
	for b.Loop() {
		for i := range list {
			list[i].ID = uuid.Must(uuid.NewV7()).String()
		}
		if err := s.AppendAudit(context.Background(), list); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/500, "µs/event")
}

func TestTheTrailIsBoundedWhateverItsAge(t *testing.T) {
	s := openAt(t, dbPath(t), quiet(), tuning{auditRows: 100})
	list := events(250)
	for i := range list {
		list[i].At, list[i].RequestID = time.Now(), strconv.Itoa(i)
	}
	if err := s.AppendAudit(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{120, 30, 0} {
		if n, err := s.PruneAudit(t.Context(), time.Hour, 120); err != nil || n != want {
			t.Fatalf("pruned: got %d and %v, want %d", n, err, want)
		}
	}
	left, err := s.AuditTrail(t.Context(), tokenjar.AuditFilter{})
	if err != nil || len(left) != 100 || left[0].RequestID != "249" || left[99].RequestID != "150" {
		t.Errorf("%d events are left, %v, want the newest hundred", len(left), err)
	}
}
