package spa_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/spa"
)

const (
	immutable = "public, max-age=31536000, immutable"
	page      = "<!doctype html><title>Notes</title><script>window.began = 1</script><script type=\"module\" src=\"/assets/index-BX3k9f2a.js\"></script>"
)

var (
	longAgo = time.Now().Add(-time.Hour)
	script  = strings.Repeat("export const a = 'the same again and again';\n", 100)
)

// write makes files that have stood there for an hour.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		age(t, full, longAgo)
	}
}

func age(t testing.TB, name string, to time.Time) {
	t.Helper()
	if err := os.Chtimes(name, to, to); err != nil {
		t.Fatal(err)
	}
}

func app(extra map[string]string) map[string]string {
	files := map[string]string{
		"index.html": page, "assets/index-BX3k9f2a.js": script, "assets/logo.png": "png", "robots.txt": "User-agent: *\n",
	}
	for name, text := range extra {
		files[name] = text
	}
	return files
}

func open(t testing.TB, dir string, sources ...string) *spa.Site {
	t.Helper()
	s, err := spa.Open(spa.Config{Dir: dir, PublicURL: "https://app.example.com", Sources: strings.Join(sources, "; "), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request with pairs of header fields.
func ask(t testing.TB, s http.Handler, method, target string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "https://app.example.com/", nil)
	r.RequestURI = target
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	r = r.WithContext(tokenjar.ContextWithLogger(r.Context(), slog.New(slog.DiscardHandler)))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s %s: no nosniff", method, target)
	}
	if w.Code >= 400 && (w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store") {
		t.Errorf("%s %s: %d of type %s, Cache-Control %s", method, target, w.Code, w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"))
	}
	return w
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var (
	navigation = []string{"Sec-Fetch-Mode", "navigate", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}
	fetch      = []string{"Sec-Fetch-Mode", "cors", "Accept", "*/*"}
	fetchHTML  = []string{"Sec-Fetch-Mode", "same-origin", "Accept", "text/html"}
	older      = []string{"Accept", "text/html,*/*;q=0.8"}
	plain      = []string{"Accept", "*/*"}
	json       = []string{"Accept", "application/json"}
	silent     = []string{}
)

func TestWhatIsServedWhere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(map[string]string{"help/index.html": "<title>Help</title>", ".well-known/security.txt": "Contact: x\n",
		"a b/ü.txt": "umlaut", ".env": "SECRET", ".git/config": "SECRET", "assets/.hidden.js": "SECRET", ".well-known/.env": "SECRET", "LICENSE": "free"}))
	s := open(t, dir)
	const problem = "problem"
	for _, c := range []struct {
		target string
		fields []string
		want   string // the body; problem for 404
	}{
		{"/", silent, page}, {"/", json, page}, {"/index.html", fetch, page}, {"/?a=b", navigation, page},
		{"/assets/index-BX3k9f2a.js", silent, script}, {"/assets/index-BX3k9f2a.js?v=1", fetch, script},
		{"/help/", navigation, "<title>Help</title>"}, {"/help", navigation, page}, {"/LICENSE", navigation, "free"},
		{"/.well-known/security.txt", silent, "Contact: x\n"}, {"/a%20b/%C3%BC.txt", silent, "umlaut"},

		// deep links
		{"/orders/42", navigation, page}, {"/orders/42/", navigation, page}, {"/orders/42", older, page}, {"/orders/42", plain, page},
		{"/orders/42", silent, page}, {"/orders/42", fetchHTML, page}, {"/files/a%2Fb", navigation, page}, {"/users/ada.lovelace", navigation, page},
		{"/users/ada.lovelace", older, page}, {"/v1.2/notes", plain, page}, {"/assets", navigation, page}, {"/assets/", navigation, page},
		{"/gone.html", navigation, page}, {"/.env", navigation, page}, {"/.git/config", navigation, page}, {"/assets%2Findex-BX3k9f2a.js%2Fx", navigation, page},

		// no deep links
		{"/orders/42", fetch, problem}, {"/orders/42", json, problem}, {"/users/ada.lovelace", plain, problem}, {"/users/ada.lovelace", silent, problem},
		{"/assets/index-OLD9f2ab.js", navigation, problem}, {"/assets/index-OLD9f2ab.js", silent, problem}, {"/assets/x.css", older, problem},
		{"/assets/x.js.map", navigation, problem}, {"/favicon.ico", plain, problem}, {"/x.JS", navigation, problem}, {"/data.json", fetchHTML, problem},
		{"/.env", fetch, problem}, {"/.git/config", fetch, problem}, {"/assets/.hidden.js", navigation, problem}, {"/.well-known/.env", fetch, problem},
		{"/assets", fetch, problem}, {"/assets/", fetch, problem}, {"/assets%2Findex-BX3k9f2a.js", navigation, problem},
		{"/index.html/x", fetch, problem}, {"/" + strings.Repeat("a", 300), fetch, problem}, {"/robots.txt::$DATA", fetch, problem},
		{"/ROBOTS~1.TXT", fetch, problem}, {"/robots.txt%20", fetch, problem}, {"/LICENSE.", fetch, problem}, {"/c:/windows/win.ini", fetch, problem},
		{"/orders", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html;q=0, */*"}, problem},
	} {
		w := ask(t, s, "GET", c.target, c.fields...)
		switch {
		case c.want == problem:
			if w.Code != 404 || strings.Contains(w.Body.String(), "<") || strings.Contains(w.Body.String(), "SECRET") {
				t.Errorf("%s with %q: %d %.60s, want 404 and no page", c.target, c.fields, w.Code, w.Body)
			}
		case w.Code != 200 || w.Body.String() != c.want:
			t.Errorf("%s with %q: %d %.60q, want %.60q", c.target, c.fields, w.Code, w.Body.String(), c.want)
		}
		head := ask(t, s, "HEAD", c.target, c.fields...)
		if head.Code != w.Code || head.Body.Len() > 0 || head.Header().Get("ETag") != w.Header().Get("ETag") {
			t.Errorf("HEAD %s with %q: %d with %d bytes, GET is %d", c.target, c.fields, head.Code, head.Body.Len(), w.Code)
		}
	}
}

func TestPathsThatProgramsReadDifferentlyAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(nil))
	write(t, filepath.Dir(dir), map[string]string{"outside.txt": "SECRET"})
	s := open(t, dir)
	for _, target := range []string{
		"/../outside.txt", "/assets/../../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt", "/..%5coutside.txt", "/..\\outside.txt",
		"//outside.txt", "/assets//index-BX3k9f2a.js", "/robots.txt%00.js", "/a/..;/outside.txt", "/%ff", "/./robots.txt", "/%c0%ae%c0%ae/outside.txt",
	} {
		if w := ask(t, s, "GET", target, navigation...); w.Code != 400 || strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(nil))
	s := open(t, dir)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		for _, target := range []string{"/", "/robots.txt", "/orders/42"} {
			if w := ask(t, s, method, target, navigation...); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, target, w.Code, w.Header().Get("Allow"))
			}
		}
	}
}

func TestNothingOutsideTheFolderIsServed(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "dist")
	write(t, dir, app(nil))
	write(t, base, map[string]string{"secret.txt": "SECRET", "private/key.txt": "SECRET"})
	for link, to := range map[string]string{
		"up.txt": "../secret.txt", "abs.txt": filepath.Join(base, "secret.txt"), "folder": "../private", "loop.txt": "loop.txt", "inside.txt": "robots.txt",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip("this system makes no symbolic links")
		}
	}
	s := open(t, dir)
	for _, target := range []string{"/up.txt", "/abs.txt", "/folder/key.txt", "/loop.txt"} {
		if w := ask(t, s, "GET", target); w.Code != 404 || strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if w := ask(t, s, "GET", "/inside.txt"); w.Code != 200 {
		t.Errorf("a link within the folder: %d", w.Code)
	}
}

func TestHeads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(map[string]string{"sw.js": "self.x=1", "icon.svg": "<svg/>", "data.bin": "x", "new-AbC3k9f2.js": "let new_ = 1", "style.css": "a{}"}))
	age(t, filepath.Join(dir, "new-AbC3k9f2.js"), time.Now()) // just deployed
	s := open(t, dir)
	const none = "default-src 'none'; frame-ancestors 'none'"
	for _, c := range []struct{ target, mime, cache, csp string }{
		{"/", "text/html; charset=utf-8", "no-cache", "script-src 'self' " + hash("window.began = 1") + ";"},
		{"/orders/42", "text/html; charset=utf-8", "no-cache", "connect-src 'self' wss://app.example.com;"},
		{"/assets/index-BX3k9f2a.js", "text/javascript; charset=utf-8", immutable, "connect-src 'self' wss://app.example.com;"},
		{"/sw.js", "text/javascript; charset=utf-8", "no-cache", "script-src 'self';"},
		{"/new-AbC3k9f2.js", "text/javascript; charset=utf-8", "no-cache", "script-src 'self';"},
		{"/style.css", "text/css; charset=utf-8", "no-cache", none}, {"/assets/logo.png", "image/png", "no-cache", none},
		{"/icon.svg", "image/svg+xml", "no-cache", "default-src 'none'; style-src"}, {"/data.bin", "application/octet-stream", "no-cache", none},
		{"/robots.txt", "text/plain; charset=utf-8", "no-cache", none},
	} {
		w := ask(t, s, "GET", c.target)
		h := w.Header()
		if h.Get("Content-Type") != c.mime || h.Get("Cache-Control") != c.cache || !strings.Contains(h.Get("Content-Security-Policy"), c.csp) {
			t.Errorf("%s: %s, %s, %s", c.target, h.Get("Content-Type"), h.Get("Cache-Control"), h.Get("Content-Security-Policy"))
		}
		if !strings.HasPrefix(h.Get("ETag"), `"`) || h.Get("Last-Modified") != "" || !strings.Contains(strings.Join(h["Vary"], ","), "Accept-Encoding") {
			t.Errorf("%s: ETag %s, Last-Modified %s, Vary %s", c.target, h.Get("ETag"), h.Get("Last-Modified"), h["Vary"])
		}
		if got := h.Get("Content-Length"); got != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%s: Content-Length %s of %d bytes", c.target, got, w.Body.Len())
		}
		if h.Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", c.target)
		}
	}
	csp := ask(t, s, "GET", "/").Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy of the page lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("policy of the page: %s", csp)
	}
}

func TestConditionsAndRanges(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(nil))
	s := open(t, dir)
	const target = "/assets/index-BX3k9f2a.js"
	tag := ask(t, s, "GET", target).Header().Get("ETag")
	packed := ask(t, s, "GET", target, "Accept-Encoding", "gzip").Header().Get("ETag")
	if tag == packed {
		t.Error("two bodies have one strong tag")
	}
	for _, c := range []struct {
		fields []string
		status int
		body   string
	}{
		{[]string{"If-None-Match", tag}, 304, ""}, {[]string{"If-None-Match", `"x", W/` + tag}, 304, ""}, {[]string{"If-None-Match", "*"}, 304, ""},
		{[]string{"If-None-Match", packed}, 200, script}, {[]string{"If-None-Match", packed, "Accept-Encoding", "gzip"}, 304, ""},
		{[]string{"If-Match", `"x"`}, 412, ""}, {[]string{"If-Match", tag}, 200, script},
		{[]string{"Range", "bytes=0-5"}, 206, script[:6]}, {[]string{"Range", "bytes=-5"}, 206, script[len(script)-5:]},
		{[]string{"Range", "bytes=0-5", "If-Range", tag}, 206, script[:6]}, {[]string{"Range", "bytes=0-5", "If-Range", `"x"`}, 200, script},
		{[]string{"Range", "bytes=99999-"}, 416, ""}, {[]string{"Range", "bytes=99999-", "Accept-Encoding", "gzip"}, 416, ""},
		{[]string{"If-Modified-Since", time.Now().UTC().Format(http.TimeFormat)}, 200, script},
	} {
		w := ask(t, s, "GET", target, c.fields...)
		if w.Code != c.status || c.status < 400 && w.Body.String() != c.body {
			t.Errorf("%q: %d with %d bytes, want %d with %d", c.fields, w.Code, w.Body.Len(), c.status, len(c.body))
		}
		switch {
		case c.status == 416 && w.Header().Get("Content-Range") != fmt.Sprintf("bytes */%d", sizeOf(t, s, target, c.fields)):
			t.Errorf("%q: Content-Range %s", c.fields, w.Header().Get("Content-Range"))
		case c.status == 304 && (w.Header().Get("ETag") == "" || w.Header().Get("Cache-Control") != immutable || w.Header().Get("Content-Security-Policy") == ""):
			t.Errorf("%q: a 304 with the head %v", c.fields, w.Header())
		case c.status >= 400 && (w.Header().Get("ETag") != "" || w.Header().Get("Content-Encoding") != ""):
			t.Errorf("%q: a refusal with the head of the file: %v", c.fields, w.Header())
		}
	}
}

func sizeOf(t *testing.T, s http.Handler, target string, fields []string) int {
	var without []string
	for i := 0; i < len(fields); i += 2 {
		if fields[i] != "Range" {
			without = append(without, fields[i], fields[i+1])
		}
	}
	return ask(t, s, "GET", target, without...).Body.Len()
}

func TestPackedBodies(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(map[string]string{
		"assets/index-BX3k9f2a.js.br": "br of it", "assets/index-BX3k9f2a.js.zst": "zst of it", "index.html.br": "br of another page",
		"index.html": page + strings.Repeat("<p>more and more</p>", 100), "tiny.css": "a{}", "old.js": script, "old.js.br": "of a deployment before", "new.js": script, "new.js.br": "being written",
		"noise.png": script, "noise.png.gz": "gz of it",
	}))
	age(t, filepath.Join(dir, "old.js.br"), longAgo.Add(-time.Second))
	age(t, filepath.Join(dir, "new.js.br"), time.Now())
	s := open(t, dir)
	for _, c := range []struct{ target, accept, coding, body string }{
		{"/assets/index-BX3k9f2a.js", "gzip, deflate, br, zstd", "br", "br of it"},
		{"/assets/index-BX3k9f2a.js", "gzip, zstd", "zstd", "zst of it"},
		{"/assets/index-BX3k9f2a.js", "br;q=0.5, zstd;q=0.9", "zstd", "zst of it"},
		{"/assets/index-BX3k9f2a.js", "gzip", "gzip", script},
		{"/assets/index-BX3k9f2a.js", "br;q=0, identity", "", script}, {"/assets/index-BX3k9f2a.js", "", "", script},
		{"/assets/index-BX3k9f2a.js", "br;q=0.5, identity;q=1", "", script},
		{"/", "br, gzip", "gzip", page + strings.Repeat("<p>more and more</p>", 100)},
		{"/old.js", "br", "", script}, {"/old.js", "br, gzip", "gzip", script}, {"/new.js", "br", "", script},
		{"/tiny.css", "gzip", "", "a{}"}, {"/noise.png", "gzip", "gzip", "gz of it"}, {"/noise.png", "br", "", script},
	} {
		w := ask(t, s, "GET", c.target, "Accept-Encoding", c.accept)
		body := w.Body.String()
		if r, err := gzip.NewReader(w.Body); c.coding == "gzip" && err == nil {
			text, err := io.ReadAll(r)
			if err != nil {
				t.Errorf("%s: %v", c.target, err)
			}
			body = string(text)
		}
		if w.Code != 200 || w.Header().Get("Content-Encoding") != c.coding || body != c.body {
			t.Errorf("%s for %q: %d, %q, %.40q, want %q, %.40q", c.target, c.accept, w.Code, w.Header().Get("Content-Encoding"), body, c.coding, c.body)
		}
		if got := w.Header().Get("Content-Length"); got == "" || got == "0" {
			t.Errorf("%s for %q: Content-Length %q", c.target, c.accept, got)
		}
	}
}

func TestANewDeploymentIsNoticed(t *testing.T) {
	next := "<!doctype html><title>Notes 2</title><script>window.began = 2</script>"
	want := func(t *testing.T, s *spa.Site, text, inline string) {
		t.Helper()
		w := ask(t, s, "GET", "/", navigation...)
		if w.Body.String() != text || !strings.Contains(w.Header().Get("Content-Security-Policy"), hash(inline)) {
			t.Errorf("got %d %s with %s", w.Code, w.Body, w.Header().Get("Content-Security-Policy"))
		}
	}
	t.Run("files overwritten", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, app(nil))
		s := open(t, dir)
		want(t, s, page, "window.began = 1")
		before := ask(t, s, "GET", "/").Header().Get("ETag")
		write(t, dir, map[string]string{"index.html": next})
		want(t, s, next, "window.began = 2")
		if w := ask(t, s, "GET", "/", "If-None-Match", before); w.Code != 200 {
			t.Errorf("the tag of the page before: %d", w.Code)
		}
	})
	t.Run("a file of the same size and time put in its place", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, app(nil))
		s := open(t, dir)
		want(t, s, page, "window.began = 1")
		other := strings.ReplaceAll(page, "began = 1", "began = 7")
		write(t, dir, map[string]string{"next": other})
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "index.html")); err != nil {
			t.Fatal(err)
		}
		want(t, s, other, "window.began = 7")
	})
	t.Run("a file written twice within a tick of the clock", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, app(nil))
		s := open(t, dir)
		now := time.Now()
		for i := range 5 {
			text := strings.ReplaceAll(page, "began = 1", fmt.Sprintf("began = %d", i))
			write(t, dir, map[string]string{"index.html": text})
			age(t, filepath.Join(dir, "index.html"), now)
			want(t, s, text, fmt.Sprintf("window.began = %d", i))
		}
	})
	t.Run("the folder replaced", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dist")
		write(t, dir, app(nil))
		s := open(t, dir)
		want(t, s, page, "window.began = 1")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{"/", "/orders/42", "/assets/index-BX3k9f2a.js"} {
			if w := ask(t, s, "GET", target, navigation...); w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), dir) {
				t.Errorf("%s without a folder: %d %s", target, w.Code, w.Body)
			}
		}
		write(t, dir, map[string]string{"robots.txt": ""})
		if w := ask(t, s, "GET", "/orders/42", navigation...); w.Code != 503 {
			t.Errorf("without index.html: %d", w.Code)
		}
		write(t, dir, map[string]string{"index.html": next})
		want(t, s, next, "window.began = 2")
	})
	t.Run("a symbolic link turned", func(t *testing.T) {
		base := t.TempDir()
		write(t, filepath.Join(base, "1"), app(nil))
		write(t, filepath.Join(base, "2"), app(map[string]string{"index.html": next}))
		link := filepath.Join(base, "current")
		if err := os.Symlink("1", link); err != nil {
			t.Skip("this system makes no symbolic links")
		}
		s := open(t, link)
		want(t, s, page, "window.began = 1")
		if err := os.Symlink("2", link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
		want(t, s, next, "window.began = 2")
	})
}

// While deployments go on, every answer is one file as a whole, with the head that belongs to it.
func TestAHeadBelongsToItsBodyWhileFilesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	text := func(i int) string {
		inline := fmt.Sprintf("window.began = %d", i)
		return "<!doctype html><script>" + inline + "</script>" + strings.Repeat(fmt.Sprintf("<p>%d</p>", i), 200+i%7)
	}
	write(t, dir, map[string]string{"index.html": text(0)})
	s := open(t, dir)
	done := make(chan struct{})
	var deploying sync.WaitGroup
	deploying.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			next := filepath.Join(dir, "next")
			if os.WriteFile(next, []byte(text(i)), 0o644) != nil || os.Rename(next, filepath.Join(dir, "index.html")) != nil {
				t.Error("deploying failed")
				return
			}
		}
	})
	defer func() { close(done); deploying.Wait() }()
	tags := map[string]string{}
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 300 {
				w := ask(t, s, "GET", "/orders/42", navigation...)
				if w.Code == 503 { // replaced three times while it was read
					continue
				}
				body := w.Body.String()
				_, rest, _ := strings.Cut(body, "<script>")
				inline, _, _ := strings.Cut(rest, "</script>")
				if !strings.Contains(w.Header().Get("Content-Security-Policy"), hash(inline)) {
					t.Errorf("the policy is not of the page that was sent: %s", inline)
				}
				mu.Lock()
				if other, seen := tags[w.Header().Get("ETag")]; seen && other != body {
					t.Errorf("two bodies with the tag %s", w.Header().Get("ETag"))
				}
				tags[w.Header().Get("ETag")] = body
				mu.Unlock()
			}
		})
	}
	readers.Wait()
}

func TestALargeFileIsReadFromTheFolder(t *testing.T) {
	dir := t.TempDir()
	large := bytes.Repeat([]byte("0123456789abcdef"), spa.MaxInMemory/16+100)
	write(t, dir, app(map[string]string{"film.mp4": string(large)}))
	s := open(t, dir)
	server := httptest.NewServer(s)
	defer server.Close()
	get := func(fields ...string) (*http.Response, []byte, error) {
		r, err := http.NewRequest("GET", server.URL+"/film.mp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res, body, err
	}
	res, body, err := get()
	if err != nil || !bytes.Equal(body, large) || res.ContentLength != int64(len(large)) {
		t.Fatalf("got %d bytes and %v", len(body), err)
	}
	if res, body, _ := get("Range", "bytes=16-31"); res.StatusCode != 206 || string(body) != "0123456789abcdef" {
		t.Errorf("a range: %d %q", res.StatusCode, body)
	}
	if res, _, _ := get("If-None-Match", res.Header.Get("ETag")); res.StatusCode != 304 {
		t.Errorf("unchanged: %d", res.StatusCode)
	}
	if counted, _ := s.Kept(); counted > 1<<20 {
		t.Errorf("%d bytes are kept", counted)
	}

	// Overwritten while it is sent: the client is told that this is not all.
	r, err := http.NewRequest("GET", server.URL+"/film.mp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			conn.(*net.TCPConn).SetReadBuffer(64 << 10) // or all of the file may be on its way by now
		}
		return conn, err
	}}}
	defer client.CloseIdleConnections()
	reading, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Body.Close()
	file, err := os.OpenFile(filepath.Join(dir, "film.mp4"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(bytes.Repeat([]byte("x"), len(large)), 0); err != nil {
		t.Fatal(err)
	}
	file.Close()
	got, err := io.ReadAll(reading.Body)
	if err == nil || bytes.Contains(got, []byte("xxxx")) {
		t.Errorf("got %d bytes of two files as one, and %v", len(got), err)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(nil))
	s := open(t, dir)
	const most = 1 << 20
	s.Keep(most)
	for i := range 30 {
		write(t, dir, map[string]string{fmt.Sprintf("f%d.txt", i): strings.Repeat(fmt.Sprint(i, " "), 40<<10)})
		for range 2 {
			if w := ask(t, s, "GET", fmt.Sprintf("/f%d.txt", i), "Accept-Encoding", "gzip"); w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
		}
		counted, there := s.Kept()
		if counted != there || counted > most {
			t.Fatalf("counted %d bytes, %d are there, of %d at most", counted, there, most)
		}
	}
	before, _ := s.Kept()
	for i := range 200 {
		ask(t, s, "GET", fmt.Sprintf("/nothing/%d.js", i))
	}
	if after, _ := s.Kept(); after != before {
		t.Errorf("what is not there takes %d bytes", after-before)
	}
}

func TestAFolderThatIsNoApplicationIsRefused(t *testing.T) {
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), map[string]string{"file": ""})
	for _, dir := range []string{empty, file, filepath.Join(empty, "none"), ""} {
		_, err := spa.Open(spa.Config{Dir: dir, PublicURL: "https://app.example.com"})
		if err == nil || !strings.Contains(err.Error(), "Config.Dir") {
			t.Errorf("%q: got %v", dir, err)
		}
	}
}

func BenchmarkAsset(b *testing.B) {
	dir := b.TempDir()
	write(b, dir, app(nil))
	s := open(b, dir)
	r := httptest.NewRequest("GET", "/assets/index-BX3k9f2a.js", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	for b.Loop() {
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
}
