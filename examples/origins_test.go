package examples_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// The settings of docs/howto/other-origins.md, each in a running server, with what a browser would send and read.
func TestOtherOrigins(t *testing.T) {
	bin := cli(t)
	var settings []string
	for _, b := range blocks(t, "docs/howto/other-origins.md") {
		if b.lang == "yaml" {
			settings = append(settings, b.text)
		}
	}
	if len(settings) != 3 {
		t.Fatalf("the page has %d files of settings, want 3", len(settings))
	}

	// serve starts a server with settings, and returns a visitor who reaches it under its public name.
	serve := func(t *testing.T, settings string) *visitor {
		dir, port := t.TempDir(), freePort(t)
		write(t, filepath.Join(dir, "tokenjar.yaml"), settings)
		write(t, filepath.Join(dir, "tokenjar.secret"), tokenjar.GenerateSecret()+"\n")
		if err := os.Chmod(filepath.Join(dir, "tokenjar.secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		sh := newShell(dir, "PATH="+bin+":"+os.Getenv("PATH"), "TOKENJAR_LISTEN=127.0.0.1:"+port)
		sh.run(t, `printf '%s\n' '`+adasPassword+`' | tokenjar users create ada --email ada@example.com --password-stdin`)
		sh.start(t, "tokenjar serve", "tokenjar serves")
		return newVisitor(t, "http://127.0.0.1:"+port)
	}
	// send sends a request as a page of an origin does. Cookies are kept by hand: these are https alone.
	send := func(v *visitor, host, origin, site, method, path, body string, cookies map[string]*http.Cookie, header ...string) answer {
		v.t.Helper()
		r, err := http.NewRequest(method, v.base+path, strings.NewReader(body))
		if err != nil {
			v.t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", site)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		for _, c := range cookies {
			r.AddCookie(c)
		}
		return v.do(r)
	}
	const login = `{"username":"ada","password":"` + adasPassword + `"}`

	for i, page := range []struct{ name, host, origin, site, sameSite string }{
		{"another origin of the same site", "api.example.com", "https://app.example.com", "same-site", "SameSite=Lax"},
		{"another site", "api.example.com", "https://shop.example.net", "cross-site", "SameSite=None"},
	} {
		t.Run(page.name, func(t *testing.T) {
			v := serve(t, settings[i])
			preflight := send(v, page.host, page.origin, page.site, "OPTIONS", "/auth/user", "", nil,
				"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "content-type,x-csrftoken")
			if got := preflight.header.Get("Access-Control-Allow-Origin"); got != page.origin {
				t.Errorf("preflight: allowed origin %q", got)
			}
			in := send(v, page.host, page.origin, page.site, "POST", "/auth/login", login, nil)
			in.want(t, http.StatusOK, "")
			if got := in.header.Get("Set-Cookie"); !strings.Contains(got, page.sameSite) || in.header.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("login: cookie %q, credentials %q", got, in.header.Get("Access-Control-Allow-Credentials"))
			}
			csrf, _ := send(v, page.host, page.origin, page.site, "GET", "/auth/csrf", "", in.cookies).body["csrf_token"].(string)
			send(v, page.host, page.origin, page.site, "PATCH", "/auth/user", `{"first_name":"Ada"}`, in.cookies, "X-CSRFToken", csrf).
				want(t, http.StatusOK, "")

			evil := send(v, page.host, "https://evil.example", "cross-site", "PATCH", "/auth/user", `{"first_name":"Eve"}`, in.cookies, "X-CSRFToken", csrf)
			evil.want(t, http.StatusForbidden, "origin_not_allowed")
			if got := evil.header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("another origin may read: %q", got)
			}
		})
	}
	t.Run("a development server", func(t *testing.T) {
		v := serve(t, settings[2])
		host := strings.Replace(strings.TrimPrefix(v.base, "http://"), "127.0.0.1", "localhost", 1)
		send(v, host, "http://localhost:5173", "same-site", "POST", "/auth/login", login, nil).want(t, http.StatusOK, "")
		send(v, host, "http://localhost:5174", "same-site", "POST", "/auth/login", login, nil).
			want(t, http.StatusForbidden, "origin_not_allowed")
	})
	t.Run("another site with SameSite=Lax is refused", func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "tokenjar.yaml"), strings.Replace(settings[1], "same_site: None", "same_site: Lax", 1))
		c := exec.Command(bin+"/tokenjar", "config", "check")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "cors.allowed_origins") {
			t.Errorf("config check: %v\n%s", err, out)
		}
	})
}
