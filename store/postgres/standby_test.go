package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// A standby that commits wait for, and that can be away: it never exists.
type ghost struct {
	t    *testing.T
	pool *pgxpool.Pool
}

func newGhost(t *testing.T, dsn string) ghost { return ghost{t, pgtest.Pool(t, dsn)} }

func (g ghost) leave()    { g.wait("'ghost'", false) }
func (g ghost) comeBack() { g.wait("''", true) }

// wait sets who commits wait for, until they are confirmed, or are not.
func (g ghost) wait(names string, confirmed bool) {
	g.t.Helper()
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = " + names, "SELECT pg_reload_conf()"} {
		if _, err := g.pool.Exec(g.t.Context(), sql); err != nil {
			g.t.Fatal(err)
		}
	}
	until(g.t, fmt.Sprint("commits are confirmed: ", confirmed), func() bool {
		ctx, cancel := context.WithTimeout(g.t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := g.pool.Exec(ctx, confirmSQL)
		return (err == nil) == confirmed
	})
}

// Commits that nobody confirms happen all the same, so a client that gets no answer shows its token again and again.
func TestASessionOutlivesAStandbyThatIsAway(t *testing.T) {
	server := pgtest.Start(t)
	now := time.Now().Truncate(time.Millisecond)
	cfg := quiet()
	cfg.Now, cfg.Timeout = func() time.Time { return now }, 2*time.Second
	s := openAt(t, server.DSN(), cfg, tuning{})
	id, thief := login(t, s), login(t, s)
	wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
	for n := range int64(2) {
		wantOutcome(t, s, thief, n+1, tokenjar.OutcomeRotated)
	}
	standby := newGhost(t, server.DSN())
	standby.leave()
	until(t, "it is rotated, and nobody was told", func() bool {
		_, err := s.Rotate(t.Context(), show(id, 2))
		wantUnavailable(t, err)
		row, err := s.Session(t.Context(), id)
		return err == nil && row.Generation == 3
	})
	for range 4 {
		now = now.Add(11 * time.Second) // beyond the grace each time
		_, err := s.Rotate(t.Context(), show(id, 2))
		wantUnavailable(t, err)
		_, err = s.Rotate(t.Context(), show(thief, 1))
		wantUnavailable(t, err)
		for _, id := range []string{id, thief} {
			row, err := s.Session(t.Context(), id)
			if err != nil || !row.RevokedAt.IsZero() || row.LateRetryGen != 0 || row.Generation != 3 {
				t.Fatalf("was written: %+v, %v", row, err)
			}
		}
	}
	standby.comeBack()
	v, err := s.Rotate(t.Context(), show(id, 2))
	if err != nil || v.Outcome != tokenjar.OutcomeLateRetry || v.Session.CurrentHash != hash(id, 3) {
		t.Errorf("the token whose answer was lost: got %s and %v, want the same successor", v.Outcome, err)
	}
	wantOutcome(t, s, thief, 1, tokenjar.OutcomeReused)
}

// Who asks again for what was not confirmed is not told that it is done before it is.
func TestWhatIsAskedForAgainIsNotReportedBeforeItIsConfirmed(t *testing.T) {
	server := pgtest.Start(t)
	cfg := quiet()
	cfg.Timeout = 2 * time.Second
	s := openAt(t, server.DSN(), cfg, tuning{})
	id := login(t, s)
	for _, name := range []string{"ada", "bob", "eve"} {
		if err := s.CreateUser(t.Context(), tokenjar.User{ID: name, Username: name, PasswordHash: "old", Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	calls := map[string]func(context.Context) error{
		"by id": func(ctx context.Context) error {
			_, err := s.RevokeSessions(ctx, "", []string{id}, tokenjar.ReasonLogout)
			return err
		},
		"all of a user": func(ctx context.Context) error {
			_, err := s.RevokeUserSessions(ctx, "user", "", tokenjar.ReasonLogout)
			return err
		},
		"disable": func(ctx context.Context) error { _, err := s.SetUserActive(ctx, "ada", false); return err },
		"password": func(ctx context.Context) error {
			_, err := s.SetPassword(ctx, tokenjar.PasswordChange{UserID: "ada", NewHash: "new"})
			return err
		},
		"password, if it is the old one": func(ctx context.Context) error {
			_, err := s.SetPassword(ctx, tokenjar.PasswordChange{UserID: "bob", OldHash: "old", NewHash: "new"})
			return err
		},
		"delete": func(ctx context.Context) error { _, err := s.DeleteUser(ctx, "eve"); return err },
		"roles":  func(ctx context.Context) error { return s.SetUserRoles(ctx, "ada", tokenjar.Roles{Staff: true}) },
		"claims": func(ctx context.Context) error { return s.RaiseClaims(ctx, "user", 7) },
	}
	standby := newGhost(t, server.DSN())
	standby.leave()
	for range 2 {
		for name, call := range calls {
			if err := call(t.Context()); err == nil {
				t.Errorf("%s: reported while the standby is away", name)
			} else {
				wantUnavailable(t, err)
			}
		}
	}
	if _, err := s.User(t.Context(), "eve"); !errors.Is(err, tokenjar.ErrNotFound) {
		t.Errorf("the first deletion: got %v, want that it was done here", err)
	}
	if row, err := s.Session(t.Context(), id); err != nil || row.RevokedAt.IsZero() {
		t.Errorf("the first call: got %+v and %v, want that it was done here", row, err)
	}
	standby.comeBack()
	for name, call := range calls {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s, once the standby is back: %v", name, err)
		}
	}
}

// The tokens of a session that is over are free for whoever shows them.
func TestAnOldTokenOfASessionThatIsOverWritesNothing(t *testing.T) {
	server := pgtest.StartWith(t, pgtest.Options{Settings: map[string]string{"autovacuum": "off", "checkpoint_timeout": "1d"}})
	now := time.Now().Truncate(time.Millisecond)
	cfg := quiet()
	cfg.Now = func() time.Time { return now }
	s := openAt(t, server.DSN(), cfg, tuning{})
	over := login(t, s)
	now = now.Add(1000 * time.Hour)
	revoked, reused := login(t, s), login(t, s)
	if _, err := s.RevokeSessions(t.Context(), "", []string{revoked}, tokenjar.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, s, reused, 7, tokenjar.OutcomeReused)
	pool := pgtest.Pool(t, server.DSN())
	// The next transaction id: what others write to the log, the server itself among them, does not move it.
	next := func() (id int64) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	position := func() (bytes int64) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn`).Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	show := func() {
		for id, want := range map[string]tokenjar.Outcome{
			over: tokenjar.OutcomeEnded, revoked: tokenjar.OutcomeEnded, reused: tokenjar.OutcomeReused, "unknown": tokenjar.OutcomeEnded,
		} {
			wantOutcome(t, s, id, 1, want)
		}
	}
	show() // hint bits, and dead rows that a page is rid of, are written once
	id, wal := next(), position()
	for range 100 {
		show()
	}
	if got := next(); got != id {
		t.Errorf("%d transaction ids were taken", got-id)
	}
	// What the server itself notes of running transactions every 15 seconds is a few hundred bytes.
	if grew := position() - wal; grew > 4096 {
		t.Errorf("the log grew by %d bytes", grew)
	}
}
