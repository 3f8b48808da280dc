package ui_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/ui"
)

var demo = ui.Options{
	Demo: true, AuthPath: "/auth", SampleAPI: "/api/hello", Username: "demo", Password: "tall-otter-9", CSRFCookie: "csrftoken",
}

func open(t testing.TB, o ui.Options) *ui.Site {
	t.Helper()
	site, err := ui.Handler(o)
	if err != nil {
		t.Fatalf("Handler: %v", err)
	}
	return site
}

func ask(t testing.TB, site *ui.Site, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return res, string(body)
}

func wantHeader(t testing.TB, res *http.Response, name, want string) {
	t.Helper()
	if got := res.Header.Get(name); got != want {
		t.Errorf("%s: got %q, want %q", name, got, want)
	}
}

// assetURLs are the addresses of our own files in the page, in order.
func assetURLs(page string) []string {
	var urls []string
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"#]+)"`).FindAllStringSubmatch(page, -1) {
		urls = append(urls, m[1])
	}
	return urls
}

func TestPageHasTheHeadersOfADocument(t *testing.T) {
	res, body := ask(t, open(t, demo), "GET", "/")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "<!doctype html>") {
		t.Fatalf("got %d %.40q, want 200 and the page", res.StatusCode, body)
	}
	wantHeader(t, res, "Content-Type", "text/html; charset=utf-8")
	wantHeader(t, res, "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'")
	wantHeader(t, res, "Cross-Origin-Opener-Policy", "same-origin")
	wantHeader(t, res, "X-Content-Type-Options", "nosniff")
	wantHeader(t, res, "Referrer-Policy", "no-referrer")
	wantHeader(t, res, "Cache-Control", "no-cache")
	if got := res.Header.Values("Set-Cookie"); len(got) != 0 {
		t.Errorf("Set-Cookie: got %q, want none", got)
	}
}

func TestPageAndAssetsAreRevalidatedByETag(t *testing.T) {
	site := open(t, demo)
	_, page := ask(t, site, "GET", "/")
	for _, path := range append(assetURLs(page), "/") {
		first, _ := ask(t, site, "GET", path)
		etag := first.Header.Get("ETag")
		if !regexp.MustCompile(`^"[^"]+"$`).MatchString(etag) {
			t.Errorf("%s: ETag: got %q, want a strong one", path, etag)
		}
		for _, field := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
			again, body := ask(t, site, "GET", path, "If-None-Match", field)
			if again.StatusCode != http.StatusNotModified || body != "" {
				t.Errorf("%s with If-None-Match %s: got %d and %d bytes, want 304 and none", path, field, again.StatusCode, len(body))
			}
			wantHeader(t, again, "ETag", etag)
			wantHeader(t, again, "Cache-Control", first.Header.Get("Cache-Control"))
		}
		if other, _ := ask(t, site, "GET", path, "If-None-Match", `"other"`); other.StatusCode != http.StatusOK {
			t.Errorf("%s with another ETag: got %d, want 200", path, other.StatusCode)
		}
	}
}

func TestEveryAssetOfThePageExistsAndIsImmutable(t *testing.T) {
	site := open(t, demo)
	_, page := ask(t, site, "GET", "/")
	urls := assetURLs(page)
	if len(urls) != 4 {
		t.Fatalf("the page names %q, want a stylesheet, two scripts and an icon", urls)
	}
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for _, url := range urls {
		if !regexp.MustCompile(`^/assets/[a-z]+\.[0-9a-f]{12}\.(css|js|svg)$`).MatchString(url) {
			t.Errorf("%s does not carry the hash of its content", url)
		}
		if !site.Has(url) {
			t.Errorf("Has(%q): got false, want true", url)
		}
		res, body := ask(t, site, "GET", url)
		if res.StatusCode != http.StatusOK || body == "" {
			t.Errorf("%s: got %d and %d bytes, want 200 and the file", url, res.StatusCode, len(body))
		}
		wantHeader(t, res, "Content-Type", types[url[strings.LastIndex(url, "."):]])
		wantHeader(t, res, "Cache-Control", "public, max-age=31536000, immutable")
		wantHeader(t, res, "X-Content-Type-Options", "nosniff")
	}
}

// The script must not meet the client of another release, which a browser would keep for a year.
func TestScriptImportsTheClientByTheHashOfItsContent(t *testing.T) {
	site := open(t, demo)
	_, page := ask(t, site, "GET", "/")
	preload := regexp.MustCompile(`<link rel="modulepreload" href="([^"]+)">`).FindStringSubmatch(page)
	script := regexp.MustCompile(`<script type="module" src="([^"]+)">`).FindStringSubmatch(page)
	if preload == nil || script == nil {
		t.Fatal("the page names no client or no script")
	}
	_, source := ask(t, site, "GET", script[1])
	imports := regexp.MustCompile(`(?m)^import .* from '([^']+)';$`).FindAllStringSubmatch(source, -1)
	if len(imports) != 1 {
		t.Fatalf("%d imports, want 1", len(imports))
	}
	if got := path.Join(path.Dir(script[1]), imports[0][1]); got != preload[1] {
		t.Errorf("the script imports %q, and the page names %q", got, preload[1])
	}
	if sum := sha256.Sum256([]byte(source)); !strings.Contains(script[1], hex.EncodeToString(sum[:6])) {
		t.Errorf("%s does not carry the hash of what is served", script[1])
	}
	_, client := ask(t, site, "GET", preload[1])
	kept, err := os.ReadFile("assets/client.js")
	if err != nil || client != string(kept) {
		t.Errorf("the client is not served as it is kept: %v", err)
	}
	if !regexp.MustCompile(`^/\* @tokenjar/client \d+\.\d+\.\d+, MIT\. Made from client/src by "make client"`).MatchString(client) {
		t.Errorf("the client does not say what it is: %.100q", client)
	}
}

func TestHeadAnswersLikeGetWithoutABody(t *testing.T) {
	site := open(t, demo)
	get, _ := ask(t, site, "GET", "/")
	head, body := ask(t, site, "HEAD", "/")
	if head.StatusCode != http.StatusOK || body != "" {
		t.Errorf("got %d and %d bytes, want 200 and none", head.StatusCode, len(body))
	}
	for name := range get.Header {
		wantHeader(t, head, name, get.Header.Get(name))
	}
}

func TestOtherMethodsAndPathsAreRefused(t *testing.T) {
	site := open(t, demo)
	res, body := ask(t, site, "POST", "/")
	if res.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(body, `"code":"method_not_allowed"`) {
		t.Errorf("POST /: got %d %s, want 405 method_not_allowed", res.StatusCode, body)
	}
	wantHeader(t, res, "Allow", "GET, HEAD")
	for _, path := range []string{"/index.html", "/assets/", "/assets/app.js", "/assets/index.html", "/assets/../ui.go", "/favicon.ico", "/auth/session"} {
		if site.Has(path) {
			t.Errorf("Has(%q): got true, want false", path)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("GET %s: got %d, want 404", path, w.Code)
		}
	}
	if !site.Has("/") {
		t.Error(`Has("/"): got false, want true`)
	}
}

func TestPageHasNoInlineScriptOrStyle(t *testing.T) {
	for _, o := range []ui.Options{demo, {}} {
		_, page := ask(t, open(t, o), "GET", "/")
		for _, m := range regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(page, -1) {
			if !strings.Contains(m[1], " src=") || strings.TrimSpace(m[2]) != "" {
				t.Errorf("inline script: %s", m[0])
			}
		}
		for what, pattern := range map[string]string{
			"style element":       `(?i)<style`,
			"style attribute":     `(?i)\sstyle\s*=`,
			"event attribute":     `(?i)\son[a-z]+\s*=`,
			"javascript: address": `(?i)javascript:`,
			"address elsewhere":   `(?i)(src|href|action)="(https?:)?//`,
		} {
			if found := regexp.MustCompile(pattern).FindString(page); found != "" {
				t.Errorf("%s: %q", what, found)
			}
		}
	}
}

func TestScriptAndStylesheetLoadNothingAndStoreNothing(t *testing.T) {
	for file, forbidden := range map[string][]string{
		"assets/app.js": {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "import(", "setItem", "document.cookie =", "http:", "https:",
			"BroadcastChannel", "X-CSRFToken", "X-Passive", "navigator.locks"}, // the client's business
		"assets/client.js": {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "import", "Storage", "indexedDB", "http:", "https:"},
		"assets/app.css":   {"@import", "url(", "http:", "https:"},
	} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(source), "http://www.w3.org/2000/svg", "") // a name, not an address
		for _, word := range forbidden {
			if strings.Contains(text, word) {
				t.Errorf("%s contains %q", file, word)
			}
		}
	}
}

func TestPageWithoutDemoSaysNothingOfIt(t *testing.T) {
	o := demo
	o.Demo = false
	_, page := ask(t, open(t, o), "GET", "/")
	for _, word := range []string{"demo", "sample", o.Password, o.SampleAPI, `id="api-`} {
		if strings.Contains(strings.ToLower(page), word) {
			t.Errorf("the page contains %q", word)
		}
	}
	for _, id := range []string{`id="sign-in"`, `id="sessions"`, `id="names"`} {
		if !strings.Contains(page, id) {
			t.Errorf("the page lacks %s", id)
		}
	}
}

func TestOptionsAreEscaped(t *testing.T) {
	o := demo
	o.Password = `"><script>alert(1)</script>&amp;'`
	o.CSRFCookie = `__Host-csrftoken`
	_, page := ask(t, open(t, o), "GET", "/")
	if strings.Contains(page, o.Password) || strings.Contains(page, "<script>alert") {
		t.Error("the password stands in the page unescaped")
	}
	if !strings.Contains(page, `&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&#39;</code>`) {
		t.Error("the page does not show the password as it is typed")
	}
	if !strings.Contains(page, `data-csrf-cookie="__Host-csrftoken"`) {
		t.Error("the script is not told the name of the CSRF cookie")
	}
}

func TestPathsOfAnotherOriginAreRefused(t *testing.T) {
	for _, o := range []ui.Options{
		{AuthPath: "https://evil.example/auth"},
		{AuthPath: "//evil.example"},
		{AuthPath: "/auth/"},
		{AuthPath: "auth"},
		{Demo: true, SampleAPI: `/\evil.example`},
		{Demo: true, SampleAPI: "//evil.example/"},
	} {
		if _, err := ui.Handler(o); err == nil {
			t.Errorf("Handler(%+v): got no error", o)
		}
	}
}

// Every control has a label, an aria-label or its own text, and every id exists once: what assistive technology and the
// script rely on.
func TestControlsAreNamedAndIdsAreUnique(t *testing.T) {
	_, page := ask(t, open(t, demo), "GET", "/")
	var ids []string
	for _, m := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if slices.Contains(ids, m[1]) {
			t.Errorf("id %q twice", m[1])
		}
		ids = append(ids, m[1])
	}
	for _, m := range regexp.MustCompile(`\s(?:for|aria-labelledby|aria-describedby|aria-controls)="([^"]+)"|href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if id := m[1] + m[2]; !slices.Contains(ids, id) {
			t.Errorf("reference to the missing id %q", id)
		}
	}
	for _, m := range regexp.MustCompile(`<input id="([^"]+)"[^>]*>`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `<label for="`+m[1]+`">`) && !strings.Contains(page, `<label class="tick">`+m[0]) {
			t.Errorf("input %q has no label", m[1])
		}
	}
}
