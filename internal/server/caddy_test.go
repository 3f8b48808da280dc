package server_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	st "github.com/tokenjar/tokenjar/internal/servertest"
)

// The example of docs/howto/forward-auth.md in a real Caddy, with other ports.
func TestBesideCaddy(t *testing.T) {
	caddy, err := exec.LookPath("caddy")
	if err != nil {
		if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
			t.Fatal("it needs Caddy")
		}
		t.Skip("it needs Caddy")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(front)
	host := "localhost:" + port
	service := newService(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Auth-User")) })
	w := st.Start(t, st.Setup{Config: func(c *config.Config) {
		c.PublicURL, c.Admin.Listen, c.Admin.ForwardAuth = "http://"+host, "127.0.0.1:0", "caddy"
	}})
	example, err := os.ReadFile("../../examples/caddy/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("app.example.com {", "http://"+host+" {\n\tbind 127.0.0.1", "127.0.0.1:9090", w.Server.AdminAddr().String(),
		"127.0.0.1:9000", strings.TrimPrefix(service.URL, "http://"), "127.0.0.1:8080", w.Addr()).Replace(string(example))
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\tadmin off\n\tauto_https off\n}\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(caddy, "run", "--config", file, "--adapter", "caddyfile")
	c.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", front); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("Caddy does not listen")
		}
	}
	ada := w.SignIn(t, st.Ada)
	ask := func(method, path string, changes ...func(*http.Request)) int {
		t.Helper()
		r := w.Request(t, method, path, "", changes...)
		r.URL.Host, r.Host = front, host
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	if got := ask("GET", "/auth/session"); got != 200 {
		t.Errorf("the API: %d", got)
	}
	forged := st.Header("X-Auth-User", "eve")
	for name, got := range map[string]int{"nobody": ask("GET", "/api/x", forged), "a bad token": ask("GET", "/api/x", forged, st.Bearer("x.y.z"))} {
		if got != 401 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if n := service.count(); n != 0 {
		t.Fatalf("the service got %d requests of nobody's", n)
	}
	if got := ask("GET", "/api/x?a=1", ada.As, forged, st.Header("X-CSRFToken", "x")); got != 200 {
		t.Fatalf("signed in: %d", got)
	}
	r, _ := service.last()
	if r.Header.Get("X-Auth-User") != ada.UserID || len(r.Header["X-Auth-User"]) != 1 || r.Header.Get("Cookie") != "" || r.Header.Get("X-Csrftoken") != "" || r.RequestURI != "/api/x?a=1" {
		t.Errorf("the service got %s %v", r.RequestURI, r.Header)
	}
}
