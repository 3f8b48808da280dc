package nodes

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/store/postgres"
)

const thePassword = "umbrella-kettle-92"

// A setup is how a cluster differs from two nodes on a schema of their own.
type setup struct {
	nodes    int               // default 2
	behind   int               // nginx: the first so many nodes, which have to be ready; default all
	database string            // default a schema of the PostgreSQL that the tests share
	users    []string          // default ada
	settings map[string]string // of all nodes, by environment variable without TOKENJAR_
	each     func(*node)       // sees each node before it starts
}

// A cluster is nodes behind an nginx.
type cluster struct {
	url   string // as browsers know it
	front string // where nginx listens
	nodes []*node

	mu         sync.Mutex
	transports []*http.Transport
}

// start starts a cluster, which ends with the test. Each node has its own folder, with its own copy of the secret.
func start(t testing.TB, s setup) *cluster {
	t.Helper()
	if s.nodes == 0 {
		s.nodes = 2
	}
	if s.users == nil {
		s.users = []string{"ada"}
	}
	nginx := findNginx(t)
	if s.database == "" {
		s.database = pgtest.Schema(t)
	}
	binary := build(t, "./cmd/tokenjar")
	c := &cluster{front: address(t)}
	_, port, _ := net.SplitHostPort(c.front)
	c.url = "http://localhost:" + port
	secret := tokenjar.GenerateSecret() + "\n"
	for i := range s.nodes {
		n := newNode(t, fmt.Sprint("node ", i+1), binary, secret, map[string]string{
			"PUBLIC_URL": c.url, "DATABASE": s.database, "TRUSTED_PROXIES": "127.0.0.0/8",
			"LIMITS_LOGIN_PER_ACCOUNT": "100000/s", "LIMITS_LOGIN_PER_ADDRESS": "100000/s", "SESSION_MAX_PER_USER": "1000000",
		})
		for key, value := range s.settings {
			n.settings[key] = value
		}
		if s.each != nil {
			s.each(n)
		}
		c.nodes = append(c.nodes, n)
	}
	addUsers(t, s.database, s.users)
	var starts sync.WaitGroup
	for _, n := range c.nodes {
		starts.Go(func() { n.start(t) })
	}
	starts.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if s.behind == 0 {
		s.behind = s.nodes
	}
	for _, n := range c.nodes[:s.behind] {
		n.waitReady(t)
	}
	c.startNginx(t, nginx, c.nodes[:s.behind])
	t.Cleanup(c.closeIdle)
	return c
}

// addUsers makes users as the command does, but pays for the hash of their password once.
func addUsers(t testing.TB, dsn string, names []string) {
	t.Helper()
	store, err := postgres.Open(t.Context(), dsn, postgres.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	hashed, err := hash()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		user := tokenjar.User{
			ID: rand.Text(), Username: name, Email: name + "@example.com", PasswordHash: tokenjar.PasswordHash(hashed), Active: true,
		}
		if err := store.CreateUser(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
}

var hash = sync.OnceValues(func() (string, error) {
	h, err := password.New(password.Config{})
	if err != nil {
		return "", err
	}
	return h.Hash(context.Background(), thePassword)
})

// address returns an address of this machine that nobody listens on. On Linux the whole of 127.0.0.0/8 is this machine, so
// that nobody else takes the port while its node is being started again.
func address(t testing.TB) string {
	t.Helper()
	host := "127.0.0.1:0"
	if _, err := os.Stat("/proc/self"); err == nil {
		b := make([]byte, 3)
		rand.Read(b)
		host = fmt.Sprintf("127.%d.%d.%d:0", 1+b[0]%200, b[1], 1+b[2]%200)
	}
	l, err := net.Listen("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A node is one process of the server, and the next one in its place after a stop.
type node struct {
	name     string
	binary   string
	dir      string
	address  string
	settings map[string]string
	environ  []string // beside the settings

	log output // of all its processes, one after the other
	*process
}

func newNode(t testing.TB, name, binary, secret string, settings map[string]string) *node {
	t.Helper()
	n := &node{name: name, binary: binary, dir: t.TempDir(), address: address(t), settings: settings}
	settings["LISTEN"] = n.address
	if err := os.WriteFile(filepath.Join(n.dir, "tokenjar.secret"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n.process != nil {
			n.process.kill()
		}
		n.judgeLog(t)
	})
	return n
}

var trouble = regexp.MustCompile(`(?s)(WARNING: DATA RACE|panic|fatal error: ).*`)

// judgeLog fails the test when a process has panicked or raced, and shows the end of the log when it has failed anyway.
func (n *node) judgeLog(t testing.TB) {
	t.Helper()
	text := n.log.String()
	if found := trouble.FindString(text); found != "" {
		t.Errorf("%s:\n%.6000s", n.name, found)
	} else if t.Failed() {
		t.Logf("the end of the log of %s:\n%s", n.name, text[max(0, len(text)-3000):])
	}
}

// exec is a command of the program as the node would be called.
func (n *node) exec(args ...string) *exec.Cmd {
	c := exec.Command(n.binary, args...)
	c.Dir = n.dir
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=0 atexit_sleep_ms=0"}, n.environ...)
	for key, value := range n.settings {
		c.Env = append(c.Env, "TOKENJAR_"+key+"="+value)
	}
	return c
}

// start starts the process and returns when it listens.
func (n *node) start(t testing.TB) {
	t.Helper()
	p, err := run(n.exec("serve"), &n.log)
	if err != nil {
		t.Error(err)
		return
	}
	n.process = p
	for deadline := time.Now().Add(patience); !strings.Contains(p.stdout.String(), "tokenjar serves "); time.Sleep(5 * time.Millisecond) {
		if p.over() || time.Now().After(deadline) {
			t.Errorf("%s does not start: %v", n.name, p.err)
			return
		}
	}
}

// ready reports whether requests should be sent to it.
func (n *node) ready() bool {
	r, err := (&http.Client{Timeout: patience}).Get("http://" + n.address + "/readyz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func (n *node) waitReady(t testing.TB) {
	t.Helper()
	eventually(t, n.name+" is ready", n.ready)
}

// stop stops the process as an operator does.
func (n *node) stop(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	if err := n.wait(); err != nil {
		t.Errorf("%s: %v", n.name, err)
	}
}

// command runs a command of the program with the settings of the node, and returns what it prints.
func (n *node) command(t testing.TB, input string, args ...string) string {
	t.Helper()
	c := n.exec(args...)
	c.Stdin = strings.NewReader(input + "\n")
	var stderr output
	p, err := run(c, io.MultiWriter(&stderr, &n.log))
	if err == nil {
		err = p.wait()
	}
	if err != nil {
		t.Fatalf("tokenjar %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return p.stdout.String()
}

func findNginx(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} { // Debian's is in root's PATH alone
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	skip(t, "nginx is not installed: apt-get install nginx-light")
	return ""
}

// startNginx starts an nginx that asks nodes in turns. Its configuration is that of docs/howto/nginx.md, without TLS and with
// other addresses.
func (c *cluster) startNginx(t testing.TB, nginx string, nodes []*node) {
	t.Helper()
	dir := t.TempDir()
	shown, err := os.ReadFile("../../examples/nginx/nodes.conf")
	if err != nil {
		t.Fatal(err)
	}
	servers := regexp.MustCompile(`(?m)^ +server 10\.0\.0\.11:8080 (.*)\n( +server 10\..*\n)*`)
	found := servers.FindStringSubmatch(string(shown))
	if found == nil {
		t.Fatal("examples/nginx/nodes.conf has no nodes")
	}
	var upstream strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&upstream, "server %s %s\n", n.address, found[1])
	}
	site := servers.ReplaceAllLiteralString(string(shown), upstream.String())
	site = regexp.MustCompile(`(?m)^ +ssl_.*\n`).ReplaceAllLiteralString(site, "")
	site = strings.NewReplacer("listen 443 ssl;", "listen "+c.front+" backlog=4096; keepalive_requests 1000000;",
		"$scheme", `""`, "$host;", "$http_host;",
		"proxy_cache off;", "proxy_cache off; add_header X-Node $upstream_addr always;").Replace(site)
	conf := fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
%[2]s}
`, dir, site)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var log output
	p, err := run(exec.Command(nginx, "-e", "stderr", "-p", dir, "-c", path), &log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the log of nginx:\n%s", log.String())
		}
	})
	eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", c.front)
		if err != nil {
			if p.over() {
				t.Fatalf("nginx: %v\n%s", p.err, log.String())
			}
			return false
		}
		conn.Close()
		return true
	})
}

// through returns a transport to one node, or to nginx (nil), whatever the host of a URL.
func (c *cluster) through(n *node) *http.Transport {
	to := c.front
	if n != nil {
		to = n.address
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
		MaxIdleConnsPerHost: 256,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transports = append(c.transports, transport)
	return transport
}

func (c *cluster) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// percentile returns how long the fastest p of all took.
func percentile(took []time.Duration, p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}
