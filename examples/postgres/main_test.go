package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tokenjar/tokenjar/internal/pgtest"
	"github.com/tokenjar/tokenjar/password"
)

const adasPassword = "umbrella-kettle-92"

// A browser is one with a cookie jar, on a program whose table has ada.
type browser struct {
	t      *testing.T
	url    string
	db     *pgxpool.Pool
	client *http.Client
	csrf   string
}

func newBrowser(t *testing.T, dsn string) *browser {
	t.Helper()
	db := pgtest.Pool(t, dsn)
	if _, err := db.Exec(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	hasher, err := password.New(password.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := register(t.Context(), db, hasher, "Ada@example.com", adasPassword); err != nil {
		t.Fatal(err)
	}
	site := httptest.NewUnstartedServer(nil)
	url := "https://" + site.Listener.Addr().String()
	site.Config.Handler = routes(db, url)
	site.Config.ErrorLog = log.New(t.Output(), "", 0)
	site.StartTLS()
	t.Cleanup(site.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, url: url, db: db, client: &http.Client{Jar: jar, Transport: site.Client().Transport, Timeout: 30 * time.Second}}
}

func (b *browser) signIn(chosen string) (status int, code string) {
	b.t.Helper()
	return b.send("POST", "/login", `{"email":"ada@example.com","password":"`+chosen+`"}`, "Origin", b.url)
}

func (b *browser) send(method, path, body string, header ...string) (status int, code string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-csrftoken" {
			b.csrf = c.Value
		}
	}
	var account Account
	if resp.StatusCode == http.StatusOK && (json.Unmarshal(text, &account) != nil || account.Email != "ada@example.com") {
		b.t.Errorf("%s %s answers %s", method, path, text)
	}
	return resp.StatusCode, resp.Header.Get("X-Tokenjar-Problem")
}

func (b *browser) me() (status int, code string) {
	b.t.Helper()
	return b.send("GET", "/me", "")
}

// A wanted answer is compared with one: b.want(200, "").of(b.me()).
type wanted struct {
	t      *testing.T
	status int
	code   string
}

func (b *browser) want(status int, code string) wanted { return wanted{b.t, status, code} }

func (w wanted) of(status int, code string) {
	w.t.Helper()
	if status != w.status || code != w.code {
		w.t.Errorf("got %d %q, want %d %q", status, code, w.status, w.code)
	}
}

func TestItsPeopleSignInAndAreOutWhenTheyAreDisabled(t *testing.T) {
	b := newBrowser(t, pgtest.Schema(t))
	b.want(401, "not_authenticated").of(b.me())
	b.want(401, "invalid_credentials").of(b.signIn("wrong"))
	b.want(401, "invalid_credentials").of(b.send("POST", "/login", `{"email":"nobody@example.com","password":"x"}`))
	b.want(403, "origin_not_allowed").of(b.send("POST", "/login", `{}`, "Origin", "https://evil.example"))
	b.want(401, "not_authenticated").of(b.me())

	b.want(200, "").of(b.signIn(adasPassword))
	b.want(200, "").of(b.me())
	b.want(403, "csrf_failed").of(b.send("POST", "/me", "", "Origin", b.url))
	b.want(200, "").of(b.send("POST", "/me", "", "Origin", b.url, "X-CSRFToken", b.csrf))

	disable := func(when string) {
		t.Helper()
		if _, err := b.db.Exec(t.Context(), `UPDATE accounts SET disabled = `+when); err != nil {
			t.Fatal(err)
		}
	}
	disable("now()")
	b.want(401, "session_ended").of(b.me())
	b.want(401, "invalid_credentials").of(b.signIn(adasPassword))
	disable("NULL")
	b.want(200, "").of(b.me())
}

func TestADatabaseThatStopsSignsNobodyOut(t *testing.T) {
	server := pgtest.Start(t)
	b := newBrowser(t, server.DSN())
	b.want(200, "").of(b.signIn(adasPassword))

	server.Stop(t)
	for range 3 {
		b.want(503, "store_unavailable").of(b.me())
		b.want(503, "store_unavailable").of(b.signIn(adasPassword))
	}

	server.Start(t)
	for deadline := time.Now().Add(time.Minute); ; { // connections that broke are found out one by one
		status, code := b.me()
		if status == http.StatusOK {
			break
		}
		b.want(503, "store_unavailable").of(status, code) // and never 401
		if t.Failed() || time.Now().After(deadline) {
			t.Fatal("the program does not come back")
		}
	}
	b.want(200, "").of(b.send("POST", "/me", "", "Origin", b.url, "X-CSRFToken", b.csrf))
}
