package server_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// The whole program but for its command line: real configuration, SQLite in a temporary folder, port 0, system clock.

const e2ePassword = "correct horse battery staple"

type node struct {
	url, addr, database string
	stop                func()
}

// start runs a node on a database, which is made with the user ada if it is not there yet.
func start(t *testing.T, database string, change func(*config.Config)) *node {
	t.Helper()
	return startOn(t, database, sqlite.Config{}, change)
}

// startOn is start with a store that is less patient than usual, say.
func startOn(t *testing.T, database string, storing sqlite.Config, change func(*config.Config)) *node {
	t.Helper()
	secret, err := tokenjar.ParseSecret([]byte("e2e-Wn4Rk8Yd2Pc6Gf9Ms3Jj7Zt5Vb1Xw0Ln_uEaTiOo"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), database, storing)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.FindUser(t.Context(), tokenjar.Identifier{Username: "ada"}); err != nil {
		hasher, err := password.New(password.Config{})
		if err != nil {
			t.Fatal(err)
		}
		in := tokenjar.NewUser{Username: "ada", Email: "ada@example.com", Password: e2ePassword}
		if _, err := tokenjar.CreateUser(t.Context(), store, hasher, password.Policy{}, in); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.Defaults()
	cfg.Listen = "127.0.0.1:0"
	if change != nil {
		change(&cfg)
	}
	s, err := server.Open(t.Context(), cfg, secret, store, server.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	n := &node{url: s.URL(), addr: s.Addr().String(), database: database}
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server stopped with %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("store closed with %v", err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

// call sends a request to a node under its public host, with a Cookie field of one's own.
func (n *node) call(t *testing.T, method, path, body, cookies, csrf string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_, host, _ := strings.Cut(n.url, "://")
	r.Host = host
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	if csrf != "" {
		r.Header.Set("X-CSRFToken", csrf)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// jar is the Cookie field that a browser would send after an answer, and the CSRF token in it.
func jar(res *http.Response) (cookies, csrf string) {
	var pairs []string
	for _, c := range res.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
		if strings.HasSuffix(c.Name, "csrftoken") {
			csrf = c.Value
		}
	}
	return strings.Join(pairs, "; "), csrf
}

const loginBody = `{"username":"ada","password":"` + e2ePassword + `"}`

func TestALockedDatabaseIs503AndNothingIsLost(t *testing.T) {
	n := startOn(t, filepath.Join(t.TempDir(), "test.db"), sqlite.Config{BusyTimeout: 100 * time.Millisecond}, nil)
	// The store's own checkpoints and notes may hold the lock for longer than that, on a machine that is busy.
	patient := func(path, body, cookies, csrf string) (*http.Response, string) {
		for {
			res, text := n.call(t, "POST", path, body, cookies, csrf)
			if res.StatusCode != 503 {
				return res, text
			}
		}
	}
	res, body := patient("/auth/login", loginBody, "", "")
	if res.StatusCode != 200 {
		t.Fatalf("login: %d %s", res.StatusCode, body)
	}
	cookies, csrf := jar(res)

	other, err := sql.Open("sqlite", n.database)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range []string{"PRAGMA busy_timeout = 60000", "BEGIN IMMEDIATE"} { // the sign-in is just being noted in the audit trail
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, req := range []struct{ path, body string }{
		{"/auth/token/refresh", ""}, {"/auth/logout", ""}, {"/auth/login", loginBody},
	} {
		res, body := n.call(t, "POST", req.path, req.body, cookies, csrf)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || len(res.Cookies()) != 0 || !strings.Contains(body, "store_unavailable") {
			t.Errorf("%s while the database is locked: %d, Retry-After %q, %d cookies: %s",
				req.path, res.StatusCode, res.Header.Get("Retry-After"), len(res.Cookies()), body)
		}
	}
	if res, body := n.call(t, "GET", "/auth/user", "", cookies, ""); res.StatusCode != 200 {
		t.Errorf("reading goes on: %d %s", res.StatusCode, body)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	res, body = patient("/auth/token/refresh", "", cookies, csrf)
	if res.StatusCode != 200 {
		t.Fatalf("refresh afterwards, with the same token: %d %s", res.StatusCode, body)
	}
	var generation, sessions int
	if err := other.QueryRowContext(t.Context(), "SELECT max(gen), count(*) FROM sessions WHERE revoked_at IS NULL").Scan(&generation, &sessions); err != nil {
		t.Fatal(err)
	}
	if generation != 2 || sessions != 1 {
		t.Errorf("got generation %d in %d sessions, want 2 in 1: something was half written", generation, sessions)
	}
}

func TestSessionsSurviveARestart(t *testing.T) {
	database := filepath.Join(t.TempDir(), "test.db")
	first := start(t, database, func(c *config.Config) { c.PublicURL = "http://localhost:8080" })
	res, body := first.call(t, "POST", "/auth/login", loginBody, "", "")
	if res.StatusCode != 200 {
		t.Fatalf("login: %d %s", res.StatusCode, body)
	}
	cookies, csrf := jar(res)
	first.stop()
	second := start(t, database, func(c *config.Config) { c.PublicURL = "http://localhost:8080" })
	if res, body := second.call(t, "GET", "/auth/user", "", cookies, ""); res.StatusCode != 200 {
		t.Errorf("access token: %d %s", res.StatusCode, body)
	}
	if res, body := second.call(t, "POST", "/auth/logout", "", cookies, csrf); res.StatusCode != 200 {
		t.Errorf("logout: %d %s", res.StatusCode, body)
	}
	second.stop()
	third := start(t, database, func(c *config.Config) { c.PublicURL = "http://localhost:8080" })
	if res, body := third.call(t, "GET", "/auth/user", "", cookies, ""); res.StatusCode != 401 {
		t.Errorf("S-19: a session that was ended before the restart: %d %s", res.StatusCode, body)
	}
}

func TestAGracefulStopLetsARequestFinish(t *testing.T) {
	n := start(t, filepath.Join(t.TempDir(), "test.db"), nil)
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, host, _ := strings.Cut(n.url, "://")
	head := "POST /auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: " +
		// the body follows after the stop has begun
		"72\r\nExpect: 100-continue\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, line); err != nil { // the handler has begun to read
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { n.stop(); close(stopped) }()
	for { // until nobody new is let in
		probe, err := net.DialTimeout("tcp", n.addr, time.Second)
		if err != nil {
			break
		}
		probe.Close()
	}
	body := loginBody + strings.Repeat(" ", 72-len(loginBody))
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 OK")) {
		t.Errorf("got %v: %s", err, answer)
	}
	<-stopped
	store, err := sqlite.Open(t.Context(), n.database, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	events, err := store.AuditTrail(t.Context(), tokenjar.AuditFilter{Name: "login.succeeded"})
	if err != nil || len(events) != 1 {
		t.Fatalf("LG-10: the trail after the stop: %v %v", events, err)
	}
	if e := events[0]; e.UserID == "" || e.SessionID == "" || e.IP != "127.0.0.1" || e.RequestID == "" || e.At.Location() != time.UTC {
		t.Errorf("LG-10: %+v", e)
	}
}

// The README's transcript is what the server says: same status, same header fields, same cookies up to their values.
func TestTheREADMETranscriptIsTrue(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, transcript, ok := strings.Cut(string(readme), "HTTP/1.1 200 OK\n")
	if !ok {
		t.Fatal("README.md has no transcript")
	}
	transcript, _, _ = strings.Cut(transcript, "```")
	head, wantBody, _ := strings.Cut(transcript, "\n\n")
	want := strings.Split(head, "\n")

	n := start(t, filepath.Join(t.TempDir(), "test.db"), func(c *config.Config) { c.PublicURL = "https://app.example.com" })
	res, gotBody := n.call(t, "POST", "/auth/login", loginBody, "", "")
	var got []string
	for name, values := range res.Header {
		for _, value := range values {
			if name != "Date" && name != "Content-Length" {
				got = append(got, name+": "+value)
			}
		}
	}
	slices.Sort(got)
	blur := func(s string) string {
		s = regexp.MustCompile(`((?:access|refresh|csrf)_?token)=[^;]+`).ReplaceAllString(s, "$1=…")
		s = regexp.MustCompile(`Max-Age=\d+`).ReplaceAllString(s, "Max-Age=…")
		s = regexp.MustCompile(`X-Request-Id: .*`).ReplaceAllString(s, "X-Request-Id: …")
		s = regexp.MustCompile(`"id":"[^"]+"`).ReplaceAllString(s, `"id":"…"`)
		s = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[\d:]+Z"`).ReplaceAllString(s, `"…"`)
		return regexp.MustCompile(`"access_expires_in":\d+`).ReplaceAllString(s, `"access_expires_in":…`)
	}
	slices.Sort(want)
	if g, w := blur(strings.Join(got, "\n")), blur(strings.Join(want, "\n")); g != w {
		t.Errorf("the server says\n%s\n\nREADME.md says\n%s", g, w)
	}
	if g, w := blur(strings.TrimSpace(gotBody)), blur(strings.TrimSpace(wantBody)); g != w {
		t.Errorf("the body is\n%s\n\nREADME.md says\n%s", g, w)
	}
}
