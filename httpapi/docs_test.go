package httpapi_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

func TestDocumentationPage(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.HTTPS)
	page := w.Send(t, "GET", "/docs", "")
	t.Run("it is a document under a policy that lets in nothing but its own files", func(t *testing.T) {
		if page.Status != 200 || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("got %d %s", page.Status, page.Header.Get("Content-Type"))
		}
		policy := page.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("the policy lacks %s: %s", want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
			t.Errorf("the policy is %s", policy)
		}
	})
	t.Run("all it loads is ours and is there", func(t *testing.T) {
		links := regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(string(page.Body), -1)
		if len(links) < 4 {
			t.Errorf("only %d links", len(links))
		}
		for _, link := range links {
			if !strings.HasPrefix(link[1], "/") || strings.HasPrefix(link[1], "//") {
				t.Errorf("%s is not ours", link[1])
			} else if a := w.Send(t, "GET", link[1], ""); a.Status != 200 {
				t.Errorf("%s: %d", link[1], a.Status)
			}
		}
	})
	t.Run("without JavaScript it shows the way to the document", func(t *testing.T) {
		_, behind, _ := strings.Cut(string(page.Body), "<noscript>")
		if inside, _, _ := strings.Cut(behind, "</noscript>"); !strings.Contains(inside, `href="/openapi.json"`) {
			t.Errorf("no link in %q", inside)
		}
	})
	t.Run("asked again it is not sent again", func(t *testing.T) {
		for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css", "/openapi.json"} {
			first := w.Send(t, "GET", path, "")
			again := w.Send(t, "GET", path, "", servertest.Header("If-None-Match", first.Header.Get("ETag")))
			if again.Status != 304 || len(again.Body) != 0 {
				t.Errorf("%s: %d with %d bytes", path, again.Status, len(again.Body))
			}
			if a := w.Send(t, "GET", path, "", servertest.Header("If-None-Match", `"x"`)); a.Status != 200 || len(a.Body) == 0 {
				t.Errorf("%s with another tag: %d", path, a.Status)
			}
		}
	})
	t.Run("nobody is asked who they are", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		for name, as := range map[string]change{"live cookies": p.As, "a refresh cookie": p.RefreshOnly, "junk": w.Cookies("junk", "junk"), "another site": servertest.CrossSite} {
			if a := w.Send(t, "GET", "/docs", "", as); a.Status != 200 || len(a.Cookies()) != 0 || string(a.Body) != string(page.Body) {
				t.Errorf("%s: %d %v", name, a.Status, a.Cookies())
			}
		}
	})
	t.Run("paths beside it", func(t *testing.T) {
		for path, status := range map[string]int{"/docs/nothing": 404, "/docs/index.html": 404, "/docs/docs.js/x": 404, "/Docs": 400, "/docs/../openapi.json": 400} {
			if a := w.Send(t, "GET", path, "", func(r *http.Request) { r.URL.Opaque = path }); a.Status != status {
				t.Errorf("%s: %d, want %d", path, a.Status, status)
			}
		}
	})
}

// What the document says is text to the page, never markup, and there is nothing inline that a policy would have to
// allow.
func TestDocumentationPageWritesTextOnly(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|javascript:|https?://|<script>|<style|\sstyle=|\son[a-z]+=`)
	files := os.DirFS("docs")
	names, err := fs.Glob(files, "*")
	if err != nil || len(names) != 3 {
		t.Fatalf("files: %v %v", names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if found := forbidden.Find(text); found != nil {
			t.Errorf("%s holds %q", name, found)
		}
	}
}

func TestDocumentationPageSwitchedOff(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	_, guard := embedded(t, w)
	for _, off := range []bool{false, true} {
		api, err := httpapi.New(httpapi.Config{Guard: guard, NoDocs: off})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css", "/openapi.json"} {
			rec := httptest.NewRecorder()
			api.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
			if got := rec.Code == 404; got != off || api.Owns(path) == off {
				t.Errorf("off is %v, %s: %d, owned %v", off, path, rec.Code, api.Owns(path))
			}
			if !off && rec.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: without a server of ours around: %v", path, rec.Header())
			}
		}
		if described := strings.Contains(string(api.OpenAPI()), `"/docs"`); described == off {
			t.Errorf("off is %v, described %v", off, described)
		}
	}
}

func TestDocumentationPageSwitchedOffByTheSetting(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) { c.Auth.Docs = false }})
	for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css", "/openapi.json"} {
		w.Refused(t, 404, "not_found", "GET", path, "")
	}
}
