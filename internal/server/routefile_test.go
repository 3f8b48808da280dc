package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
)

// A route that stands in a file leads a request of a browser to a service, in all that the file says of it.
func TestARouteOfTheFileLeadsToItsService(t *testing.T) {
	type request struct {
		*http.Request
		body string
	}
	arrived := make(chan request, 10)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- request{r, string(body)}
		io.WriteString(w, "from the service")
	}))
	t.Cleanup(service.Close)

	file := filepath.Join(t.TempDir(), "tokenjar.yaml")
	text := fmt.Sprintf(`listen: 127.0.0.1:0
routes:
  - path: /api/
    upstream: %[1]s/v1
    strip_prefix: true
    audience: orders
    scopes: [orders:read]
    methods: {DELETE: bearer}
    max_body: 1KiB
  - path: /api/news
    upstream: %[1]s
    auth: none
`, service.URL)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(config.Source{File: file})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, filepath.Join(t.TempDir(), "test.db"), func(c *config.Config) { *c = loaded.Config })
	res, answer := n.call(t, "POST", "/auth/login", loginBody, "", "")
	if res.StatusCode != 200 {
		t.Fatalf("login: %d %s", res.StatusCode, answer)
	}
	cookies, csrf := jar(res)

	for _, tt := range []struct {
		name                        string
		method, path, body          string
		cookies, csrf               string
		status                      int
		target, audience, forwarded string // what the service got; target empty: nothing
	}{
		{name: "anonymous", method: "GET", path: "/api/list", status: 401},
		{name: "signed in", method: "GET", path: "/api/list?page=2", cookies: cookies + "; theme=dark", status: 200,
			target: "/v1/list?page=2", audience: "orders", forwarded: "/api"},
		{name: "written, without the CSRF token", method: "POST", path: "/api/list", body: "{}", cookies: cookies, status: 403},
		{name: "written", method: "POST", path: "/api/list", body: `{"n":1}`, cookies: cookies, csrf: csrf, status: 200,
			target: "/v1/list", audience: "orders", forwarded: "/api"},
		{name: "more than max_body", method: "POST", path: "/api/list", body: strings.Repeat("x", 1025), cookies: cookies, csrf: csrf, status: 413},
		{name: "a method for bearers alone", method: "DELETE", path: "/api/list", cookies: cookies, csrf: csrf, status: 401},
		{name: "the longer route", method: "GET", path: "/api/news/1", cookies: cookies, status: 200, target: "/api/news/1"},
		{name: "no route", method: "GET", path: "/apis", cookies: cookies, status: 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, answer := n.call(t, tt.method, tt.path, tt.body, tt.cookies, tt.csrf)
			if res.StatusCode != tt.status {
				t.Fatalf("got %d %s, want %d", res.StatusCode, answer, tt.status)
			}
			var got request
			select {
			case got = <-arrived: // before it answered
				if tt.target == "" {
					t.Fatalf("the service got %s %s", got.Method, got.RequestURI)
				}
			default:
				if tt.target != "" {
					t.Fatalf("not from the service: %q", answer)
				}
				return
			}
			if got.Method != tt.method || got.RequestURI != tt.target || got.body != tt.body || got.Header.Get("X-Forwarded-Prefix") != tt.forwarded {
				t.Errorf("the service got %s %s, prefix %q, body %q", got.Method, got.RequestURI, got.Header.Get("X-Forwarded-Prefix"), got.body)
			}
			for _, ours := range []string{"access_token", "refresh_token", "csrftoken"} {
				if strings.Contains(got.Header.Get("Cookie"), ours) {
					t.Errorf("the service got our cookie %s", ours)
				}
			}
			bearer, authorized := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
			if authorized != (tt.audience != "") {
				t.Fatalf("the service got Authorization %q", got.Header.Get("Authorization"))
			}
			if authorized {
				if c := claims(t, bearer); c.Audience != tt.audience || c.Scope != "orders:read" {
					t.Errorf("the service got a token with %+v", c)
				}
			}
		})
	}
}

// What is ours comes before every route, so the configuration refuses routes that would never be reached, and no others.
func TestARouteIsAcceptedWhereItIsReached(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(service.Close)
	ours := []string{"/auth", "/auth/nothing", "/openapi.json", "/docs", "/docs/docs.js", "/docs/docs.css"}
	n := start(t, filepath.Join(t.TempDir(), "test.db"), nil)
	var document struct {
		Paths map[string]any `json:"paths"`
	}
	if _, text := n.call(t, "GET", "/openapi.json", "", "", ""); json.Unmarshal([]byte(text), &document) != nil || len(document.Paths) < 10 {
		t.Fatalf("no document: %s", text)
	}
	for path := range document.Paths {
		if !strings.Contains(path, "{") {
			ours = append(ours, path)
		}
	}
	for _, path := range append(ours, "/", "/api/", "/.well-known/", "/well-known", "/authors", "/metrics", "/assets/x") {
		cfg := config.Defaults()
		cfg.Routes = []config.Route{config.DefaultRoute()}
		cfg.Routes[0].Path, cfg.Routes[0].Upstream, cfg.Routes[0].Auth = path, service.URL, "none"
		accepted := cfg.Check() == nil
		if want := !slices.Contains(ours, path); accepted != want {
			t.Errorf("%s: accepted %v, want %v", path, accepted, want)
			continue
		}
		if !accepted {
			continue
		}
		n := start(t, filepath.Join(t.TempDir(), "test.db"), func(c *config.Config) { c.Routes = cfg.Routes })
		if res, _ := n.call(t, "GET", path, "", "", ""); res.StatusCode != http.StatusTeapot {
			t.Errorf("%s: got %d, not the service", path, res.StatusCode)
		}
		n.stop()
	}
}

type upstreamClaims struct {
	Audience string `json:"aud"`
	Scope    string `json:"scope"`
}

// claims reads a token without verifying it.
func claims(t *testing.T, token string) (c upstreamClaims) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	return c
}
