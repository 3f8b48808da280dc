// Package notestest visits a program of package notes as browsers, other programs and attackers do. It is the contract of the
// examples for routers: all of them pass the same visits.
package notestest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/examples/internal/notes"
)

const password = "umbrella-kettle-92"

// accounts are those of the demo, in a database that can fail.
type accounts struct {
	notes.Accounts
	fails atomic.Bool
}

func (a *accounts) ByID(ctx context.Context, id string) (notes.Account, error) {
	if a.fails.Load() {
		return notes.Account{}, errors.New("connection refused")
	}
	return a.Accounts.ByID(ctx, id)
}

// A site is a running program with its visitors.
type site struct {
	url      string
	server   *httptest.Server
	app      *notes.App
	accounts *accounts
}

func newSite(t *testing.T, routes func(*notes.App) http.Handler) *site {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(t.Output(), "", 0)
	s := &site{url: "https://" + server.Listener.Addr().String(), server: server, accounts: &accounts{Accounts: notes.Demo()}}
	s.app = notes.New(s.url, s.accounts)
	server.Config.Handler = routes(s.app)
	server.StartTLS()
	t.Cleanup(server.Close)
	return s
}

// A visitor is a browser as far as HTTP goes, or a program with a bearer token.
type visitor struct {
	site   *site
	client *http.Client
	bearer string
}

// browser returns one with an empty jar.
func (s *site) browser(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{site: s, client: &http.Client{
		Jar: jar, Transport: s.server.Client().Transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func credentials(name string) string { return `{"name":"` + name + `","password":"` + password + `"}` }

// signedIn returns a browser in which somebody has signed in.
func (s *site) signedIn(t *testing.T, name string) *visitor {
	t.Helper()
	v := s.browser(t)
	if a := v.send(t, "POST", "/login", credentials(name)); a.status != http.StatusOK {
		t.Fatalf("%s signs in: got %d %s", name, a.status, a.body)
	}
	return v
}

// program returns a program with a token of somebody's.
func (s *site) program(t *testing.T, name string) *visitor {
	t.Helper()
	v := s.browser(t)
	a := v.send(t, "POST", "/token", credentials(name), program)
	var grant struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &grant); err != nil || a.status != http.StatusOK || len(a.cookies) > 0 {
		t.Fatalf("a token for %s: got %d %s, cookies %v", name, a.status, a.body, a.cookies)
	}
	v.bearer = grant.Token
	return v
}

// cookie returns a cookie's value in the visitor's jar.
func (v *visitor) cookie(name string) string {
	u, _ := url.Parse(v.site.url)
	for _, c := range v.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// A change makes a request into the one that a row is about.
type change func(*http.Request)

func without(field string) change { return func(r *http.Request) { r.Header.Del(field) } }

func with(field, value string) change { return func(r *http.Request) { r.Header.Set(field, value) } }

// program sends nothing that a browser adds.
func program(r *http.Request) {
	for _, field := range []string{"Origin", "Sec-Fetch-Site", "X-Csrftoken"} {
		r.Header.Del(field)
	}
}

// foreign is a page of another site.
func foreign(r *http.Request) {
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Del("X-Csrftoken")
}

type answer struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    string
}

// request makes the request as a page of the site's own sends it.
func (v *visitor) request(t *testing.T, method, path, body string, changes ...change) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, v.site.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if v.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+v.bearer)
	} else if method != http.MethodGet {
		r.Header.Set("Origin", v.site.url)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("X-CSRFToken", v.cookie("__Host-csrftoken"))
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func (v *visitor) send(t *testing.T, method, path, body string, changes ...change) answer {
	t.Helper()
	resp, err := v.client.Do(v.request(t, method, path, body, changes...))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, resp.Cookies(), string(text)}
}

// want checks status and, for a refusal of ours, the code and what every refusal has.
func (a answer) want(t *testing.T, status int, code string) {
	t.Helper()
	if got := a.header.Get("X-Tokenjar-Problem"); a.status != status || got != code {
		t.Errorf("got %d %q, want %d %q: %s", a.status, got, status, code, a.body)
		return
	}
	if code == "" {
		return
	}
	var document struct {
		Status int
		Code   string
	}
	if err := json.Unmarshal([]byte(a.body), &document); err != nil || document.Status != status || document.Code != code {
		t.Errorf("the problem document: %v: %s", err, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("a refusal has Content-Type %q", got)
	}
	if !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		t.Errorf("a refusal has Cache-Control %q", a.header.Get("Cache-Control"))
	}
	if len(a.cookies) > 0 {
		t.Errorf("a refusal sets cookies: %v", a.cookies)
	}
}

// wantPrivate checks that no cache gives an answer to somebody else.
func (a answer) wantPrivate(t *testing.T) {
	t.Helper()
	vary := strings.Split(strings.Join(a.header["Vary"], ", "), ", ")
	if !strings.Contains(a.header.Get("Cache-Control"), "private") || !slices.Contains(vary, "Cookie") || !slices.Contains(vary, "Authorization") {
		t.Errorf("an answer for one user has Cache-Control %q, Vary %q", a.header.Get("Cache-Control"), vary)
	}
}
