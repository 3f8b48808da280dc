package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

const goodPassword = "umbrella-kettle-92"

// serve starts a server in dir on a free port.
func serve(t *testing.T, dir string, args ...string) (*process, string) {
	t.Helper()
	p := &process{dir: dir}
	if err := p.start(append([]string{"serve"}, args...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	url, err := p.ready()
	if err != nil {
		t.Fatal(err)
	}
	return p, url
}

func createUser(t *testing.T, dir, name string) {
	t.Helper()
	p := &process{dir: dir}
	if err := p.startWithInput(goodPassword+"\n", "users", "create", name, "--email", name+"@example.com", "--password-stdin"); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		t.Fatalf("users create: %v\n%s", err, p.stderr.String())
	}
}

func login(t *testing.T, client *http.Client, url, name, password string) (status int, body string) {
	t.Helper()
	credentials, err := json.Marshal(map[string]string{"username": name, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Post(url+"/auth/login", "application/json", bytes.NewReader(credentials))
	return read(t, response, err)
}

func read(t *testing.T, response *http.Response, err error) (status int, body string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: patience}
}

func TestAnAcknowledgedSignInSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	createUser(t, dir, "ada")
	first, url := serve(t, dir, "--listen", "127.0.0.1:0")
	client := newClient(t)
	if status, body := login(t, client, url, "ada", goodPassword); status != http.StatusOK {
		t.Fatalf("login: got %d %s", status, body)
	}
	first.kill() // SIGKILL: nothing is flushed or closed

	// The same address, since the cookies and the tokens' issuer name it.
	_, again := serve(t, dir, "--listen", strings.Replace(url, "http://localhost", "127.0.0.1", 1))
	if again != url {
		t.Fatalf("after the restart it serves %s, before it served %s", again, url)
	}
	response, err := client.Get(url + "/auth/user")
	if status, body := read(t, response, err); status != http.StatusOK || !strings.Contains(body, `"username":"ada"`) {
		t.Errorf("after the restart: got %d %s", status, body)
	}
	response, err = client.Get(url + "/auth/session")
	if status, body := read(t, response, err); status != http.StatusOK || !strings.Contains(body, `"authenticated":true`) {
		t.Errorf("the session after the restart: got %d %s", status, body)
	}
}

func TestAUserMadeBesideARunningServerCanSignIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, url := serve(t, dir, "--listen", "127.0.0.1:0")
	client := newClient(t)
	if status, _ := login(t, client, url, "grace", goodPassword); status != http.StatusUnauthorized {
		t.Fatalf("before: got %d", status)
	}
	createUser(t, dir, "grace")
	if status, body := login(t, client, url, "grace", goodPassword); status != http.StatusOK {
		t.Errorf("after: got %d %s", status, body)
	}
}

func TestNoPasswordAndNoTokenInOutputAtDebugLevel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	createUser(t, dir, "ada")
	const wrong = "wrong-canary-password"
	p := &process{dir: dir, env: []string{"TOKENJAR_LOG_LEVEL=debug"}}
	if err := p.start("serve", "--listen", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	url, err := p.ready()
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	login(t, client, url, "ada", wrong)
	if status, body := login(t, client, url, "ada", goodPassword); status != http.StatusOK {
		t.Fatalf("login: got %d %s", status, body)
	}
	secrets := []string{wrong, goodPassword}
	home, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range client.Jar.Cookies(home.URL) {
		secrets = append(secrets, c.Value)
	}
	if len(secrets) != 5 {
		t.Fatalf("got %d cookies, want 3", len(secrets)-2)
	}
	text, err := os.ReadFile(filepath.Join(dir, "tokenjar.secret"))
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, strings.TrimSpace(string(text)))
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		t.Errorf("stop: %v", err)
	}
	all := p.stdout.String() + p.stderr.String()
	if !strings.Contains(all, "login") {
		t.Errorf("nothing was logged:\n%s", all)
	}
	for i, s := range secrets {
		if strings.Contains(all, s) {
			t.Errorf("secret %d is in the output", i)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "demo"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := &process{dir: dir, env: []string{"TMPDIR=" + dir}}
			if err := p.start(command, "--listen", "127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.kill)
			url, err := p.ready()
			if err != nil {
				t.Fatal(err)
			}
			// A request that never ends keeps the drain busy.
			conn, err := net.Dial("tcp", strings.Replace(url, "http://localhost", "127.0.0.1", 1))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "POST /auth/login HTTP/1.1\r\nHost: "+strings.TrimPrefix(url, "http://")+
				"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, len("HTTP/1.1 100"))
			if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 100" {
				t.Fatalf("the server does not wait for the body: %q, %v", answer, err)
			}
			begin := time.Now()
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := eventually(func() (bool, error) { // the drain has begun: nobody listens
				c, err := net.Dial("tcp", conn.RemoteAddr().String())
				if err == nil {
					c.Close()
				}
				return err != nil, nil
			}); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := p.wait(); err == nil || p.cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("it ended with %v, want exit code 1", err)
			}
			if took := time.Since(begin); took > 8*time.Second { // the drain alone may take 10
				t.Errorf("it took %s", took)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "tokenjar-demo-*")); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestDemoTakesAFreePortWhenItsOwnIsTaken(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil { // otherwise it is taken already
		t.Cleanup(func() { l.Close() })
	}
	p := &process{dir: t.TempDir()}
	if err := p.start("demo", "--password", goodPassword); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	url, err := p.ready()
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(url, ":8080") {
		t.Fatalf("it serves %s", url)
	}
	if !strings.Contains(p.stderr.String(), "tokenjar: 127.0.0.1:8080 is taken, so the demo takes a free port\n") {
		t.Errorf("it does not say so:\n%s", p.stderr.String())
	}
	if status, body := login(t, newClient(t), url, "demo", goodPassword); status != http.StatusOK {
		t.Errorf("login: got %d %s", status, body)
	}
}

func TestWhatARouteAllowsIsSaidOnceAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tokenjar.secret": tokenjar.GenerateSecret() + "\n",
		"tokenjar.yaml": `listen: 127.0.0.1:0
routes:
  - {path: /one, upstream: "http://127.0.0.1:9", csrf: none}
  - {path: /two, upstream: "http://127.0.0.1:9", token: forward}
  - {path: /three, upstream: "http://127.0.0.1:10", csrf: none, token: forward}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := serve(t, dir)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]int{
		"any page of any site can make a signed-in browser": 2, "gets the users' own access tokens": 2,
		"routes[0].csrf is none": 1, "routes[1].token is forward": 1, "routes[2].csrf is none": 1, "routes[2].token is forward": 1,
	} {
		if got := strings.Count(p.stderr.String(), said); got != want {
			t.Errorf("%q is said %d times, want %d:\n%s", said, got, want, p.stderr.String())
		}
	}
}
