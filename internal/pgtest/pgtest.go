// Package pgtest runs a PostgreSQL for tests, from the binaries that are installed: one for all tests of a package, in which
// each has a schema of its own ([Schema]), and one for a test that stops it ([Start]).
//
// With TOKENJAR_POSTGRES_DSN in the environment [Schema] uses that server, and nothing is started.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
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
const patience = 2 * time.Minute

// Password is that of the user postgres over TCP. Whoever can reach the socket is let in without.
const Password = "correct-horse"

// Schema returns the DSN of an empty schema that goes with the test, in a server that all tests of the process share. It
// skips the test where there is none, unless TOKENJAR_REQUIRE_ALL is set.
func Schema(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv("TOKENJAR_POSTGRES_DSN")
	if dsn == "" {
		dsn = shared(t).DSN()
	}
	schema := "tokenjar_" + strings.ToLower(rand.Text())
	if err := run(t.Context(), dsn, "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run(context.Background(), dsn, "SET client_min_messages = warning; DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return With(dsn, "search_path", schema)
}

// With returns a DSN with one more parameter.
func With(dsn, key, value string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return dsn + " " + key + "='" + value + "'"
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func run(ctx context.Context, dsn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

var common struct {
	mu     sync.Mutex
	server *Server
}

// shared returns the server that all tests of the process share. It ends with the process, however that ends.
func shared(t testing.TB) *Server {
	t.Helper()
	common.mu.Lock()
	defer common.mu.Unlock()
	if common.server == nil {
		s := newServer(t, Options{})
		s.ends = true
		s.Start(t)
		common.server = s
	}
	return common.server
}

// Options are how a server differs from the ordinary one of a test.
type Options struct {
	// Durable leaves fsync on. Ordinarily it is off, which nothing but a failing machine would notice.
	Durable bool
	// Settings are further ones of postgresql.conf.
	Settings map[string]string
	// Environ is added to the environment of the server.
	Environ []string
}

// A Server is a PostgreSQL that nobody else uses. It listens on a socket and, with [Password], on 127.0.0.1.
type Server struct {
	options Options
	dir     string // with the folders data and socket
	bin     string
	port    int
	owner   *syscall.Credential // nil: whoever runs the test
	ends    bool                // with the process, not with the test

	running *process
}

// Start returns a server that runs, and ends with the test. It skips the test where PostgreSQL is not installed, unless
// TOKENJAR_REQUIRE_ALL is set.
func Start(t testing.TB) *Server { return StartWith(t, Options{}) }

// StartWith does so with options.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	s := newServer(t, o)
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	s.Start(t)
	return s
}

// newServer makes a server that does not run yet.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s := &Server{options: o, bin: bin}
	defer func() {
		if t.Failed() {
			os.RemoveAll(s.dir)
		}
	}()
	s.create(t)
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

// create makes the folders and an empty database. The folder is its owner's alone.
func (s *Server) create(t testing.TB) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest") // not t.TempDir: that is too long for a socket, and root's alone
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
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
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(Password+"\n"), 0o644); err != nil { // in a folder of its user's alone
		t.Fatal(err)
	}
	initdb := s.command(ctx, "initdb", "--pgdata", s.data(), "--username=postgres", "--auth-local=trust",
		"--auth-host=scram-sha-256", "--pwfile", password, "--encoding=UTF8", "--no-locale", "--no-sync")
	if text, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, text)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	free.Close()
}

func (s *Server) data() string   { return filepath.Join(s.dir, "data") }
func (s *Server) socket() string { return filepath.Join(s.dir, "socket") }
func (s *Server) log() string    { return filepath.Join(s.dir, "log") }

// DSN returns the URL of the database postgres, over the socket.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=%d", url.QueryEscape(s.socket()), s.port)
}

// TCP returns the URL of the database postgres over TCP, with the password.
func (s *Server) TCP() string {
	return fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", Password, s.Addr())
}

// Addr returns host and port of the server. They stay the same when it is started again.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

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
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}, s.options.Environ...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Setpgid: true}
	return c
}

// A process is a server that runs.
type process struct {
	cmd  *exec.Cmd
	life io.Closer
	once sync.Once
}

// wait returns when the process has ended.
func (p *process) wait() { p.once.Do(func() { p.cmd.Wait() }) }

// Start starts the server again, after [Server.Stop] or [Server.Kill], on the same data and port, and returns once it
// answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.running != nil {
		t.Fatal("pgtest: the server runs")
	}
	deadline := time.Now().Add(patience)
	for {
		s.running = s.launch(t)
		if !s.ends {
			p := s.running
			t.Cleanup(func() { p.kill() })
		}
		if s.answers(t, deadline) {
			return
		}
		// After a kill the old one's last processes may still be about to end: it refuses to start beside them.
		s.running.kill()
		s.running = nil
		if text, _ := os.ReadFile(s.log()); time.Now().After(deadline) {
			t.Fatalf("the server does not start:\n%s", text)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *Server) launch(t testing.TB) *process {
	t.Helper()
	// The shell ends the server when its standard input does: also when the test binary is killed and nothing is cleaned up.
	lifeline := `"$@" & server=$!; (cat <&3; kill -QUIT $server) >/dev/null 2>&1 & wait $server`
	if s.ends {
		lifeline += `; rm -rf "$PWD"`
	}
	settings := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(s.port), "unix_socket_directories": s.socket(),
		"shared_buffers": "32MB", "max_connections": "150",
	}
	if !s.options.Durable {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	maps.Copy(settings, s.options.Settings)
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	c := s.command(context.Background(), "postgres", args...)
	c.Args = append([]string{"sh", "-c", "exec 3<&0 </dev/null; " + lifeline, "sh"}, append([]string{c.Path}, c.Args[1:]...)...)
	c.Path = "/bin/sh"
	life, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log // a file: nothing has to be copied
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{cmd: c, life: life}
}

// answers waits until the server answers; false: it has ended, or does not.
func (s *Server) answers(t testing.TB, deadline time.Time) bool {
	t.Helper()
	for time.Now().Before(deadline) {
		// A server that is just ending or beginning may take a connection and never answer on it.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := run(ctx, s.DSN(), "SELECT 1")
		cancel()
		if err == nil {
			return true
		}
		if s.postmaster() == 0 && time.Since(deadline.Add(-patience)) > 2*time.Second {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// postmaster is the server's process, from the file that it keeps; 0: there is none.
func (s *Server) postmaster() int {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || syscall.Kill(pid, 0) != nil {
		return 0
	}
	return pid
}

// Stop stops the server as an operator does: transactions are ended, connections are told, nothing has to be recovered.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGINT)
}

// Kill ends the server without giving it a moment, as a failing machine does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
}

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	pid := s.postmaster()
	if s.running == nil || pid == 0 {
		t.Fatal("pgtest: the server does not run")
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("pgtest: the server does not end")
		}
	}
	s.running.kill()
	s.running = nil
}

// kill ends a server at once, and waits for it. It may be called again.
func (p *process) kill() {
	p.life.Close()
	timer := time.AfterFunc(patience, func() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }) // a group of its own: never anybody else
	defer timer.Stop()
	p.wait()
}

// Pool returns a pool of connections to a DSN, which ends with the test.
func Pool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}
