package postgres

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// pooler starts a PgBouncer in front of a server and returns its address.
func pooler(t *testing.T, server *pgtest.Server, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; syscall.Access(program, 1) != nil {
			if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
				t.Fatal("PgBouncer is not installed: apt-get install pgbouncer")
			}
			t.Skip("PgBouncer is not installed: apt-get install pgbouncer")
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().(*net.TCPAddr)
	free.Close()
	host, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pooler") // not t.TempDir: that is root's alone, and the pooler runs as another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	users, settings := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s
pool_mode = %s
ignore_startup_parameters = search_path
`, host, port, addr.Port, users, mode)
	for file, text := range map[string]string{users: `"postgres" "` + pgtest.Password + "\"\n", settings: text} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{settings}
	if os.Geteuid() == 0 {
		args = []string{"-u", "nobody", settings}
	}
	run := exec.Command(program, args...)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Process.Kill(); run.Wait() })
	until(t, "the pooler answers", func() bool {
		c, err := net.DialTimeout("tcp", addr.String(), time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr.String()
}

// A pooler in transaction mode would lose the settings of a connection, and what was reported with them.
func TestAPoolerInTransactionModeIsRefusedAndOneInSessionModeWorks(t *testing.T) {
	server := pgtest.Start(t)
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			dsn := strings.Replace(server.TCP(), server.Addr(), pooler(t, server, mode), 1)
			s, err := Open(t.Context(), pgtest.With(dsn, "pool_max_conns", "1"), quiet())
			if mode == "transaction" {
				if !errors.Is(err, errPooled) {
					t.Fatalf("got %v, want %v", err, errPooled)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			id, node := login(t, s), listen(t, s)
			wantOutcome(t, s, id, 1, tokenjar.OutcomeRotated)
			wantOutcome(t, s, id, 1, tokenjar.OutcomeGraceReplay)
			wantOutcome(t, s, id, 7, tokenjar.OutcomeReused)
			until(t, "it is told", func() bool { return node.heard(id) })
		})
	}
}
