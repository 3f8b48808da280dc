package vite_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	st "github.com/tokenjar/tokenjar/internal/servertest"
)

// skip skips the test for want of something, unless TOKENJAR_REQUIRE_ALL is set.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// vite returns a command of Vite's, in a copy of the application.
func vite(t *testing.T, app string, args ...string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		skip(t, "it needs Node")
	}
	bin, err := filepath.Abs("node_modules/vite/bin/vite.js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		if out, err := exec.Command("npm", "ci", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			skip(t, "Vite cannot be installed: %v\n%s", err, out)
		}
	}
	c := exec.CommandContext(t.Context(), node, append([]string{bin}, args...)...)
	c.Dir = app
	c.Env = append(os.Environ(), "NO_COLOR=1", "CHOKIDAR_USEPOLLING=1", "CHOKIDAR_INTERVAL=50") // not every file system tells of changes
	return c
}

func copyApp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("app")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// develop starts a development server and returns its address.
func develop(t *testing.T, app string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	c := vite(t, app, "--host", "127.0.0.1", "--port", port, "--strictPort")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errors bytes.Buffer
	c.Stderr = &errors
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	said := bufio.NewScanner(out)
	for said.Scan() {
		if strings.Contains(said.Text(), "Local:") {
			go io.Copy(io.Discard, out)
			return "http://127.0.0.1:" + port
		}
	}
	t.Fatalf("Vite did not start: %s", errors.String())
	return ""
}

func navigate(r *http.Request) {
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
}

// get asks for something and does not hold the answer to the rules of ours: it is Vite's.
func get(t *testing.T, w *st.World, target string, changes ...func(*http.Request)) (int, string) {
	t.Helper()
	r := w.Request(t, "GET", target, "", changes...)
	client := &http.Client{Transport: w.Transport(t)}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

var tokenPattern = regexp.MustCompile(`const wsToken = "([^"]*)"`)

func TestHotReloadPassesThroughUs(t *testing.T) {
	app := copyApp(t)
	address := develop(t, app)
	w := st.Start(t, st.Setup{Config: func(c *config.Config) { c.SPA.DevServer = address }})
	for _, target := range []string{"/", "/orders/42", "/files/a%2Fb"} {
		if status, body := get(t, w, target, navigate); status != 200 || !strings.Contains(body, `src="/@vite/client"`) || !strings.Contains(body, "<title>Notes") {
			t.Errorf("%s: %d %s", target, status, body)
		}
	}
	status, client := get(t, w, "/@vite/client")
	if status != 200 {
		t.Fatalf("/@vite/client: %d %s", status, client)
	}
	token := tokenPattern.FindStringSubmatch(client)
	if token == nil {
		t.Fatalf("Vite's client has no token:\n%.2000s", client)
	}
	for _, module := range []string{"/src/main.js", "/src/greeting.js", "/src/style.css"} {
		if status, body := get(t, w, module); status != 200 || strings.Contains(body, "<title>") {
			t.Errorf("%s: %d %s", module, status, body)
		}
	}

	if s := dial(t, w, "/?token="+token[1], "vite-hmr", "https://evil.example"); s.status != 403 {
		t.Errorf("a page of another origin: %d", s.status)
	}
	if s := dial(t, w, "/", "vite-ping", w.Origin); s.status != 101 || s.protocol != "vite-ping" {
		t.Errorf("vite-ping: %d %q", s.status, s.protocol)
	}
	hmr := dial(t, w, "/?token="+token[1], "vite-hmr", w.Origin)
	if hmr.status != 101 || hmr.protocol != "vite-hmr" {
		t.Fatalf("vite-hmr: %d %q", hmr.status, hmr.protocol)
	}
	if m := hmr.message(t); m.Type != "connected" {
		t.Fatalf("got %+v, want connected", m)
	}
	if err := os.WriteFile(filepath.Join(app, "src", "greeting.js"), []byte("export const greeting = 'good morning'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for {
		m := hmr.message(t)
		if m.Type != "update" {
			continue // it says other things as well
		}
		if len(m.Updates) != 1 || m.Updates[0].AcceptedPath != "/src/greeting.js" {
			t.Fatalf("got %+v", m)
		}
		break
	}
	if status, body := get(t, w, "/src/greeting.js?t=1"); status != 200 || !strings.Contains(body, "good morning") {
		t.Errorf("the new module: %d %s", status, body)
	}
}

// A socket is the client's side of a WebSocket.
type socket struct {
	status   int
	protocol string
	conn     net.Conn
	buf      *bufio.Reader
}

type message struct {
	Type    string
	Updates []struct{ Path, AcceptedPath string }
}

func dial(t *testing.T, w *st.World, target, protocol, origin string) *socket {
	t.Helper()
	conn, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	_, err = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(w.URL, "http://")+"\r\nOrigin: "+origin+"\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Protocol: "+protocol+"\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{conn: conn, buf: bufio.NewReader(conn)}
	res, err := http.ReadResponse(s.buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.status, s.protocol = res.StatusCode, res.Header.Get("Sec-WebSocket-Protocol")
	return s
}

// message reads a text frame (RFC 6455, section 5.2), as servers write them: whole and without a mask.
func (s *socket) message(t *testing.T) (m message) {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(s.buf, head); err != nil {
		t.Fatal(err)
	}
	size := uint64(head[1])
	if size > 125 {
		long := make([]byte, map[uint64]int{126: 2, 127: 8}[size])
		if _, err := io.ReadFull(s.buf, long); err != nil {
			t.Fatal(err)
		}
		size = binary.BigEndian.Uint64(append(make([]byte, 8-len(long)), long...))
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(s.buf, text); err != nil {
		t.Fatal(err)
	}
	if head[0] != 0x81 {
		t.Fatalf("frame %x: %q", head, text)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return m
}

// dom opens an address in a browser and returns the document once it has loaded, and what the console said.
func dom(t *testing.T, address string) (document, console string) {
	t.Helper()
	var browser string
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && name != "" {
			browser = found
			break
		}
	}
	if browser == "" {
		skip(t, "it needs Chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=10000",
		"--user-data-dir="+t.TempDir(), "--dump-dom", address)
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var lines []string
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, "CONSOLE") {
			lines = append(lines, line)
		}
	}
	return out.String(), strings.Join(lines, "")
}

func TestABrowserRunsTheApplicationFromItsDevelopmentServer(t *testing.T) {
	address := develop(t, copyApp(t))
	w := st.Start(t, st.Setup{Config: func(c *config.Config) { c.SPA.DevServer = address }})
	document, console := dom(t, w.URL+"/orders/42")
	if !strings.Contains(document, `data-began="yes"`) || !strings.Contains(document, `<div id="app">hello</div>`) {
		t.Errorf("the application did not run:\n%s\n%s", document, console)
	}
	if !strings.Contains(console, "[vite] connected") {
		t.Errorf("hot reload is not connected: %s", console)
	}
}

func TestABuiltApplication(t *testing.T) {
	dist := filepath.Join(t.TempDir(), "dist")
	if out, err := vite(t, copyApp(t), "build", "--outDir", dist).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	long := time.Now().Add(-time.Hour)
	err := filepath.WalkDir(dist, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, long, long)
	})
	if err != nil {
		t.Fatal(err)
	}
	w := st.Start(t, st.Setup{Config: func(c *config.Config) { c.SPA.Dir = dist }})
	assets, err := os.ReadDir(filepath.Join(dist, "assets"))
	if err != nil || len(assets) < 3 {
		t.Fatalf("%d assets, %v", len(assets), err)
	}
	for _, asset := range assets {
		a := w.Send(t, "GET", "/assets/"+asset.Name(), "")
		if a.Status != 200 || a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d %s", asset.Name(), a.Status, a.Header.Get("Cache-Control"))
		}
	}
	// What the build puts into the page runs under its policy, and what somebody else does not.
	document, console := dom(t, w.URL+"/orders/42")
	if !strings.Contains(document, `data-began="yes"`) || !strings.Contains(document, `<div id="app">hello</div>`) || console != "" {
		t.Errorf("the application did not run, or not all of it:\n%s\n%s", document, console)
	}
	page, err := os.ReadFile(filepath.Join(dist, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	evil := strings.Replace(string(page), `<script type="module"`, `<script src="data:text/javascript,document.documentElement.dataset.evil=1"></script><script type="module"`, 1)
	if err := os.WriteFile(filepath.Join(dist, "index.html"), []byte(evil), 0o644); err != nil {
		t.Fatal(err)
	}
	if document, console := dom(t, w.URL+"/"); strings.Contains(document, "data-evil") || !strings.Contains(console, "Content Security Policy") {
		t.Errorf("a script of elsewhere ran:\n%s\n%s", document, console)
	}
}
