// Package pgtest runs a PostgreSQL for a test, from the binaries that are installed.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// patience is how long a server may take to start, to stop, or to be made: long, because a machine may be busy.
const patience = time.Minute

// A Server is a PostgreSQL that nobody else uses, or a schema of its own in the one that TOKENJAR_POSTGRES_DSN names.
type Server struct {
	dsn    string
	schema string // in a server that is not ours
	dir    string // with the folders data and socket; empty when the server is not ours
	bin    string
	owner  *syscall.Credential // nil: whoever runs the test

	running *process
}

// Start returns a server that ends with the test. It skips the test where there is none, unless TOKENJAR_REQUIRE_ALL is set.
func Start(t testing.TB) *Server {
	t.Helper()
	if dsn := os.Getenv("TOKENJAR_POSTGRES_DSN"); dsn != "" {
		return inSchema(t, dsn)
	}
	bin, err := binaries()
	if err != nil {
		if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s := &Server{bin: bin}
	s.create(t)
	s.Start(t)
	return s
}

// binaries finds the folder with initdb and postgres, of the newest version that Debian has installed or else in PATH.
func binaries() (string, error) {
	newest, folder := 0, ""
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	for _, path := range found {
		bin := filepath.Dir(path)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && version > newest {
			newest, folder = version, bin
		}
	}
	if folder != "" {
		return folder, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("PostgreSQL is not installed: apt-get install postgresql, or set TOKENJAR_POSTGRES_DSN")
}

// create makes the folders and an empty database. Whoever can reach the socket is let in, and the folder is its owner's alone.
func (s *Server) create(t testing.TB) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest") // not t.TempDir: that is too long for a socket, and root's alone
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.owner = unprivileged(t)
	for _, folder := range []string{dir, s.data(), s.socket()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if s.owner != nil {
			if err := os.Chown(folder, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	initdb := s.command(ctx, "initdb", "--pgdata", s.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
	if text, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, text)
	}
	s.dsn = "host=" + s.socket() + " user=postgres dbname=postgres"
}

func (s *Server) data() string   { return filepath.Join(s.dir, "data") }
func (s *Server) socket() string { return filepath.Join(s.dir, "socket") }

// unprivileged is whom a server runs as: PostgreSQL refuses root.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// command is one of PostgreSQL's programs, in a folder that its user may enter, with nothing of our environment that
// PostgreSQL would take for a setting.
func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	c.Dir = s.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Setpgid: true}
	return c
}

// A process is a server that runs.
type process struct {
	cmd   *exec.Cmd
	life  io.Closer
	ended chan struct{} // closed when it has ended
	log   lockedBuffer
}

// Start starts the server, after [Server.Stop], and returns once it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.mustBeOurs(t)
	if s.running != nil {
		t.Fatal("pgtest: the server runs")
	}
	// The shell ends the server when its standard input does: also when the test binary is killed and nothing is cleaned up.
	const lifeline = `"$@" & server=$!; (cat <&3; kill -QUIT $server) >/dev/null 2>&1 & wait $server`
	c := s.command(context.Background(), "postgres", "-D", s.data(), "-k", s.socket(), "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB", "-c", "max_connections=50")
	c.Args = append([]string{"sh", "-c", "exec 3<&0 </dev/null; " + lifeline, "sh"}, append([]string{c.Path}, c.Args[1:]...)...)
	c.Path = "/bin/sh"
	life, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: c, life: life, ended: make(chan struct{})}
	c.Stdout, c.Stderr = &p.log, &p.log
	c.WaitDelay = time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.Wait()
		close(p.ended)
	}()
	s.running = p
	t.Cleanup(func() { s.kill(p) })

	for deadline := time.Now().Add(patience); ; {
		err := s.ping(t.Context())
		if err == nil {
			return
		}
		select {
		case <-p.ended:
			t.Fatalf("the server has ended: %s", p.log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v\n%s", err, p.log.String())
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// Stop stops the server at once, as a crash does: connections break, and nothing waits for them.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.mustBeOurs(t)
	if s.running == nil {
		t.Fatal("pgtest: the server does not run")
	}
	if !s.kill(s.running) {
		t.Fatalf("the server does not end: %s", s.running.log.String())
	}
	s.running = nil
}

// kill ends a server, and waits for it. It may be called again.
func (s *Server) kill(p *process) bool {
	p.life.Close()
	select {
	case <-p.ended:
		return true
	case <-time.After(patience):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // a group of its own: never anybody else
		<-p.ended
		return false
	}
}

func (s *Server) mustBeOurs(t testing.TB) {
	t.Helper()
	if s.dir == "" {
		t.Skip("the server of TOKENJAR_POSTGRES_DSN is not ours to stop")
	}
}

// inSchema makes a schema in somebody's database, which goes with the test.
func inSchema(t testing.TB, dsn string) *Server {
	t.Helper()
	s := &Server{dsn: dsn, schema: "tokenjar_" + strings.ToLower(rand.Text())}
	run := func(ctx context.Context, sql string) error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return fmt.Errorf("TOKENJAR_POSTGRES_DSN: %w", err)
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, sql)
		return err
	}
	if err := run(t.Context(), "CREATE SCHEMA "+s.schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run(context.Background(), "DROP SCHEMA "+s.schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Pool returns a pool of connections to the server, which ends with the test.
func (s *Server) Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	if s.schema != "" {
		config.ConnConfig.RuntimeParams["search_path"] = s.schema
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// A lockedBuffer is written by the server while a test may read it.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
