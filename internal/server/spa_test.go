package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	st "github.com/tokenjar/tokenjar/internal/servertest"
)

const spaPage = "<!doctype html><title>Notes</title><script type=module src=/assets/index-BX3k9f2a.js></script>"

// application makes the folder of a built application.
func application(t *testing.T, page string) string {
	t.Helper()
	dir := t.TempDir()
	long := time.Now().Add(-time.Hour)
	for name, text := range map[string]string{"index.html": page, "assets/index-BX3k9f2a.js": "export {}", "openapi.json": "never served"} {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(full, long, long); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func navigate(r *http.Request) {
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Site", "none")
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
}

func script(r *http.Request) {
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Accept", "*/*")
}

func TestAnApplicationTakesWhatIsLeft(t *testing.T) {
	api := newRecorder(t)
	w := st.Start(t, st.Setup{Config: func(c *config.Config) {
		c.PublicURL = "https://app.example.com"
		c.SPA = config.SPA{Dir: application(t, spaPage), CSP: "img-src https://tiles.example.com"}
		c.Routes = []config.Route{route("/api/", api.URL)}
		c.CORS.AllowedOrigins = []string{"https://other.example.com"}
		c.CSRF.TrustedOrigins = []string{"https://other.example.com"}
	}})
	for _, path := range []string{"/", "/orders/42", "/files/a%2Fb", "/authors", "/apix", "/users/ada.lovelace", "/sessions"} {
		a := w.Send(t, "GET", path, "", navigate)
		if a.Status != 200 || string(a.Body) != spaPage {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
		h := a.Header
		if csp := h.Get("Content-Security-Policy"); h.Get("Cache-Control") != "no-cache" || !strings.Contains(csp, "frame-ancestors 'none'") ||
			!strings.Contains(csp, "https://tiles.example.com") || !strings.Contains(csp, "wss://app.example.com") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Cache-Control %s, %s", path, h.Get("Cache-Control"), csp)
		}
		if h.Get("Strict-Transport-Security") == "" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: the headers of every answer are not there: %v", path, h)
		}
	}
	if a := w.Send(t, "GET", "/assets/index-BX3k9f2a.js", ""); a.Status != 200 || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("a hashed file: %d %s", a.Status, a.Header.Get("Cache-Control"))
	}
	// What is ours and what is a route's comes first, whatever stands in the folder.
	for path, status := range map[string]int{"/openapi.json": 200, "/auth/user": 401, "/auth/nothing": 404, "/api/x": 401, "/healthz": 200, "/.well-known/jwks.json": 200} {
		if a := w.Send(t, "GET", path, "", script); a.Status != status || strings.Contains(string(a.Body), "never served") {
			t.Errorf("%s: %d %.60s, want %d", path, a.Status, a.Body, status)
		}
	}
	w.Refused(t, 404, "not_found", "GET", "/assets/index-OLD.js", "", navigate)
	w.Refused(t, 404, "not_found", "GET", "/orders/42", "", script)
	w.Refused(t, 405, "method_not_allowed", "POST", "/orders/42", "{}")
	for _, path := range []string{"/API/x", "/Auth/login", "/auth%2Flogin", "/api%2Fx", "/x/%2e%2e/y", "/x%2F..%2Fy", "/x;/../api", "/api;x/y", "/x\\y"} {
		w.Refused(t, 400, "bad_path", "GET", path, "", navigate, func(r *http.Request) { r.URL.Opaque = path })
	}
	// Pages of other origins read no page, not even those that may read answers of the API.
	for _, path := range []string{"/", "/orders/42", "/assets/index-BX3k9f2a.js"} {
		a := w.Send(t, "GET", path, "", st.Header("Origin", "https://other.example.com"), st.Header("Sec-Fetch-Site", "same-site"))
		if a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s is shared: %v", path, a.Header)
		}
	}
	if scrape := w.Server.Scrape(); !strings.Contains(scrape, `route="spa"`) || strings.Contains(scrape, "orders") {
		t.Errorf("the application's pages are not counted under one name")
	}
}

// The page is the same for everybody: who is signed in is the API's to say, and no renewal happens on the way to a page.
func TestAPageHoldsNothingOfASession(t *testing.T) {
	w := st.Start(t, st.Setup{Config: func(c *config.Config) { c.SPA.Dir = application(t, spaPage) }})
	b := w.Browser(t)
	b.Login(t, st.Ada)
	b.DropCookie("access_token") // due for renewal
	for _, path := range []string{"/", "/orders/42", "/assets/index-BX3k9f2a.js"} {
		stranger := w.Send(t, "GET", path, "", navigate)
		a := b.Do(t, "GET", path, "", navigate)
		if string(a.Body) != string(stranger.Body) || a.Header.Get("ETag") != stranger.Header.Get("ETag") || len(a.Cookies()) > 0 {
			t.Errorf("%s: signed in, got %s with %d cookies", path, a.Body, len(a.Cookies()))
		}
		if strings.Contains(strings.Join(a.Header["Vary"], ","), "Cookie") {
			t.Errorf("%s: Vary %q", path, a.Header["Vary"])
		}
	}
}

func TestAnApplicationThatIsNotThereStopsTheStart(t *testing.T) {
	for name, in := range map[string]config.SPA{
		"no folder": {Dir: filepath.Join(t.TempDir(), "none")}, "no page in it": {Dir: t.TempDir()},
		"a policy that lets scripts loose": {Dir: application(t, spaPage), CSP: "script-src 'unsafe-inline'"},
		"two places":                       {Dir: application(t, spaPage), DevServer: "http://127.0.0.1:1"},
		"a server of no machine":           {DevServer: "http://169.254.169.254"},
	} {
		cfg := config.Defaults()
		cfg.Listen, cfg.SPA = "127.0.0.1:0", in
		if _, err := server.Open(t.Context(), cfg, secretOf(t), newMemory(), server.Options{}); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}
