package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

func TestOpenRefusesWithTheReason(t *testing.T) {
	exec := func(dsn string, queries ...string) string {
		t.Helper()
		for _, query := range queries {
			if _, err := pgtest.Pool(t, dsn).Exec(t.Context(), query); err != nil {
				t.Fatal(err)
			}
		}
		return dsn
	}
	ours := func(queries ...string) string {
		dsn := pgtest.Schema(t)
		openAt(t, dsn, quiet(), tuning{}).Close()
		return exec(dsn, queries...)
	}
	// A role with a right of its own, to what openAt has made.
	role := func(rights ...string) string {
		dsn := ours()
		name := "role_" + strings.ToLower(rand.Text())
		var schema string
		if err := pgtest.Pool(t, dsn).QueryRow(t.Context(), `SELECT current_schema()`).Scan(&schema); err != nil {
			t.Fatal(err)
		}
		exec(dsn, `CREATE ROLE `+name+` LOGIN`)
		for _, right := range rights {
			exec(dsn, `GRANT `+right+` SCHEMA `+schema+` TO `+name)
		}
		t.Cleanup(func() {
			if _, err := pgtest.Pool(t, dsn).Exec(context.Background(), `DROP OWNED BY `+name+`; DROP ROLE `+name); err != nil {
				t.Error(err)
			}
		})
		return pgtest.With(dsn, "user", name)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel lets connections in, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	plain := pgtest.Start(t)
	for _, row := range []struct{ name, dsn, want, hint string }{
		{"no usage of the schema", role(), "the user may not use the schema tokenjar_", "GRANT USAGE ON SCHEMA tokenjar_"},
		{"no rights to the tables", role("USAGE ON"), "may not read or write the tables",
			"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tokenjar_"},
		{"rights to read alone", role("USAGE ON", "SELECT ON ALL TABLES IN"), "may not read or write the tables",
			"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL"},
		{"a simple protocol", pgtest.With(pgtest.Schema(t), "default_query_exec_mode", "simple_protocol"),
			"default_query_exec_mode cannot be chosen", "remove it"},
		{"any server", pgtest.With(pgtest.Schema(t), "target_session_attrs", "any"), "may be read-write or primary", "remove it"},
		{"a standby", pgtest.With(pgtest.Schema(t), "target_session_attrs", "prefer-standby"), "may be read-write or primary", "remove it"},
		{"an unknown parameter", pgtest.With(pgtest.Schema(t), "sslmod", "hunter2"),
			"does not know a parameter of the database URL (sslmod)", "correct it"},
		{"no TLS", pgtest.With(plain.TCP(), "sslmode", "require"), "the server offers no TLS", "set ssl = on there"},
		{"no answer", "postgres://ada:hunter2@" + silent.Addr().String() + "/x?connect_timeout=1", "there was no answer in time",
			"whether host and port are right"},
		{"no DSN at all", "postgres://ada:hunter2@db:port/x", "cannot be read", "write it as"},
		{"another program's table", exec(pgtest.Schema(t), `CREATE TABLE users (id int)`), "has a table users of another program",
			"of its own"},
		{"a newer schema", ours(`UPDATE tokenjar_schema SET version = 99`), "has version 99, this program knows versions up to ",
			"use the newer program"},
		{"a damaged version", ours(`UPDATE tokenjar_schema SET version = -1`), "its table tokenjar_schema is damaged", "from a backup"},
		{"no version", ours(`DELETE FROM tokenjar_schema`), "tokenjar_schema of schema", "from a backup"},
		{"no such schema", pgtest.With(pgtest.Schema(t), "search_path", "nowhere"), "none of the schemas in search_path", "CREATE SCHEMA first"},
		{"a read-only server", pgtest.With(pgtest.Schema(t), "default_transaction_read_only", "on"), "the server is read-only",
			"name the primary"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Open(t.Context(), row.dsn, quiet())
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, row.want)
			}
			hinted, ok := errors.AsType[interface {
				error
				Hint() string
			}](err)
			if !ok || !strings.Contains(hinted.Hint(), row.hint) || !strings.HasSuffix(err.Error(), ": "+hinted.Hint()) {
				t.Errorf("got %q, want a hint at its end with %q", err, row.hint)
			}
		})
	}
}

func TestThePrimaryMayBeAskedFor(t *testing.T) {
	for _, attrs := range []string{"read-write", "primary"} {
		openAt(t, pgtest.With(pgtest.Schema(t), "target_session_attrs", attrs), quiet(), tuning{})
	}
}

func TestTheSchemaVersionIsNotWaitedForForEver(t *testing.T) {
	dsn := pgtest.Schema(t)
	openAt(t, dsn, quiet(), tuning{}).Close()
	begun, err := pgtest.Pool(t, dsn).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Rollback(context.Background())
	if _, err := begun.Exec(t.Context(), `LOCK TABLE tokenjar_schema IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	_, err = SchemaVersion(t.Context(), dsn)
	wantUnavailable(t, err)
	if !strings.Contains(err.Error(), "did not answer in time") || strings.Count(err.Error(), "read schema version:") != 1 {
		t.Errorf("got %q", err)
	}
}

// Settings that would lose what was reported are overruled; those that keep more are left.
func TestACommitThatWasReportedIsOnDisk(t *testing.T) {
	dsn := pgtest.Schema(t)
	for asked, want := range map[string]string{
		"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply",
	} {
		s := openAt(t, pgtest.With(dsn, "synchronous_commit", asked), quiet(), tuning{})
		got, err := one(t.Context(), s, "show", func(r scanner) (got string, err error) {
			err = r.Scan(&got)
			return got, err
		}, `SHOW synchronous_commit`)
		if err != nil || got != want {
			t.Errorf("synchronous_commit=%s: got %s and %v, want %s", asked, got, err, want)
		}
	}
}

func TestAServerWithoutFsyncIsWarnedOf(t *testing.T) {
	for _, durable := range []bool{false, true} {
		server := pgtest.StartWith(t, pgtest.Options{Durable: durable})
		var log bytes.Buffer
		openAt(t, server.DSN(), Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, tuning{})
		if warned := strings.Contains(log.String(), "fsync=off"); warned == durable {
			t.Errorf("fsync is on: %v, and the log says %q", durable, log.String())
		}
	}
}

func TestManyMayMigrateAtOnce(t *testing.T) {
	dsn := pgtest.Schema(t)
	steps, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := Open(context.Background(), dsn, quiet())
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
	if version, err := SchemaVersion(t.Context(), dsn); err != nil || version != len(steps) {
		t.Errorf("version: got %d and %v, want %d", version, err, len(steps))
	}
}

func TestAnOlderSchemaIsMigratedAndAnInterruptedStepLeavesNothing(t *testing.T) {
	dsn := pgtest.Schema(t)
	steps, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dsn, quiet(), tuning{})
	id := login(t, s)
	s.Close()

	more := append(steps, `ALTER TABLE sessions ADD COLUMN one int; ALTER TABLE sessions ADD COLUMN two int`)
	broken := append(steps, `ALTER TABLE sessions ADD COLUMN one int; SELECT 1/0`)
	if _, err := open(t.Context(), dsn, quiet(), tuning{steps: broken}); err == nil {
		t.Fatal("a step that fails is taken")
	}

	// A process that dies in the middle of a step, while another one waits for it.
	pool := pgtest.Pool(t, dsn)
	dying, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var schema string
	if err := dying.QueryRow(t.Context(), `SELECT current_schema()`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d, hashtext('%s'))`, migrationLock, schema),
		`ALTER TABLE sessions ADD COLUMN one int`, `UPDATE tokenjar_schema SET version = 2`,
	} {
		if _, err := dying.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	opened := make(chan *Store)
	go func() {
		s, err := open(context.Background(), dsn, quiet(), tuning{steps: more})
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	until(t, "the other one waits", func() bool {
		var waiting bool
		err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))`,
			dying.Conn().PgConn().PID()).Scan(&waiting)
		return err == nil && waiting
	})
	if err := dying.Conn().Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	dying.Rollback(t.Context()) // gives what is left of the connection back to its pool
	s = <-opened
	if s == nil {
		t.FailNow()
	}
	defer s.Close()
	if version, err := SchemaVersion(t.Context(), dsn); err != nil || version != len(more) {
		t.Errorf("version: got %d and %v, want %d", version, err, len(more))
	}
	wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
}

func TestMigrationsHaveNumbersWithoutGaps(t *testing.T) {
	if list, err := migrations(migrationFiles); err != nil || len(list) != 4 {
		t.Errorf("our own: got %d and %v", len(list), err)
	}
	for _, names := range [][]string{{"0002_b.sql"}, {"0001_a.sql", "0003_c.sql"}, {"0001_a.sql", "0001_b.sql"}, {"first.sql"}} {
		files := fstest.MapFS{}
		for _, name := range names {
			files["migrations/"+name] = &fstest.MapFile{}
		}
		if _, err := migrations(files); err == nil {
			t.Errorf("%v: accepted", names)
		}
	}
}

// statements are all that a store has sent, with the arguments of the last time.
type statements struct {
	mu   sync.Mutex
	args map[string][]any
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.note(data.SQL, data.Args)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (s *statements) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	s.note(data.SQL, data.Args)
}

func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (s *statements) note(sql string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.args[sql] = args
}

func TestNoStatementWalksATable(t *testing.T) {
	seen := &statements{args: make(map[string][]any)}
	dsn := pgtest.Schema(t)
	s := openAt(t, dsn, quiet(), tuning{hooks: hooks{tracer: seen}})
	together := openAt(t, dsn, quiet(), tuning{always: true, hooks: hooks{tracer: seen}})
	ctx := t.Context()
	id := login(t, s)
	n := newSession()
	n.UserID, n.OwnUserStore, n.MaxPerUser, n.Replaces = "ada", false, 1, []string{id}
	for i, call := range []func() error{
		func() error {
			return s.CreateUser(ctx, tokenjar.User{ID: "ada", Username: "ada", Email: "ada@example.com", Active: true})
		},
		func() error { _, _, err := s.CreateSession(ctx, n); return err },
		func() error { _, err := s.Rotate(ctx, show(n.ID, 1)); return err },
		func() error { _, err := together.Rotate(ctx, show(n.ID, 2)); return err },
		func() error { return s.MarkSeen(ctx, []tokenjar.Seen{{SessionID: n.ID, Generation: 2}}) },
		func() error { return s.MarkUndelivered(ctx, []tokenjar.Undelivered{{SessionID: n.ID, Generation: 2}}) },
		func() error {
			_, err := s.MarkShared(ctx, []tokenjar.Shared{{SessionID: n.ID, Generation: 2}})
			return err
		},
		func() error { _, err := s.Session(ctx, id); return err },
		func() error { _, err := s.UserSessions(ctx, "ada"); return err },
		func() error {
			_, err := s.RevokeSessions(ctx, "ada", []string{n.ID}, tokenjar.ReasonLogout)
			return err
		},
		func() error { _, err := s.RevokeUserSessions(ctx, "ada", "", tokenjar.ReasonLogout); return err },
		func() error { _, err := s.News(ctx, time.Now()); return err },
		func() error { return s.RaiseClaims(ctx, "ada", 5) },
		func() error { _, _, err := s.PruneSessions(ctx, time.Hour, 10); return err },
		func() error { _, err := s.User(ctx, "ada"); return err },
		func() error { _, err := s.FindUser(ctx, tokenjar.Identifier{Username: "ada"}); return err },
		func() error { _, err := s.FindUser(ctx, tokenjar.Identifier{Email: "ada@example.com"}); return err },
		func() error { return s.RecordLogin(ctx, "ada", tokenjar.LoginRecord{At: time.Now()}) },
		func() error { _, err := s.UpdateProfile(ctx, "ada", tokenjar.Profile{}); return err },
		func() error { _, err := s.Users(ctx, "", 10); return err },
		func() error { return s.SetUserRoles(ctx, "ada", tokenjar.Roles{Staff: true}) },
		func() error {
			_, err := s.SetPassword(ctx, tokenjar.PasswordChange{UserID: "ada", NewHash: "x"})
			return err
		},
		func() error { _, err := s.SetUserActive(ctx, "ada", false); return err },
		func() error {
			_, err := s.SetPassword(ctx, tokenjar.PasswordChange{UserID: "ada", OldHash: "y", NewHash: "x"})
			return err
		},
		func() error { _, err := s.DeleteUser(ctx, "ada"); return err },
		func() error { _, err := s.DeleteUser(ctx, "ada"); return err },
		func() error { return s.AppendAudit(ctx, []tokenjar.AuditEvent{{Name: "x"}}) },
		func() error { _, err := s.AuditTrail(ctx, tokenjar.AuditFilter{}); return err },
		func() error { _, err := s.AuditTrail(ctx, tokenjar.AuditFilter{UserID: "ada"}); return err },
		func() error { _, err := s.PruneAudit(ctx, time.Hour, 10); return err },
	} {
		if err := call(); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	err := s.RenameSession(ctx, "ada", n.ID, "name")
	if !errors.Is(err, tokenjar.ErrNotFound) {
		t.Fatal(err)
	}

	// With walks forbidden, a plan that has one is of a statement that no index serves.
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, `SET enable_seqscan = off`); err != nil {
		t.Fatal(err)
	}
	explained := 0
	for sql, args := range seen.args {
		head := strings.TrimSpace(sql)
		if !strings.HasPrefix(head, "SELECT") && !strings.HasPrefix(head, "UPDATE") && !strings.HasPrefix(head, "INSERT") &&
			!strings.HasPrefix(head, "DELETE") && !strings.HasPrefix(head, "WITH") || strings.Contains(sql, "WHERE false") {
			continue
		}
		rows, err := conn.Query(ctx, "EXPLAIN "+sql, args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
		explained++
		text := strings.Join(plan, "\n")
		for _, table := range []string{"sessions", "users", "deleted_users", "audit_events", "claims_changes"} {
			if strings.Contains(text, "Seq Scan on "+table) {
				t.Errorf("walks a table:\n%s\n%s", sql, text)
			}
		}
	}
	if explained < 35 {
		t.Errorf("%d statements were explained: some are missing", explained)
	}
}

func TestTextsAreReadAsTheyWereWritten(t *testing.T) {
	stored := make(map[string]string)
	for _, s := range []string{
		"", "plain", "ü 🙂", "\x00", "a\x00b", "\xff", "a\xffb", "\xed\xa0\x80", escape, escape + "00", "00", "\ufffd", "\xee\x80", "\xee\x80\x80",
	} {
		encoded := encodeText(s)
		if other, taken := stored[encoded]; taken && other != s {
			t.Errorf("%q and %q are stored alike", s, other)
		}
		stored[encoded] = s
		if strings.Contains(encoded, "\x00") || strings.ToValidUTF8(encoded, "") != encoded {
			t.Errorf("%q becomes %q, which is no text", s, encoded)
		}
		if got, err := decodeText(encoded); err != nil || got != s {
			t.Errorf("%q is read as %q and %v", s, got, err)
		}
	}
	for _, damaged := range []string{escape, "a" + escape + "0", escape + "zz"} {
		if _, err := decodeText(damaged); !errors.Is(err, errDamaged) {
			t.Errorf("%q: got %v, want %v", damaged, err, errDamaged)
		}
	}
	s := openAt(t, pgtest.Schema(t), quiet(), tuning{})
	n := newSession()
	n.ID, n.UserAgent, n.IP = "id \x00\xff", "agent \x00\xff", "\xff"
	if _, _, err := s.CreateSession(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got, err := s.Session(t.Context(), n.ID)
	if err != nil || got.ID != n.ID || got.UserAgent != n.UserAgent || got.IP != n.IP {
		t.Errorf("got %q %q %q and %v", got.ID, got.UserAgent, got.IP, err)
	}
}
