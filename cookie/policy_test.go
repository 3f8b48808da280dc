package cookie_test

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
)

const public = "https://app.example.com"

func newPolicy(t testing.TB, cfg cookie.Config) *cookie.Policy {
	t.Helper()
	if cfg.PublicURL == "" {
		cfg.PublicURL = public
	}
	p, err := cookie.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t testing.TB, c *http.Cookie, err error) *http.Cookie {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNamesAndAttributes(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		cfg                   cookie.Config
		access, refresh, csrf string // as Set-Cookie fields
	}{
		{
			name:    "https",
			access:  "__Host-access_token=v; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Lax",
			refresh: "__Host-refresh_token=v; Path=/; HttpOnly; Secure; SameSite=Lax",
			csrf:    "__Host-csrftoken=v; Path=/; Secure; SameSite=Lax",
		},
		{
			name:    "loopback http",
			cfg:     cookie.Config{PublicURL: "http://localhost:8080"},
			access:  "access_token=v; Path=/; Max-Age=300; HttpOnly; SameSite=Lax",
			refresh: "refresh_token=v; Path=/; HttpOnly; SameSite=Lax",
			csrf:    "csrftoken=v; Path=/; SameSite=Lax",
		},
		{
			name:    "with a Domain the prefix is __Secure-",
			cfg:     cookie.Config{Domain: ".Example.com"},
			access:  "__Secure-access_token=v; Path=/; Domain=example.com; Max-Age=300; HttpOnly; Secure; SameSite=Lax",
			refresh: "__Secure-refresh_token=v; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax",
			csrf:    "__Secure-csrftoken=v; Path=/; Domain=example.com; Secure; SameSite=Lax",
		},
		{
			name:    "own names, no prefix, Strict",
			cfg:     cookie.Config{Access: "at", Refresh: "rt", CSRF: "ct", Prefix: cookie.None, SameSite: http.SameSiteStrictMode},
			access:  "at=v; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Strict",
			refresh: "rt=v; Path=/; HttpOnly; Secure; SameSite=Strict",
			csrf:    "ct=v; Path=/; Secure; SameSite=Strict",
		},
		{
			name:    "SameSite=None is Secure",
			cfg:     cookie.Config{Prefix: cookie.Secure, SameSite: http.SameSiteNoneMode},
			access:  "__Secure-access_token=v; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=None",
			refresh: "__Secure-refresh_token=v; Path=/; HttpOnly; Secure; SameSite=None",
			csrf:    "__Secure-csrftoken=v; Path=/; Secure; SameSite=None",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPolicy(t, tt.cfg)
			a, err := p.Access("v", 5*time.Minute)
			equal(t, "access", must(t, a, err).String(), tt.access)
			r, err := p.Refresh("v", 0)
			equal(t, "refresh", must(t, r, err).String(), tt.refresh)
			c, err := p.CSRF("v", 0)
			equal(t, "CSRF", must(t, c, err).String(), tt.csrf)
			equal(t, "AccessName", p.AccessName(), a.Name)
			equal(t, "RefreshName", p.RefreshName(), r.Name)
			equal(t, "CSRFName", p.CSRFName(), c.Name)

			// CK-10: a deletion differs in value and Max-Age only.
			for i, c := range p.Clear() {
				set := []*http.Cookie{a, r, c}[i]
				want := *set
				want.Value, want.MaxAge = "", -1
				equal(t, "CK-10 deletion", c.String(), want.String())
			}
		})
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestImpossibleConfigs(t *testing.T) { // CK-11
	for _, tt := range []struct {
		name string
		cfg  cookie.Config
		want string // field named by the error, "" for none
	}{
		{"https", cookie.Config{PublicURL: public}, ""},
		{"https on a port", cookie.Config{PublicURL: "https://app.example.com:8443/"}, ""},
		{"http on localhost", cookie.Config{PublicURL: "http://localhost"}, ""},
		{"http on a name under localhost", cookie.Config{PublicURL: "http://app.localhost:3000"}, ""},
		{"http on 127.0.0.1", cookie.Config{PublicURL: "http://127.0.0.1:8080"}, ""},
		{"http on another loopback address", cookie.Config{PublicURL: "http://127.8.8.8:8080"}, ""},
		{"http on ::1", cookie.Config{PublicURL: "http://[::1]:8080"}, ""},
		{"https on localhost", cookie.Config{PublicURL: "https://localhost:8443"}, ""},
		{"no public URL", cookie.Config{}, "PublicURL"},
		{"http on a public host", cookie.Config{PublicURL: "http://app.example.com"}, "PublicURL"},
		{"http on a private address", cookie.Config{PublicURL: "http://192.168.1.5"}, "PublicURL"},
		{"http on all addresses", cookie.Config{PublicURL: "http://0.0.0.0:8080"}, "PublicURL"},
		{"http on a name ending like localhost", cookie.Config{PublicURL: "http://notlocalhost"}, "PublicURL"},
		{"http on a name beginning like localhost", cookie.Config{PublicURL: "http://localhost.example.com"}, "PublicURL"},
		{"no scheme", cookie.Config{PublicURL: "app.example.com"}, "PublicURL"},
		{"no host", cookie.Config{PublicURL: "https:///x"}, "PublicURL"},
		{"port only", cookie.Config{PublicURL: "http://:8080"}, "PublicURL"},
		{"other scheme", cookie.Config{PublicURL: "ftp://app.example.com"}, "PublicURL"},
		{"user information", cookie.Config{PublicURL: "https://u@app.example.com"}, "PublicURL"},
		{"trailing dot", cookie.Config{PublicURL: "https://app.example.com."}, "PublicURL"},
		{"control character", cookie.Config{PublicURL: "https://app.example.com\r\n"}, "PublicURL"},

		{"SameSite=None over https", cookie.Config{PublicURL: public, SameSite: http.SameSiteNoneMode}, ""},
		{"SameSite=None without Secure", cookie.Config{PublicURL: "http://localhost", SameSite: http.SameSiteNoneMode}, "SameSite"},
		{"SameSite that writes no attribute", cookie.Config{PublicURL: public, SameSite: http.SameSiteDefaultMode}, "SameSite"},
		{"unknown SameSite", cookie.Config{PublicURL: public, SameSite: 9}, "SameSite"},

		{"__Host- over https", cookie.Config{PublicURL: public, Prefix: cookie.Host}, ""},
		{"__Host- with Domain", cookie.Config{PublicURL: public, Prefix: cookie.Host, Domain: "example.com"}, "Prefix"},
		{"__Host- over http", cookie.Config{PublicURL: "http://localhost", Prefix: cookie.Host}, "Prefix"},
		{"__Secure- over http", cookie.Config{PublicURL: "http://localhost", Prefix: cookie.Secure}, "Prefix"},
		{"unknown prefix", cookie.Config{PublicURL: public, Prefix: "Host"}, "Prefix"},

		{"Domain is the host", cookie.Config{PublicURL: public, Domain: "app.example.com"}, ""},
		{"Domain is the parent", cookie.Config{PublicURL: public, Domain: "example.com"}, ""},
		{"Domain with a leading dot", cookie.Config{PublicURL: public, Domain: ".example.com"}, ""},
		{"Domain under a public suffix of two labels", cookie.Config{PublicURL: "https://app.example.co.uk", Domain: "example.co.uk"}, ""},
		{"Domain is a public suffix", cookie.Config{PublicURL: "https://app.example.co.uk", Domain: "co.uk"}, "Domain"},
		{"Domain is a shared host's suffix", cookie.Config{PublicURL: "https://me.github.io", Domain: "github.io"}, "Domain"},
		{"Domain is a top-level domain", cookie.Config{PublicURL: public, Domain: "com"}, "Domain"},
		{"Domain is localhost", cookie.Config{PublicURL: "http://localhost", Domain: "localhost"}, "Domain"},
		{"Domain is a sibling", cookie.Config{PublicURL: public, Domain: "www.example.com"}, "Domain"},
		{"Domain is below the host", cookie.Config{PublicURL: "https://example.com", Domain: "app.example.com"}, "Domain"},
		{"Domain ends the host inside a label", cookie.Config{PublicURL: "https://myexample.com", Domain: "example.com"}, "Domain"},
		{"Domain is an IP address", cookie.Config{PublicURL: "http://127.0.0.1", Domain: "127.0.0.1"}, "Domain"},
		{"Domain is the end of an IP address", cookie.Config{PublicURL: "http://127.0.0.1", Domain: "0.1"}, "Domain"},
		{"Domain that ends in a number", cookie.Config{PublicURL: "https://a.example.0x7f", Domain: "example.0x7f"}, "Domain"},
		{"Domain without a letter in its last label", cookie.Config{PublicURL: "https://a.b.1-2", Domain: "b.1-2"}, "Domain"},
		{"Domain with an underscore, which net/http leaves out", cookie.Config{PublicURL: "https://a.my_app.example", Domain: "my_app.example"}, "Domain"},
		{"host with an underscore", cookie.Config{PublicURL: "https://my_app.example.com", Domain: "example.com"}, ""},
		{"Domain with a trailing dot", cookie.Config{PublicURL: public, Domain: "example.com."}, "Domain"},
		{"Domain is a dot", cookie.Config{PublicURL: public, Domain: "."}, "Domain"},
		{"Domain with two leading dots", cookie.Config{PublicURL: public, Domain: "..example.com"}, "Domain"},
		{"Domain with an attribute", cookie.Config{PublicURL: public, Domain: "example.com; Path=/x"}, "Domain"},
		{"Domain with a line break", cookie.Config{PublicURL: public, Domain: "example.com\r\nX: y"}, "Domain"},
		{"Domain in Unicode", cookie.Config{PublicURL: "https://bücher.example", Domain: "bücher.example"}, "Domain"},

		{"name with a blank", cookie.Config{PublicURL: public, Access: "access token"}, "Access"},
		{"name with a semicolon", cookie.Config{PublicURL: public, Refresh: "refresh;"}, "Refresh"},
		{"name with an equals sign", cookie.Config{PublicURL: public, CSRF: "a=b"}, "CSRF"},
		{"name with a line break", cookie.Config{PublicURL: public, Access: "a\r\nSet-Cookie:b"}, "Access"},
		{"name in Unicode", cookie.Config{PublicURL: public, Access: "zugriff_schlüssel"}, "Access"},
		{"name with a comma", cookie.Config{PublicURL: public, Access: "a,b"}, "Access"},
		{"name of the old attributes", cookie.Config{PublicURL: public, Access: "$Version"}, "Access"},
		{"name with __Host-", cookie.Config{PublicURL: public, Access: "__Host-access"}, "Access"},
		{"name with __secure- in another case", cookie.Config{PublicURL: public, Refresh: "__secure-refresh"}, "Refresh"},
		{"name with __HTTP-", cookie.Config{PublicURL: public, CSRF: "__HTTP-csrf"}, "CSRF"},
		{"name with __Host-Http-", cookie.Config{PublicURL: public, CSRF: "__Host-Http-csrf"}, "CSRF"},
		{"name that leaves no room", cookie.Config{PublicURL: public, Access: strings.Repeat("n", 2049)}, "Access"},
		{"two equal names", cookie.Config{PublicURL: public, Access: "token", Refresh: "token"}, "Refresh"},
		{"two names differing in case", cookie.Config{PublicURL: public, Access: "token", CSRF: "Token"}, "CSRF"},
		{"a name equal to another's default", cookie.Config{PublicURL: public, CSRF: "ACCESS_TOKEN"}, "CSRF"},

		{"legacy scopes", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{}, {Path: "/auth"}, {Domain: ".example.com"}}}, ""},
		{"legacy path without slash", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{Path: "auth"}}}, "LegacyScopes[0].Path"},
		{"legacy path with an attribute", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{}, {Path: "/auth; Secure"}}}, "LegacyScopes[1].Path"},
		{"legacy path with a quote", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{Path: `/"auth`}}}, "LegacyScopes[0].Path"},
		{"legacy path of 1024 bytes", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{Path: "/" + strings.Repeat("a", 1023)}}}, ""},
		{"legacy path that browsers ignore for its length", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{Path: "/" + strings.Repeat("a", 1024)}}}, "LegacyScopes[0].Path"},
		{"legacy domain of others", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{Domain: "example.org"}}}, "LegacyScopes[0].Domain"},
		{"legacy domain that is a public suffix", cookie.Config{PublicURL: public, LegacyScopes: []cookie.Scope{{Domain: "com"}}}, "LegacyScopes[0].Domain"},
	} {
		t.Run("CK-11 "+tt.name, func(t *testing.T) {
			p, err := cookie.New(tt.cfg)
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want accepted", err)
				}
				return
			}
			if err == nil || p != nil || !strings.HasPrefix(err.Error(), "cookie: "+tt.want+": ") {
				t.Errorf("got %v, want an error naming %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one mistake told once", err)
			}
		})
	}
	t.Run("every mistake is told", func(t *testing.T) {
		_, err := cookie.New(cookie.Config{PublicURL: "http://localhost", Access: "a b", Refresh: "rt", CSRF: "RT", Prefix: cookie.Host, Domain: "localhost", SameSite: http.SameSiteNoneMode})
		for _, field := range []string{"Access", "CSRF", "Prefix", "Domain", "SameSite"} {
			if err == nil || !strings.Contains(err.Error(), "cookie: "+field+": ") {
				t.Errorf("got %v, want %s named", err, field)
			}
		}
	})
}

func TestLife(t *testing.T) {
	p := newPolicy(t, cookie.Config{})
	for _, tt := range []struct {
		life    time.Duration
		access  int // Max-Age, 0 for an error
		refresh int // Max-Age, 0 for none, -1 for an error
	}{
		{5 * time.Minute, 300, 300},
		{299*time.Second + 999*time.Millisecond, 299, 299},
		{time.Millisecond, 1, 1}, // Max-Age=0 would delete it
		{400 * 24 * time.Hour, 34560000, 34560000},
		{1000 * 24 * time.Hour, 34560000, 34560000},
		{1<<63 - 1, 34560000, 34560000},
		{0, 0, 0},
		{-1, 0, -1},
		{-time.Hour, 0, -1},
	} {
		a, err := p.Access("v", tt.life)
		if tt.access == 0 && err == nil || tt.access != 0 && (err != nil || a.MaxAge != tt.access) {
			t.Errorf("access for %v: got %v, %v, want Max-Age %d", tt.life, a, err, tt.access)
		}
		for _, build := range []func(string, time.Duration) (*http.Cookie, error){p.Refresh, p.CSRF} {
			r, err := build("v", tt.life)
			if tt.refresh == -1 && err == nil || tt.refresh != -1 && (err != nil || r.MaxAge != tt.refresh) {
				t.Errorf("refresh for %v: got %v, %v, want Max-Age %d", tt.life, r, err, tt.refresh)
			}
		}
	}
}

func TestSizeLimit(t *testing.T) { // CK-09
	p := newPolicy(t, cookie.Config{})
	room := 4096 - len(p.AccessName())
	if c, err := p.Access(strings.Repeat("v", room), time.Minute); err != nil {
		t.Errorf("CK-09 4096 bytes: got %v, want a cookie", err)
	} else if f, err := p.Read(http.Header{"Cookie": {c.Name + "=" + c.Value}}); err != nil || len(f.Access.Values) != 1 {
		t.Errorf("CK-09 4096 bytes: got %v, %v, want it read back", f, err)
	}
	if c, err := p.Access(strings.Repeat("v", room+1), time.Minute); c != nil || !errors.Is(err, cookie.ErrTooLarge) {
		t.Errorf("CK-09 4097 bytes: got %v, want ErrTooLarge", err)
	}
}

func TestValuesThatAreNotReadBackAreNotIssued(t *testing.T) { // CK-06, CK-15
	p := newPolicy(t, cookie.Config{})
	for _, v := range bad {
		for _, build := range []func(string, time.Duration) (*http.Cookie, error){p.Access, p.Refresh, p.CSRF} {
			if c, err := build(v, time.Minute); err == nil {
				t.Errorf("%q: got %v, want an error", v, c)
			} else if len(v) > 3 && strings.Contains(err.Error(), v) {
				t.Errorf("the error %q holds the value", err)
			}
		}
	}
}

func TestDeletionEmptiesTheBrowser(t *testing.T) { // CK-10
	for _, cfg := range []cookie.Config{
		{}, {Domain: "example.com"}, {Prefix: cookie.None}, {SameSite: http.SameSiteNoneMode}, {PublicURL: "http://localhost:8080"},
	} {
		p := newPolicy(t, cfg)
		jar, _ := cookiejar.New(nil)
		u, _ := url.Parse(public)
		if cfg.PublicURL != "" {
			u, _ = url.Parse(cfg.PublicURL)
		}
		a, _ := p.Access("a", time.Hour)
		r, _ := p.Refresh("r", 0)
		c, _ := p.CSRF("c", 0)
		jar.SetCookies(u, []*http.Cookie{a, r, c})
		if got := len(jar.Cookies(u)); got != 3 {
			t.Fatalf("%+v: got %d cookies in the jar, want 3", cfg, got)
		}
		w := httptest.NewRecorder()
		for _, c := range p.Clear() {
			if err := cookie.Set(w, c); err != nil {
				t.Fatal(err)
			}
		}
		jar.SetCookies(u, w.Result().Cookies())
		if got := jar.Cookies(u); len(got) != 0 {
			t.Errorf("CK-10 %+v: got %v left, want none", cfg, got)
		}
	}
}

func TestLegacyScopes(t *testing.T) { // CK-07
	names := func(cs []*http.Cookie) string {
		var out []string
		for _, c := range cs {
			if c.MaxAge >= 0 || c.Value != "" {
				t.Errorf("%v is not a deletion", c)
			}
			if err := cookie.Set(httptest.NewRecorder(), c); err != nil {
				t.Errorf("a browser would refuse %v: %v", c, err)
			}
			out = append(out, c.Name+" "+c.Path+" "+c.Domain)
		}
		return strings.Join(out, "\n")
	}

	if got := newPolicy(t, cookie.Config{}).Expired(); got != nil {
		t.Errorf("without scopes: got %v, want nil", got)
	}
	p := newPolicy(t, cookie.Config{LegacyScopes: []cookie.Scope{{Path: "/auth"}, {Domain: ".example.com"}}})
	want := strings.Join([]string{
		"access_token /auth ", "__Secure-access_token /auth ", "refresh_token /auth ", "__Secure-refresh_token /auth ",
		"csrftoken /auth ", "__Secure-csrftoken /auth ",
		"access_token / example.com", "__Secure-access_token / example.com", "refresh_token / example.com",
		"__Secure-refresh_token / example.com", "csrftoken / example.com", "__Secure-csrftoken / example.com",
	}, "\n")
	equal(t, "CK-07 __Host- names have no other scope", names(p.Expired()), want)
	equal(t, "Clear ends with the legacy scopes", names(p.Clear()[3:]), want)

	for _, cfg := range []cookie.Config{{}, {Prefix: cookie.None}, {Prefix: cookie.Secure}, {Domain: "example.com"}, {PublicURL: "http://localhost"}} {
		cfg.LegacyScopes = []cookie.Scope{{}, {Path: "/auth/"}}
		if cfg.Domain != "" {
			cfg.LegacyScopes = append(cfg.LegacyScopes, cookie.Scope{Domain: cfg.Domain})
		}
		p := newPolicy(t, cfg)
		names(p.Expired())
		live := p.Clear()[:3]
		for _, c := range p.Expired() {
			for _, l := range live {
				if c.Name == l.Name && c.Path == l.Path && c.Domain == l.Domain {
					t.Errorf("%+v: the live cookie %s would be deleted beside its new value", cfg, c.Name)
				}
			}
		}
		if a, b := p.Expired(), p.Expired(); len(a) > 0 && a[0] == b[0] {
			t.Error("two answers share a cookie")
		}
	}
}

func TestIsOurs(t *testing.T) { // design section 9
	p := newPolicy(t, cookie.Config{})
	for name, want := range map[string]bool{
		"__Host-access_token": true, "__Host-refresh_token": true, "__Host-csrftoken": true,
		"access_token": true, "refresh_token": true, "__Secure-access_token": true, "__Http-access_token": true, "__Host-Http-refresh_token": true,
		"ACCESS_TOKEN": true, "__host-Access_Token": true, "__HOST-__secure-refresh_token": true,
		" access_token": true, "access_token ": true, "\taccess_token\t": true, "access_token\u00a0": true, "access_token\xa0": true, "\x00access_token": true, `"access_token"`: true,
		"__Host- access_token": false, "access token": false,
		"csrftoken": false, "__Secure-csrftoken": false, "__host-csrftoken": false, " __Host-csrftoken": false,
		"access_token2": false, "my_access_token": false, "access": false, "": false, "__Host-": false, "sessionid": false,
	} {
		if got := p.IsOurs(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	bare := newPolicy(t, cookie.Config{PublicURL: "http://localhost", Access: "at", CSRF: "ct"})
	for name, want := range map[string]bool{"at": true, "AT": true, "__Host-at": true, "ct": true, "CT": false, "access_token": false} {
		if got := bare.IsOurs(name); got != want {
			t.Errorf("own names, %q: got %v, want %v", name, got, want)
		}
	}
}
