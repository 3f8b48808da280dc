package cookie_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/tokenjar/tokenjar/cookie"
)

// everyMix calls yield with each mix of what decides about a cookie, legal or not; name and life vary along.
func everyMix(yield func(cookie.JWT)) {
	i := 0
	for _, prefix := range []cookie.Prefix{"", cookie.Host, cookie.Secure, cookie.None} {
		for _, domain := range []string{"", "example.com", ".App.Example.com", "dev.localhost"} {
			for _, path := range []string{"", "/auth", "/auth/"} {
				for _, sameSite := range []http.SameSite{0, http.SameSiteLaxMode, http.SameSiteStrictMode, http.SameSiteNoneMode} {
					for _, flags := range []int{0, 1, 2, 3} {
						yield(cookie.JWT{
							Name: []string{"", "at"}[i%2], Prefix: prefix, MaxAge: []time.Duration{0, time.Minute, 1 << 60}[i%3],
							SameSite: sameSite, Path: path, Domain: domain, Partitioned: flags&1 != 0, InsecureAllowHTTP: flags&2 != 0,
						})
						i++
					}
				}
			}
		}
	}
}

// browserTakes says whether a browser stores, or deletes by, this Set-Cookie field: RFC 6265bis, section 5.7, written
// anew from the text.
func browserTakes(t *testing.T, line string, u *url.URL) bool {
	t.Helper()
	c, err := http.ParseSetCookie(line)
	if err != nil || len(c.Unparsed) != 0 {
		t.Fatalf("%s: got %v and %q unparsed", line, err, c.Unparsed)
	}
	lower := strings.ToLower(c.Name)
	host, domain := u.Hostname(), strings.ToLower(c.Domain)
	suffix, _ := publicsuffix.PublicSuffix(domain)
	switch {
	case c.Secure && u.Scheme != "https",
		c.SameSite == http.SameSiteNoneMode && !c.Secure,
		c.Partitioned && !c.Secure,
		strings.HasPrefix(lower, "__secure-") && !c.Secure,
		strings.HasPrefix(lower, "__host-") && (!c.Secure || c.Domain != "" || c.Path != "/"),
		domain != "" && (suffix == domain || host != domain && !strings.HasSuffix(host, "."+domain)),
		len(c.Name)+len(c.Value) > 4096:
		return false
	}
	return true
}

// Every legal mix is set by a real answer, sent back by a jar, and gone after the deletion; every illegal one writes
// nothing.
func TestCK10DeletionEmptiesTheJarForEveryMix(t *testing.T) {
	var mix atomic.Pointer[cookie.JWT]
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := *mix.Load()
		var err error
		switch {
		case strings.HasSuffix(r.URL.Path, "/set"):
			if err = c.Set(w, jws); err == nil {
				err = cookie.CSRF{With: c}.Set(w, "v")
			}
		case strings.HasSuffix(r.URL.Path, "/delete"):
			if err = c.Delete(w); err == nil {
				err = cookie.CSRF{With: c}.Delete(w)
			}
		default:
			var f cookie.Found
			if f, err = c.Read(r.Header); err == nil && (len(f.Values) != 1 || f.Values[0] != jws || f.Invalid != 0) {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			server := plain
			if strings.HasSuffix(addr, ":443") {
				server = secure
			}
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	defer transport.CloseIdleConnections()

	legal, illegal := 0, 0
	everyMix(func(c cookie.JWT) {
		host := "https://app.example.com"
		if c.InsecureAllowHTTP {
			host = "http://app.dev.localhost"
		} else if c.Domain == "dev.localhost" {
			host = "https://app.dev.localhost"
		}
		base, _ := url.Parse(host)
		mix.Store(&c)

		unsafe := c.InsecureAllowHTTP && (c.SameSite == http.SameSiteNoneMode || c.Partitioned || c.Prefix == cookie.Host || c.Prefix == cookie.Secure || strings.HasSuffix(strings.ToLower(c.Domain), "example.com"))
		impossible := c.Prefix == cookie.Host && (c.Domain != "" || c.Path != "")
		if err := c.Check(); (err != nil) != (unsafe || impossible) {
			t.Fatalf("%+v: got %v, want refused=%v", c, err, unsafe || impossible)
		} else if err != nil {
			illegal++
			if got, err := written(t, func(w http.ResponseWriter) error { return c.Set(w, jws) }); err == nil {
				t.Fatalf("%+v: got %s, want refused", c, got)
			}
			return
		}
		legal++

		jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: transport, Jar: jar}
		get := func(path string, status int) (lines []string) {
			t.Helper()
			answer, err := client.Get(host + path)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != status {
				t.Fatalf("CK-10 %+v: %s: got %d, want %d", c, path, answer.StatusCode, status)
			}
			for _, line := range answer.Header["Set-Cookie"] {
				if !browserTakes(t, line, base) {
					t.Errorf("%+v: a browser would refuse %s", c, line)
				}
			}
			return answer.Header["Set-Cookie"]
		}
		set := get("/login/set", 200)
		get("/auth/page", 200)
		// The path of the answer that deletes is another, and the second deletion finds nothing.
		get("/deep/er/delete", 200)
		for _, path := range []string{"/", "/auth", "/auth/", "/auth/page", "/login/set", "/deep/er/delete"} {
			if left := jar.Cookies(base.JoinPath(path)); len(left) != 0 {
				t.Errorf("CK-10 %+v: %v is left at %s", c, left, path)
			}
		}
		get("/auth/page", 401)
		deleted := get("/delete", 200)
		if len(set) != 2 || len(deleted) != 2 {
			t.Fatalf("%+v: got %q and %q, want two fields each", c, set, deleted)
		}
		for i := range set {
			a, b := attributesOf(set[i]), attributesOf(deleted[i])
			equal(t, "CK-10 attributes", b, a)
			if jwt := i == 0; jwt != strings.Contains(a, "; HttpOnly") {
				t.Errorf("CK-19 %s: want HttpOnly=%v", set[i], jwt)
			}
		}
	})
	if legal < 200 || illegal < 200 {
		t.Errorf("only %d legal and %d illegal mixes were tried", legal, illegal)
	}
}

// attributesOf returns a Set-Cookie field without its value and Max-Age.
func attributesOf(line string) string {
	parts := strings.Split(line, "; ")
	name, _, _ := strings.Cut(parts[0], "=")
	out := name
	for _, part := range parts[1:] {
		if !strings.HasPrefix(part, "Max-Age=") {
			out += "; " + part
		}
	}
	return out
}

// A page over plain http, or of a sibling host, cannot put a cookie beside one whose name bears the prefix, and the
// default names do.
func TestCK17PlainHTTPCannotOverwrite(t *testing.T) {
	p := newPolicy(t, cookie.Config{})
	for _, name := range []string{p.AccessName(), p.RefreshName(), p.CSRFName(), cookie.JWT{}.CookieName(), cookie.CSRF{}.CookieName(), cookie.JWT{Path: "/auth"}.CookieName()} {
		for _, line := range []string{"=x; Path=/", "=x; Path=/; Secure", "=x; Path=/; Domain=example.com", "=x; Path=/; Domain=example.com; Secure"} {
			for _, u := range []string{"http://app.example.com/", "http://evil.example.com/"} {
				if from, _ := url.Parse(u); browserTakes(t, name+line, from) {
					t.Errorf("CK-17 %s takes %s%s", u, name, line)
				}
			}
		}
	}
}

// FuzzJWT: whatever Set accepts, one field says exactly that, and the value is read back as the only one; what it
// refuses leaves no trace; HttpOnly is always there.
func FuzzJWT(f *testing.F) {
	everyMix(func(c cookie.JWT) {
		flags := byte(0)
		if c.Partitioned {
			flags |= 1
		}
		if c.InsecureAllowHTTP {
			flags |= 2
		}
		if c.SameSite == http.SameSiteStrictMode {
			f.Add(c.Name, string(c.Prefix), c.Path, c.Domain, int8(c.SameSite), int64(c.MaxAge), flags, jws)
		}
	})
	f.Fuzz(func(t *testing.T, name, prefix, path, domain string, sameSite int8, life int64, flags byte, token string) {
		c := cookie.JWT{
			Name: name, Prefix: cookie.Prefix(prefix), MaxAge: time.Duration(life), SameSite: http.SameSite(sameSite),
			Path: path, Domain: domain, Partitioned: flags&1 != 0, InsecureAllowHTTP: flags&2 != 0,
		}
		line, err := written(t, func(w http.ResponseWriter) error { return c.Set(w, token) })
		gone, errDelete := written(t, c.Delete)
		if check := c.Check(); (check == nil) != (errDelete == nil) || err == nil && check != nil {
			t.Fatalf("%+v: Check says %v, Delete %v, Set %v", c, check, errDelete, err)
		}
		if err != nil {
			if len(token) > 8 && strings.Count(token, ".") == 2 && strings.Contains(err.Error(), token) && !strings.Contains(name+prefix+path+domain, token) {
				t.Fatalf("the error %q holds the token", err)
			}
			return
		}
		got, err := http.ParseSetCookie(line)
		if err != nil || len(got.Unparsed) != 0 || got.Quoted || !got.Expires.IsZero() {
			t.Fatalf("%q: got %+v, %v", line, got, err)
		}
		want := http.Cookie{
			Name: c.CookieName(), Value: token, Path: path, Domain: strings.ToLower(strings.TrimPrefix(domain, ".")),
			MaxAge: int(min(time.Duration(life), cookie.MaxAge) / time.Second), HttpOnly: true, Secure: !c.InsecureAllowHTTP,
			SameSite: c.SameSite, Partitioned: c.Partitioned, Raw: line,
		}
		if path == "" {
			want.Path = "/"
		}
		if sameSite == 0 {
			want.SameSite = http.SameSiteLaxMode
		}
		if life > 0 && want.MaxAge == 0 {
			want.MaxAge = 1
		}
		equal(t, "attributes", got.String(), want.String())
		equal(t, "deletion", attributesOf(gone), attributesOf(line))

		host := strings.ToLower(strings.TrimPrefix(domain, "."))
		if host == "" {
			host = "example.com"
		}
		from := &url.URL{Scheme: "https", Host: host}
		if c.InsecureAllowHTTP {
			from.Scheme = "http"
		}
		if !browserTakes(t, line, from) || !browserTakes(t, gone, from) {
			t.Fatalf("a browser would refuse %q or %q", line, gone)
		}
		sent := got.Name + "1=b; " + got.Name + "=" + got.Value + "; " + got.Name + "2=x"
		if found, err := c.Read(http.Header{"Cookie": {sent}}); err != nil || len(found.Values) != 1 || found.Values[0] != token || found.Invalid != 0 {
			t.Fatalf("%q: read back as %+v, %v", sent, found, err)
		}
		script := *got
		script.HttpOnly = false
		if line, err := written(t, func(w http.ResponseWriter) error { return cookie.Set(w, &script) }); err == nil {
			t.Fatalf("Set lets script read the token: %q", line)
		}
		if line, err := written(t, func(w http.ResponseWriter) error { return cookie.CSRF{With: c, Name: "ct"}.Set(w, token) }); err == nil {
			t.Fatalf("CSRF lets script read the token: %q", line)
		}
	})
}
