package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Every statement that has run is explained: one that walks a whole table would be found out by a million users only.
func TestNoStatementWalksATable(t *testing.T) {
	s := openAt(t, dbPath(t), quiet(), tuning{})
	ctx := context.Background()
	first := "first"
	n := newSession()
	n.MaxPerUser, n.Replaces = 2, []string{"unknown"}
	for i, f := range []func() error{
		func() error { return s.CreateUser(ctx, tokenjar.User{ID: "user", Username: "user", Active: true}) },
		func() error { return s.RecordLogin(ctx, "user", tokenjar.LoginRecord{}) },
		func() error { _, err := s.UpdateProfile(ctx, "user", tokenjar.Profile{FirstName: &first}); return err },
		func() error { _, _, err := s.CreateSession(ctx, n); return err },
		func() error { _, err := s.Rotate(ctx, show(n.ID, 1)); return err },
		func() error { _, err := s.Rotate(ctx, show(n.ID, 1)); return err },
		func() error { return s.MarkSeen(ctx, []tokenjar.Seen{{SessionID: n.ID, Generation: 2}}) },
		func() error { return s.MarkUndelivered(ctx, []tokenjar.Undelivered{{SessionID: n.ID, Generation: 2}}) },
		func() error {
			_, err := s.MarkShared(ctx, []tokenjar.Shared{{SessionID: n.ID, Generation: 2}})
			return err
		},
		func() error { return s.SetUserRoles(ctx, "user", tokenjar.Roles{Staff: true}) },
		func() error { return s.RenameSession(ctx, "user", n.ID, "name") },
		func() error { _, err := s.Session(ctx, n.ID); return err },
		func() error { _, err := s.UserSessions(ctx, "user"); return err },
		func() error { _, err := s.User(ctx, "user"); return err },
		func() error { _, err := s.FindUser(ctx, tokenjar.Identifier{Username: "user"}); return err },
		func() error { _, err := s.SetUserActive(ctx, "user", false); return err },
		func() error {
			_, err := s.SetPassword(ctx, tokenjar.PasswordChange{UserID: "user", OldHash: "other"})
			if !errors.Is(err, tokenjar.ErrConflict) {
				return fmt.Errorf("got %v, want a conflict", err)
			}
			return nil
		},
		func() error {
			_, err := s.SetPassword(ctx, tokenjar.PasswordChange{UserID: "user", Keep: n.ID})
			return err
		},
		func() error { _, err := s.Users(ctx, "", 10); return err },
		func() error { return s.AppendAudit(ctx, []tokenjar.AuditEvent{{Name: "name", UserID: "user"}}) },
		func() error { _, err := s.AuditTrail(ctx, tokenjar.AuditFilter{}); return err },
		func() error { _, err := s.AuditTrail(ctx, tokenjar.AuditFilter{UserID: "user"}); return err },
		func() error { _, err := s.PruneAudit(ctx, time.Hour, 10); return err },
		func() error { _, err := s.DeleteUser(ctx, "user"); return err },
		func() error { _, err := s.DeleteUser(ctx, "user"); return err },
		func() error { _, err := s.News(ctx, time.Now()); return err },
		func() error { return s.RaiseClaims(ctx, "user", 5) },
		func() error { _, _, err := s.PruneSessions(ctx, time.Hour, 10); return err },
		func() error { return s.SaveKeyRing(ctx, []byte("box"), 0) },
		func() error { return s.SaveKeyRing(ctx, []byte("box"), 1) },
		func() error { _, _, err := s.KeyRing(ctx); return err },
	} {
		if err := f(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	var texts []string
	for _, list := range []*stmts{&s.reads, &s.writer.conn.stmts} {
		for text := range list.byText {
			texts = append(texts, text)
		}
	}
	explained := 0
	for _, text := range slices.Compact(slices.Sorted(slices.Values(texts))) {
		if !strings.Contains(text, "sessions") && !strings.Contains(text, "users") &&
			!strings.Contains(text, "audit_events") && !strings.Contains(text, "claims_changes") {
			continue
		}
		plan := explain(t, s, text)
		explained++
		for _, walk := range []string{"SCAN sessions", "SCAN users", "SCAN deleted_users", "SCAN audit_events",
			"SCAN claims_changes"} {
			if strings.Contains(plan, walk) {
				t.Errorf("walks a table:\n%s\n%s", text, plan)
			}
		}
		if strings.Contains(text, "audit_events") && strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("sorts the whole trail:\n%s\n%s", text, plan)
		}
	}
	if explained < 31 {
		t.Errorf("%d statements were explained: some are missing", explained)
	}
}

func explain(t *testing.T, s *Store, text string) string {
	t.Helper()
	args := make([]any, 30) // more than any statement has; the driver takes what it needs
	rows, err := s.readers.QueryContext(context.Background(), `EXPLAIN QUERY PLAN `+text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	lines, err := collect(rows, func(r scanner) (string, error) {
		var id, parent, unused int
		var detail string
		err := r.Scan(&id, &parent, &unused, &detail)
		return detail, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
