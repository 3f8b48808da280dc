// Package examples_test runs what the documents show: their files, their commands, their snippets in other languages.
package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A block is one fenced block of a document.
type block struct {
	lang string // "go", "sh", …; empty for output
	file string // the file it shows, from the root of the repository; empty if it is none
	text string
}

var fence = regexp.MustCompile("(?ms)^(?:<!-- file: (\\S+) -->\n)?```([a-z]*)\n(.*?)^```$")

// blocks reads the fenced blocks of a document, in order.
func blocks(t *testing.T, document string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", document))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{file: m[1], lang: m[2], text: m[3]})
	}
	return all
}

// skip skips a test for want of something, unless everything has to be there.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// need skips a test when a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, "%s is not installed", p)
		}
	}
}

// A shell runs the commands of a document, one after the other, in a folder that they may change.
type shell struct {
	dir     string
	environ []string
	replace *strings.Replacer
}

func newShell(dir string, environ ...string) *shell {
	return &shell{dir: dir, environ: environ, replace: strings.NewReplacer()}
}

func (s *shell) command(ctx context.Context, script string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", "-c", "set -e -o pipefail\n"+s.replace.Replace(script)+"\npwd >&3\n")
	c.Dir = s.dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GO") && !strings.HasPrefix(e, "TOKENJAR_") || strings.HasPrefix(e, "GOPROXY=") ||
			strings.HasPrefix(e, "GOPATH=") || strings.HasPrefix(e, "GOMODCACHE=") || strings.HasPrefix(e, "GOCACHE=") {
			c.Env = append(c.Env, e)
		}
	}
	c.Env = append(c.Env, s.environ...)
	return c
}

// run runs a script to its end and returns what it printed.
func (s *shell) run(t *testing.T, script string) string {
	t.Helper()
	where, put, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer where.Close()
	c := s.command(t.Context(), script)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr, c.ExtraFiles = &stdout, &stderr, []*os.File{put}
	err = c.Run()
	put.Close()
	if err != nil {
		t.Fatalf("%s\n%v\n%s%s", script, err, stdout.String(), stderr.String())
	}
	dir, err := io.ReadAll(where)
	if err != nil {
		t.Fatal(err)
	}
	s.dir = strings.TrimSpace(string(dir))
	return stdout.String()
}

// start runs a script that serves until the test is over, and returns once its output matches ready.
func (s *shell) start(t *testing.T, script, ready string) *output {
	t.Helper()
	c := s.command(context.WithoutCancel(t.Context()), script)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // "go run" has a child
	out := &output{ready: regexp.MustCompile(ready), found: make(chan struct{})}
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	out.stop = sync.OnceFunc(func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		}
	})
	t.Cleanup(out.stop)
	select {
	case <-out.found:
	case err := <-ended:
		ended <- err
		t.Fatalf("%s\nended: %v\n%s", script, err, out)
	case <-time.After(3 * time.Minute): // it may have to be built
		t.Fatalf("%s\nis not ready\n%s", script, out)
	}
	return out
}

// An output gathers what a program prints, and tells when it prints what is waited for.
type output struct {
	ready *regexp.Regexp
	found chan struct{}
	stop  func() // ends the program and waits for it

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if !o.told && o.ready.Match(o.text.Bytes()) {
		o.told = true
		close(o.found)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// freePort returns a port that nobody listened on a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// buildCLI builds the binary, once for all tests.
var buildCLI = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tokenjar-docs")
	if err != nil {
		return "", err
	}
	c := exec.Command("go", "build", "-o", filepath.Join(dir, "tokenjar"), "./cmd/tokenjar")
	c.Dir = ".."
	if text, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, text)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built {
		if dir, err := buildCLI(); err == nil {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

var built bool

// cli returns the folder with the binary, for PATH. TOKENJAR_BIN may name one.
func cli(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("TOKENJAR_BIN"); bin != "" {
		return filepath.Dir(bin)
	}
	built = true
	dir, err := buildCLI()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A visitor is a browser as far as HTTP goes: a cookie jar, an origin, and the header that pages of ours send.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
	csrf   string
}

func newVisitor(t *testing.T, base string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, base: base, client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// An answer is what came back.
type answer struct {
	status  int
	header  http.Header
	cookies map[string]*http.Cookie
	body    map[string]any
}

// call sends a request as app.js does and reads the JSON of its answer.
func (v *visitor) call(method, path, body string) answer {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if method != http.MethodGet {
		r.Header.Set("Origin", v.base)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("X-CSRFToken", v.csrf)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return v.do(r)
}

func (v *visitor) do(r *http.Request) answer {
	v.t.Helper()
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, cookies: map[string]*http.Cookie{}}
	for _, c := range resp.Cookies() {
		a.cookies[c.Name] = c
		if strings.HasSuffix(c.Name, "csrftoken") && c.MaxAge >= 0 {
			v.csrf = c.Value
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil && !errors.Is(err, io.EOF) {
		v.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return a
}

// forget takes a cookie out of the jar, as a browser does when its time is over.
func (v *visitor) forget(name string) {
	v.t.Helper()
	r, err := http.NewRequest(http.MethodGet, v.base, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	v.client.Jar.SetCookies(r.URL, []*http.Cookie{{Name: name, Path: "/", MaxAge: -1}})
}

// want checks status and, if there is one, the problem's code.
func (a answer) want(t *testing.T, status int, code string) {
	t.Helper()
	if got := a.header.Get("X-Tokenjar-Problem"); a.status != status || got != code {
		t.Fatalf("got %d %q, want %d %q: %v", a.status, got, status, code, a.body)
	}
}
