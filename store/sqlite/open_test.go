package sqlite

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/tokenjar/tokenjar"
)

// dump is what the database's files hold.
type dump [][]byte

func dumpFiles(t *testing.T, path string) (d dump) {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	// To open and close the files drops SQLite's locks on them. Nothing else uses them here, so that does no harm.
	for _, name := range names {
		if strings.HasSuffix(name, "-shm") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d = append(d, data)
	}
	return d
}

func (d dump) contains(text []byte) bool {
	for _, data := range d {
		if bytes.Contains(data, text) {
			return true
		}
	}
	return false
}

func TestF06OpenRefusesWithTheReason(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(t *testing.T, path string) string // makes the file; returns the path to open
		want    string
	}{
		{"no path", func(*testing.T, string) string { return "" }, "a database file is needed"},
		{"memory", func(*testing.T, string) string { return ":memory:" }, "store/memory"},
		{"directory is missing", func(t *testing.T, path string) string {
			return filepath.Join(filepath.Dir(path), "missing", "tokenjar.db")
		}, "nor its directory"},
		{"path is a directory", func(t *testing.T, path string) string { return filepath.Dir(path) }, "is a directory"},
		{"parent is a file", func(t *testing.T, path string) string {
			writeFile(t, path, "text")
			return filepath.Join(path, "tokenjar.db")
		}, "not a directory"},
		{"empty file", func(t *testing.T, path string) string {
			writeFile(t, path, "")
			return path
		}, "is empty"},
		{"text file", func(t *testing.T, path string) string {
			writeFile(t, path, strings.Repeat("this is no database\n", 1000))
			return path
		}, "not a SQLite database"},
		{"corrupt header", func(t *testing.T, path string) string {
			closeStore(t, openAt(t, path, quiet(), tuning{}))
			overwrite(t, path, 0, bytes.Repeat([]byte{0xff}, 100))
			return path
		}, "not a SQLite database"},
		{"corrupt schema", func(t *testing.T, path string) string {
			closeStore(t, openAt(t, path, quiet(), tuning{}))
			overwrite(t, path, 100, bytes.Repeat([]byte{0xff}, 900))
			return path
		}, "damaged"},
		{"cut short", func(t *testing.T, path string) string {
			closeStore(t, openAt(t, path, quiet(), tuning{}))
			if err := os.Truncate(path, 50); err != nil {
				t.Fatal(err)
			}
			return path
		}, "damaged"},
		{"another program's database", func(t *testing.T, path string) string {
			writeFile(t, path, "")
			raw(t, path, `CREATE TABLE recipes (name TEXT)`).close()
			return path
		}, "another program"},
		{"newer schema", func(t *testing.T, path string) string {
			closeStore(t, openAt(t, path, quiet(), tuning{}))
			raw(t, path, `PRAGMA user_version = 99`).close()
			return path
		}, "schema version 99, this program knows versions up to 8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := row.prepare(t, dbPath(t))
			before := files(t, path)
			s, err := Open(context.Background(), path, quiet())
			if err == nil {
				s.Close()
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("error: got %q, want %q in it", err, row.want)
			}
			if after := files(t, path); after != before {
				t.Errorf("files: got %s, want %s as before", after, before)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(with, at); err != nil {
		t.Fatal(err)
	}
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// files returns the names in the directory of a path, without the log and its index.
func files(t *testing.T, path string) string {
	t.Helper()
	entries, _ := os.ReadDir(filepath.Dir(path))
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "-wal") && !strings.HasSuffix(e.Name(), "-shm") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestNewDatabaseIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?#%41 name.db")
	s := openAt(t, path, quiet(), tuning{})
	login(t, s)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s: got mode %o, want 600", filepath.Base(name), mode)
		}
	}
	if got := files(t, path); got != filepath.Base(path) {
		t.Errorf("files: got %q, want the database alone", got)
	}
}

func TestEveryConnectionHasTheSettings(t *testing.T) {
	s := openAt(t, dbPath(t), quiet(), tuning{})
	for pragma, want := range map[string]int64{
		"synchronous": 2, "foreign_keys": 1, "wal_autocheckpoint": 0, "busy_timeout": 1000, "query_only": 0,
	} {
		n, err := write(t.Context(), s, "pragma", func(t *tx) (n int64, err error) {
			err = t.row(`PRAGMA ` + pragma).Scan(&n)
			return n, err
		})
		if err != nil || n != want {
			t.Errorf("writer: %s is %d (%v), want %d", pragma, n, err, want)
		}
	}
	var mode string
	if err := s.row(t.Context(), `PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode: got %q and %v, want wal", mode, err)
	}
	if _, err := s.readers.Exec(`DELETE FROM sessions`); err == nil {
		t.Error("a connection that reads has written")
	}
}

func TestF21MigrationsThatRaceEachOtherRunOnce(t *testing.T) {
	path := dbPath(t)
	steps := []string{
		`CREATE TABLE runs (step INTEGER) STRICT; INSERT INTO runs VALUES (1)`,
		`INSERT INTO runs VALUES (2)`,
		`INSERT INTO runs VALUES (3); CREATE INDEX runs_step ON runs (step)`,
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := open(context.Background(), path, quiet(), tuning{steps: steps})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n, err := raw(t, path).number(t.Context(), `SELECT count(*) * 100 + sum(step) FROM runs`)
	if err != nil || n != 306 {
		t.Errorf("runs: got %d and %v, want 3 of them, 1 to 3", n, err)
	}
}

func TestF21MigrationThatFailsLeavesNothingAndIsRunAgain(t *testing.T) {
	path := dbPath(t)
	first := `CREATE TABLE a (x INTEGER) STRICT`
	_, err := open(t.Context(), path, quiet(), tuning{steps: []string{first, `CREATE TABLE b (x INTEGER) STRICT; INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)`}})
	if err == nil || !strings.Contains(err.Error(), "migration 2") {
		t.Fatalf("error: got %v, want migration 2 in it", err)
	}
	c := raw(t, path)
	version, err := c.number(t.Context(), `PRAGMA user_version`)
	tables, err2 := c.number(t.Context(), `SELECT count(*) FROM sqlite_schema`)
	if version != 1 || tables != 1 || err != nil || err2 != nil {
		t.Fatalf("got version %d and %d tables (%v, %v), want those of the first migration", version, tables, err, err2)
	}
	s := openAt(t, path, quiet(), tuning{steps: []string{first, `CREATE TABLE b (x INTEGER) STRICT`}})
	closeStore(t, s)
}

// ourSteps are the migrations of the program.
func ourSteps(t *testing.T) []string {
	t.Helper()
	steps, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestDatabaseOfTheFirstVersionIsBroughtUpToDate(t *testing.T) {
	path := dbPath(t)
	c := raw(t, fileOfVersion(t, path, 1), `
INSERT INTO users (id, username, username_key, email, email_key, first_name, last_name, password_hash, active,
       email_verified, staff, superuser, auth_epoch, last_login, created_at)
VALUES ('user', 'Anna', 'anna', '', NULL, '', '', 'old', 1, 0, 0, 0, 2, NULL, 0)`)
	c.close()
	s := openAt(t, path, quiet(), tuning{})
	u, err := s.FindUser(t.Context(), tokenjar.Identifier{Username: "ANNA"})
	if err != nil || u.PasswordHash != "old" || u.AuthEpoch != 2 {
		t.Fatalf("user of the old file: got %+v and %v", u, err)
	}
	n := newSession()
	n.OwnUserStore, n.AuthEpoch = false, 2
	if _, _, err := s.CreateSession(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if ended, err := s.SetPassword(t.Context(), tokenjar.PasswordChange{UserID: "user", OldHash: "old", NewHash: "new"}); err != nil ||
		len(ended) != 1 || ended[0] != n.ID {
		t.Errorf("password change: got %v and %v, want one session ended", ended, err)
	}
	if err := s.AppendAudit(t.Context(), []tokenjar.AuditEvent{{Name: "password.changed", UserID: "user"}}); err != nil {
		t.Error(err)
	}
	if list, err := s.AuditTrail(t.Context(), tokenjar.AuditFilter{UserID: "user"}); err != nil || len(list) != 1 {
		t.Errorf("trail: got %d events and %v, want 1", len(list), err)
	}
	if _, err := s.DeleteUser(t.Context(), "user"); err != nil {
		t.Error(err)
	}
	closeStore(t, s)
	again := raw(t, path)
	if version, err := again.number(t.Context(), `PRAGMA user_version`); err != nil || version != int64(len(ourSteps(t))) {
		t.Errorf("version: got %d and %v, want %d", version, err, len(ourSteps(t)))
	}
	integrity(t, path)
}

// fileOfVersion makes a database as a program of an earlier version left it, and returns its path.
func fileOfVersion(t *testing.T, path string, version int) string {
	t.Helper()
	closeStore(t, openAt(t, path, quiet(), tuning{steps: ourSteps(t)[:version]}))
	return path
}

func TestF21EachOfOurMigrationsThatIsInterruptedLeavesNothingAndIsRunAgain(t *testing.T) {
	for number := range ourSteps(t) {
		path := dbPath(t)
		if number > 0 {
			fileOfVersion(t, path, number)
		}
		steps := ourSteps(t)
		steps[number] += `; INSERT INTO power_failure VALUES (1)`
		if _, err := open(t.Context(), path, quiet(), tuning{steps: steps}); err == nil {
			t.Fatalf("migration %d was not interrupted", number+1)
		}
		c := raw(t, path)
		if version, err := c.number(t.Context(), `PRAGMA user_version`); err != nil || version != int64(number) {
			t.Errorf("after the failure of migration %d: got version %d and %v", number+1, version, err)
		}
		c.close()
		s := openAt(t, path, quiet(), tuning{})
		if err := s.AppendAudit(t.Context(), []tokenjar.AuditEvent{{Name: "name"}}); err != nil {
			t.Errorf("after migration %d was run again: %v", number+1, err)
		}
		closeStore(t, s)
	}
}

func TestMigrationsHaveNumbersWithoutGaps(t *testing.T) {
	if list, err := migrations(migrationFiles); err != nil || len(list) != 8 {
		t.Errorf("our own: got %d and %v", len(list), err)
	}
	for _, names := range [][]string{{"0002_b.sql"}, {"0001_a.sql", "0003_c.sql"}, {"0001_a.sql", "0001_b.sql"}, {"first.sql"}} {
		files := make(fstest.MapFS)
		for _, name := range names {
			files["migrations/"+name] = &fstest.MapFile{}
		}
		if _, err := migrations(files); err == nil {
			t.Errorf("%v: got no error", names)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	path := dbPath(t)
	s := openAt(t, path, quiet(), tuning{})
	beside := openAt(t, path, quiet(), tuning{}) // the command line
	release, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := beside.Lock(); err == nil || !strings.Contains(err.Error(), "another server is using "+s.path) {
		t.Errorf("second lock: got %v, want a refusal that names the file", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	again, err := beside.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
}

func TestDataVersionMovesWhenAnybodyWrites(t *testing.T) {
	path := dbPath(t)
	s, other := openAt(t, path, quiet(), tuning{}), openAt(t, path, quiet(), tuning{})
	id := login(t, s)
	version := func() int64 {
		t.Helper()
		n, err := s.DataVersion(t.Context())
		if err != nil || n == 0 {
			t.Fatalf("data version: got %d and %v", n, err)
		}
		return n
	}
	before := version()
	if _, err := s.Session(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if again := version(); again != before {
		t.Errorf("after a read: got %d, want %d", again, before)
	}
	wantOutcome(t, other, id, 1, tokenjar.OutcomeRotated)
	after := version()
	if after == before {
		t.Error("another process's write does not show")
	}
	// A new connection counts from the start: its numbers must not be taken for the old one's.
	s.versions.mu.Lock()
	s.versions.conn.close()
	s.versions.conn = nil
	s.versions.mu.Unlock()
	if again := version(); again == after || again == before {
		t.Errorf("after a new connection: got %d, which was there before", again)
	}
	closeStore(t, s)
	_, err := s.DataVersion(t.Context())
	wantUnavailable(t, err)
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	s := openAt(t, dbPath(t), quiet(), tuning{})
	id := login(t, s)
	closeStore(t, s)
	closeStore(t, s)
	_, err := s.Session(t.Context(), id)
	wantUnavailable(t, err)
	_, err = s.Rotate(t.Context(), show(id, 1))
	wantUnavailable(t, err)
	_, err = s.UserSessions(t.Context(), "user")
	wantUnavailable(t, err)
	_, err = s.User(t.Context(), "user")
	wantUnavailable(t, err)
	_, _, err = s.KeyRing(t.Context())
	wantUnavailable(t, err)
	_, err = s.Users(t.Context(), "", 10)
	wantUnavailable(t, err)
	_, err = s.DeleteUser(t.Context(), "user")
	wantUnavailable(t, err)
	_, err = s.AuditTrail(t.Context(), tokenjar.AuditFilter{})
	wantUnavailable(t, err)
	wantUnavailable(t, s.AppendAudit(t.Context(), []tokenjar.AuditEvent{{Name: "name"}}))
	_, err = s.PruneAudit(t.Context(), 0, 10)
	wantUnavailable(t, err)
}
