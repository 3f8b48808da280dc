package doctor

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func address(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The rows are RFC 6265bis, sections 5.6 and 5.7: which fields a browser takes, and by which rule it refuses the others.
func TestTheJarIsAsStrictAsBrowsers(t *testing.T) {
	const app, plain, local = "https://app.example.com/auth/login", "http://app.example.com/auth/login", "http://localhost:8080/auth/login"
	for _, tt := range []struct {
		from, line, page string
		refused          string
	}{
		{from: app, line: "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"},
		{from: app, line: "a=1"},
		{from: app, line: "__Host-a=1; Path=/; Secure"},
		{from: app, line: "__Host-a=1; path=/; SECURE"},
		{from: app, line: "__Host-a=1; Path=/", refused: kindPrefix},
		{from: app, line: "__Host-a=1; Secure", refused: kindPrefix},
		{from: app, line: "__Host-a=1; Secure; Path=/; Path=/app", refused: kindPrefix}, // the last one counts
		{from: app, line: "__Host-a=1; Secure; Path=/; Domain=app.example.com", refused: kindPrefix},
		{from: app, line: "__host-a=1; Secure; Path=/app", refused: kindPrefix}, // without case
		{from: app, line: "__Secure-a=1; Path=/app; Secure"},
		{from: app, line: "__Secure-a=1; Path=/", refused: kindPrefix},
		{from: plain, line: "a=1; Secure", refused: kindScheme},
		{from: plain, line: "__Host-a=1; Path=/; Secure", refused: kindScheme},
		{from: plain, line: "a=1"},
		{from: local, line: "a=1; Secure", refused: kindLocal}, // Safari
		{from: local, line: "__Host-a=1; Path=/; Secure", refused: kindLocal},
		{from: local, line: "__Host-a=1; Path=/", refused: kindPrefix},
		{from: local, line: "a=1; Path=/; HttpOnly; SameSite=Lax"},
		{from: "http://127.0.0.1:8080/", line: "a=1; Secure", refused: kindLocal},
		{from: "http://app.localhost/", line: "a=1; Secure", refused: kindLocal},
		{from: "http://localhost.example.com/", line: "a=1; Secure", refused: kindScheme},
		{from: app, line: "a=1; Domain=example.com"},
		{from: app, line: "a=1; Domain=.Example.COM"},
		{from: app, line: "a=1; Domain=app.example.com"},
		{from: app, line: "a=1; Domain=ample.com", refused: kindDomain},
		{from: app, line: "a=1; Domain=x.app.example.com", refused: kindDomain},
		{from: app, line: "a=1; Domain=com", refused: kindDomain},
		{from: "https://x.github.io/", line: "a=1; Domain=github.io", refused: kindDomain},
		{from: "https://github.io/", line: "a=1; Domain=github.io"}, // the host itself
		{from: "https://192.0.2.1/", line: "a=1; Domain=2.1", refused: kindDomain},
		{from: app, line: "a=1; SameSite=None", refused: kindSameSite},
		{from: app, line: "a=1; SameSite=None; Secure"},
		{from: app, line: "a=" + strings.Repeat("x", 4095)},
		{from: app, line: "a=" + strings.Repeat("x", 4096), refused: kindSize},
		{from: app, line: "a=1; Domain=" + strings.Repeat("x", 1025)}, // ignored
		{from: app, line: "a=1; SameSite=Lax", page: "https://www.example.com/"},
		{from: app, line: "a=1; SameSite=Lax", page: "https://www.example.net/", refused: kindOtherSite},
		{from: app, line: "a=1; SameSite=Lax; Secure", page: "http://www.example.com/", refused: kindOtherSite}, // another scheme
		{from: app, line: "a=1", page: "https://www.example.net/", refused: kindOtherSite},
		{from: app, line: "a=1; SameSite=None; Secure", page: "https://www.example.net/"},
	} {
		u := address(t, tt.from)
		page := u
		if tt.page != "" {
			page = address(t, tt.page)
		}
		c, ok := parseSetCookie(tt.line, time.Now())
		if !ok {
			t.Errorf("%.60s: no cookie", tt.line)
			continue
		}
		j := &jar{}
		got := j.store(c, u, page)
		if got.kind != tt.refused || (got.why == "") != (got.kind == "") {
			t.Errorf("%s sets %.60s for %s: got %+v, want %q", tt.from, tt.line, page, got, tt.refused)
		}
		if (len(j.entries) == 1) != (tt.refused == "") {
			t.Errorf("%.60s: %d in the jar", tt.line, len(j.entries))
		}
	}
}

func TestWhatIsNoCookieIsNotRead(t *testing.T) {
	for _, line := range []string{"", "=", ";Path=/", "a=1\x00; Path=/", "a=1\x7f"} {
		if c, ok := parseSetCookie(line, time.Now()); ok {
			t.Errorf("%q: got %+v", line, c)
		}
	}
	if c, ok := parseSetCookie("value alone", time.Now()); !ok || c.name != "" || c.value != "value alone" {
		t.Errorf("got %+v", c)
	}
}

// What is shown of a field has no value in it, wherever a token stands.
func TestAFieldIsShownWithoutItsValue(t *testing.T) {
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln"
	for _, line := range []string{
		"a=" + token + "; Path=/", "a=\"" + token + "\"", token, token + "=; Path=/" + token, "a=; X=" + token,
	} {
		c, ok := parseSetCookie(line, time.Now())
		if !ok || strings.Contains(c.line, "eyJ") || strings.Contains(c.line, "c2ln") {
			t.Errorf("%s: got %q", line, c.line)
		}
	}
}

// The rows say what is sent with a request of the page after the fields were stored one after the other.
func TestTheJarSendsWhatBrowsersSend(t *testing.T) {
	for _, tt := range []struct {
		name, to, page string
		lines          []string // set by https://app.example.com/auth/login
		want           string
	}{
		{"in order of the path", "https://app.example.com/auth/user", "", []string{"a=1; Path=/", "b=2; Path=/auth"}, "b=2; a=1"},
		{"not to another path", "https://app.example.com/authority", "", []string{"a=1; Path=/auth"}, ""},
		{"the path is that of the request without one", "https://app.example.com/auth/user", "", []string{"a=1"}, "a=1"},
		{"and nowhere else", "https://app.example.com/", "", []string{"a=1"}, ""},
		{"not to another host", "https://www.example.com/", "", []string{"a=1; Path=/"}, ""},
		{"to a host below the domain", "https://www.example.com/", "", []string{"a=1; Path=/; Domain=example.com"}, "a=1"},
		{"Secure not by http", "http://app.example.com/", "", []string{"a=1; Path=/; Secure"}, ""},
		{"Lax not for another site's script", "https://app.example.com/", "https://app.example.net/", []string{"a=1; Path=/; SameSite=Lax"}, ""},
		{"None for another site's script", "https://app.example.com/", "https://app.example.net/", []string{"a=1; Path=/; SameSite=None; Secure"}, "a=1"},
		{"the second one replaces the first", "https://app.example.com/", "", []string{"a=1; Path=/", "a=2; Path=/"}, "a=2"},
		{"unless its path differs", "https://app.example.com/auth/x", "", []string{"a=1; Path=/", "a=2; Path=/auth"}, "a=2; a=1"},
		{"or its domain", "https://app.example.com/", "", []string{"a=1; Path=/", "a=2; Path=/; Domain=app.example.com"}, "a=1; a=2"},
		{"deleted by Max-Age", "https://app.example.com/", "", []string{"a=1; Path=/", "a=; Path=/; Max-Age=0"}, ""},
		{"deleted by Expires", "https://app.example.com/", "", []string{"a=1; Path=/", "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}, ""},
		{"Max-Age beats Expires", "https://app.example.com/", "", []string{"a=1; Path=/; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}, "a=1"},
		{"a deletion of another path deletes nothing", "https://app.example.com/", "", []string{"a=1; Path=/", "a=; Path=/app; Max-Age=0"}, "a=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := address(t, "https://app.example.com/auth/login"), address(t, tt.to)
			page := to
			if tt.page != "" {
				page = address(t, tt.page)
			}
			j := &jar{}
			for _, line := range tt.lines {
				c, ok := parseSetCookie(line, time.Now())
				if no := j.store(c, from, from); !ok || no.kind != "" {
					t.Fatalf("%s: %+v", line, no)
				}
			}
			if got := j.field(to, page); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzParseSetCookie: whatever a server sends, nothing panics, and the value of a cookie is not shown.
func FuzzParseSetCookie(f *testing.F) {
	f.Add("__Host-access_token=eyJx.y.z; Path=/; Max-Age=287; HttpOnly; Secure; SameSite=Lax")
	f.Add("a=secret-value; Domain=.example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
	f.Add("=;=;;")
	f.Fuzz(func(t *testing.T, line string) {
		c, ok := parseSetCookie(line, time.Unix(1795934658, 0))
		if !ok {
			return
		}
		u, _ := url.Parse("https://app.example.com/auth/login")
		j := &jar{}
		if no := j.store(c, u, u); no.kind != "" {
			kindOf(no.kind)
		}
		j.field(u, u)
		if len(c.value) > 0 && !strings.HasPrefix(c.line, hideTokens(c.name)+"=…") {
			t.Errorf("%q is shown as %q", line, c.line)
		}
	})
}
