package spa_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/spa"
)

func TestHashedNames(t *testing.T) {
	for _, name := range []string{
		"assets/index-BX3k9f2a.js", "assets/index-BX3k9f2a.css", "assets/vendor-a_B3-k9f.js", "assets/index-BX3k9f2a.js.map",
		"assets/user-list-C4f9x2aZ.js", "index.BX3k9f2a.js", "main.073c9b0a.js", "static/js/main.073c9b0a.chunk.js", "static/css/2.f4e1c5d0.chunk.css",
		"main.4d5ee2c1a0b9f8e7d6c5.js", "_next/static/chunks/app-0a1b2c3d4e5f6789.js", "chunk-4XYZ7AB2.js", "main-ABC2DEF3.js", "app.3f9ac2d1e07b.js",
		"_app/immutable/entry/start.js", "logo-Dk3f_9Qx.svg",
	} {
		if !spa.IsHashed(name) {
			t.Errorf("%s: its name tells its content", name)
		}
	}
	for _, name := range []string{
		"index.html", "index-overview.js", "icon-maskable.png", "icon-1024x768.png", "icon-512x512.png", "photo-20240131.jpg", "user-DataGrid.png",
		"app-version2.js", "apple-touch-icon-precomposed.png", "my-long-component.js", "robots.txt", "sw.js", "report-2024-01-15.pdf", "README-OVERVIEW.md",
		"workbox-config.js", "assets/img-overView.svg", "jquery-3.7.1.min.js", "logo.deadbeef.png", "x.20240131.js", "BX3k9f2a.js", "-BX3k9f2a.js", "font-iPhone15.woff2",
		"manifest.webmanifest", "noext-BX3k9f2a", "index-BX3k9f2a1.js", "fallback-language.js", "page-HTML5App.svg", "decade-2024abcd", "immutable/x.js",
		"index-DiwrgTda.js", "index-BPVdQZPI.css", // hashes, and might be words: TestHashesThatLookLikeWords
	} {
		if spa.IsHashed(name) {
			t.Errorf("%s: would be kept for a year under a name that people write", name)
		}
	}
}

// Names that are a hash or words are a hash where everything beside them is what a build tool writes.
func TestHashesThatLookLikeWords(t *testing.T) {
	for name, c := range map[string]struct {
		beside []string
		want   bool
	}{
		"beside others of a build":          {[]string{"vendor-C4f9x2aZ.js", "vendor-C4f9x2aZ.js.map", "vendor-C4f9x2aZ.js.br", "more-BfJ6p1uu.js"}, true},
		"beside a name that a person wrote": {[]string{"vendor-C4f9x2aZ.js", "logo.png"}, false},
		"beside a word of eight letters":    {[]string{"vendor-C4f9x2aZ.js", "icon-maskable.png"}, false},
		"beside others that may be words":   {[]string{"user-DataGrid.js"}, false},
		"alone":                             {nil, false},
	} {
		dir := t.TempDir()
		files := app(map[string]string{"out/index-DiwrgTda.js": "let a"})
		for _, other := range c.beside {
			files["out/"+other] = "x"
		}
		write(t, dir, files)
		s := open(t, dir)
		for range 2 {
			if got := ask(t, s, "GET", "/out/index-DiwrgTda.js").Header().Get("Cache-Control"); (got == immutable) != c.want {
				t.Errorf("%s: %s", name, got)
			}
			age(t, filepath.Join(dir, "out"), longAgo) // settled
		}
		write(t, dir, map[string]string{"out/by-hand.js": "x"})
		if got := ask(t, s, "GET", "/out/index-DiwrgTda.js").Header().Get("Cache-Control"); got == immutable {
			t.Errorf("%s, after a file was put there by hand: %s", name, got)
		}
	}
}

func TestAcceptedCodings(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{nil, ""}, {[]string{""}, ""}, {[]string{"identity"}, ""}, {[]string{"deflate, compress"}, ""}, {[]string{"gzip"}, "gzip"}, {[]string{"x-gzip"}, "gzip"},
		{[]string{"GZIP , Br"}, "br gzip"}, {[]string{"gzip", "br"}, "br gzip"}, {[]string{"gzip, deflate, br, zstd"}, "br zstd gzip"},
		{[]string{"gzip;q=1.0, br;q=0.9"}, "gzip br"}, {[]string{"br;q=0, gzip"}, "gzip"}, {[]string{"*"}, "br zstd gzip"}, {[]string{"*;q=0"}, ""},
		{[]string{"gzip, *;q=0"}, "gzip"}, {[]string{"*, br;q=0"}, "zstd gzip"}, {[]string{"gzip;q=0.5, identity"}, ""}, {[]string{"gzip;q=0.5, identity;q=0.5"}, "gzip"},
		{[]string{"gzip;q=0.001"}, "gzip"}, {[]string{"gzip;q=0.0001"}, ""}, {[]string{"gzip;q=-1"}, ""}, {[]string{"gzip;q=2"}, ""}, {[]string{"gzip;q=NaN"}, ""},
		{[]string{"gzip;q=1e3"}, ""}, {[]string{"gzip;x=1"}, ""}, {[]string{"gzip; Q = 0.8 "}, "gzip"}, {[]string{"identity;q=0"}, ""}, {[]string{"gzip;q="}, ""},
		{[]string{"gzip;q=."}, ""}, {[]string{strings.Repeat("gzip,", 2000)}, "gzip"}, {[]string{"gzipx, xbr"}, ""}, {[]string{"*;q=0, identity;q=1"}, ""},
	} {
		if got := strings.Join(spa.Accepted(c.fields...), " "); got != c.want {
			t.Errorf("%.60q: got %q, want %q", c.fields, got, c.want)
		}
	}
}

func TestThePolicyOfAPage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(nil))
	directive := func(policy, name string) string {
		for part := range strings.SplitSeq(policy, "; ") {
			if rest, ok := strings.CutPrefix(part, name+" "); ok {
				return rest
			}
		}
		return ""
	}
	s := open(t, dir)
	for _, c := range []struct {
		name, page, directive, want string
		forbidden                   string
	}{
		{"no inline script", "<script src=/a.js></script>", "script-src", "'self'", ""},
		{"one", "<script>a</script>", "script-src", "'self' " + hash("a"), ""},
		{"a module", "<script type=module>a</script>", "script-src", "'self' " + hash("a"), ""},
		{"an import map", `<script type="importmap">{"imports":{}}</script>`, "script-src", "'self' " + hash(`{"imports":{}}`), ""},
		{"the same twice", "<script>a</script><SCRIPT>a</SCRIPT>", "script-src", "'self' " + hash("a"), ""},
		{"two, in order", "<script>a</script><script>b</script>", "script-src", "'self' " + hash("a") + " " + hash("b"), ""},
		{"with a source: what stands in it never runs", "<script src=/a.js>evil</script>", "script-src", "'self'", ""},
		{"line ends are read as browsers read them", "<script>\r\na\rb\r\n</script>", "script-src", "'self' " + hash("\na\nb\n"), ""},
		{"no entity is decoded", "<script>a &amp;&amp; b</script>", "script-src", "'self' " + hash("a &amp;&amp; b"), ""},
		{"blanks count", "<script> a </script>", "script-src", "'self' " + hash(" a "), ""},
		{"letters beyond ASCII", "<script>'ü'</script>", "script-src", "'self' " + hash("'ü'"), ""},
		{"in a comment", "<!-- <script>a</script> -->", "script-src", "'self'", ""},
		{"in a text", "<textarea><script>a</script></textarea>", "script-src", "'self'", ""},
		{"in a style", "<style><script>a</script></style>", "script-src", "'self'", ""},
		{"unclosed: browsers do not run it, and nothing follows", "<script>a", "script-src", "'self' " + hash("a"), ""},
		{"a style", "<style>p{}</style>", "style-src", "'self' " + hash("p{}"), ""},
		{"a style for browsers without scripts", "<noscript><style>p{}</style></noscript>", "style-src", "'self' " + hash("p{}"), ""},
		{"a style attribute", "<p style='color:red'>", "style-src", "'self'", "style attributes"},
		{"an event handler", "<p onclick='a()'>", "script-src", "'self'", "event handlers in attributes"},
		{"a base", "<base href=/>", "base-uri", "'self'", ""},
		{"no base", "<p>", "base-uri", "'none'", ""},
	} {
		policy, forbidden := spa.PolicyForPage(s, "<!doctype html>"+c.page)
		if got := directive(policy, c.directive); got != c.want || strings.Join(forbidden, ", ") != c.forbidden {
			t.Errorf("%s: %s %s, forbidden %q; want %s", c.name, c.directive, got, forbidden, c.want)
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", c.name, policy)
		}
	}
	t.Run("with additions", func(t *testing.T) {
		s := open(t, dir, "connect-src https://api.example.com wss://live.example.com", "style-src 'unsafe-inline'", "frame-src https://pay.example.com")
		policy, forbidden := spa.PolicyForPage(s, "<style>p{}</style><p style='color:red'>")
		for name, want := range map[string]string{
			"connect-src": "'self' wss://app.example.com https://api.example.com wss://live.example.com", "style-src": "'self' 'unsafe-inline'",
			"frame-src": "'self' https://pay.example.com", "script-src": "'self'", "frame-ancestors": "'none'",
		} {
			if got := directive(policy, name); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
		if len(forbidden) > 0 {
			t.Errorf("forbidden: %q", forbidden)
		}
	})
}

func TestSourcesThatCannotBeAdded(t *testing.T) {
	for _, good := range []string{
		"connect-src https://api.example.com", "img-src https://*.tiles.example.com:8443/a/b.png data:", "script-src 'wasm-unsafe-eval'", "script-src 'unsafe-eval'",
		"script-src 'sha256-K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols='", "worker-src blob:", "style-src 'unsafe-inline'", "connect-src ws://localhost:9000",
	} {
		if err := spa.CheckSources(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"connect-src", "connect-src *", "connect-src https:", "script-src 'unsafe-inline'", "script-src data:", "script-src blob:", "script-src *", "default-src *",
		"frame-ancestors https://evil.example", "base-uri 'self'", "object-src 'self'", "script-src-elem 'self'", "report-uri /x", "img-src 'unsafe-inline'",
		"connect-src https://a;script-src *", "connect-src https://a,https://b", "connect-src https://a\nscript-src", "sandbox allow-scripts", "img-src http://[::1]",
		"script-src 'nonce-abc'", "connect-src 'none'", "Connect-Src https://a",
	} {
		if err := spa.CheckSources("img-src https://ok.example; " + bad); err == nil || strings.Contains(err.Error(), "ok.example") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestAPageIsToldOfWhatItsPolicyForbidsOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, app(map[string]string{"index.html": `<p onclick="a()" style="b">`}))
	var log bytes.Buffer
	s, err := spa.Open(spa.Config{Dir: dir, PublicURL: "https://app.example.com", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		write(t, dir, map[string]string{"index.html": strings.Repeat(" ", i) + `<p onclick="a()" style="b">`})
		ask(t, s, "GET", "/")
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("got %d warnings:\n%s", lines, log.String())
	}
}

func FuzzFileName(f *testing.F) {
	for _, seed := range []string{"/", "/a/b.js", "/%2e%2e", "/a%2Fb", "/.env", "/.well-known/x", "/c:/x", "/a/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if path == "" || path[0] != '/' {
			t.Skip()
		}
		name := spa.FileName(path)
		if name == "" {
			return
		}
		for i, part := range strings.Split(name, "/") {
			if part == "" || part[0] == '.' && (i > 0 || part != ".well-known") || strings.ContainsAny(part, ":\\\x00") {
				t.Errorf("%q leads to %q", path, name)
			}
		}
		if slices.Contains(strings.Split(name, "/"), "..") || name[0] == '/' {
			t.Errorf("%q leads to %q", path, name)
		}
	})
}

func FuzzAccepted(f *testing.F) {
	for _, seed := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0, *"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		got := spa.Accepted(field)
		seen := slices.Clone(got)
		slices.Sort(seen)
		if len(slices.Compact(seen)) != len(got) {
			t.Errorf("%q: %q", field, got)
		}
		if len(got) > 0 && !strings.ContainsAny(strings.ToLower(field), "*brgzipzstd") {
			t.Errorf("%q: %q", field, got)
		}
	})
}
