package cookie_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
)

// jws is a token in form; nothing here verifies it.
const jws = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"

// written returns the Set-Cookie fields that set adds to an answer, and holds that an error adds none.
func written(t testing.TB, set func(http.ResponseWriter) error) (string, error) {
	t.Helper()
	w := httptest.NewRecorder()
	err := set(w)
	if got := len(w.Header()["Set-Cookie"]); err == nil && got != 1 || err != nil && len(w.Header()) != 0 {
		t.Errorf("got %d Set-Cookie fields in %v with %v", got, w.Header(), err)
	}
	return w.Header().Get("Set-Cookie"), err
}

func TestJWTAttributes(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    cookie.JWT
		want string // attributes and all, with VALUE and LIFE
	}{
		{"the zero value", cookie.JWT{}, "__Host-access_token=VALUE; Path=/LIFE; HttpOnly; Secure; SameSite=Lax"},
		{"own name, a quarter of an hour", cookie.JWT{Name: "at", MaxAge: 15 * time.Minute}, "__Host-at=VALUE; Path=/LIFE; HttpOnly; Secure; SameSite=Lax"},
		{"a bare name is spelled out", cookie.JWT{Prefix: cookie.None}, "access_token=VALUE; Path=/LIFE; HttpOnly; Secure; SameSite=Lax"},
		{"Strict", cookie.JWT{SameSite: http.SameSiteStrictMode}, "__Host-access_token=VALUE; Path=/LIFE; HttpOnly; Secure; SameSite=Strict"},
		{"for every site", cookie.JWT{SameSite: http.SameSiteNoneMode, Partitioned: true}, "__Host-access_token=VALUE; Path=/LIFE; HttpOnly; Secure; SameSite=None; Partitioned"},
		{"with a Domain the prefix is __Secure-", cookie.JWT{Domain: ".Example.com"}, "__Secure-access_token=VALUE; Path=/; Domain=example.comLIFE; HttpOnly; Secure; SameSite=Lax"},
		{"with a Path the prefix is __Secure-", cookie.JWT{Path: "/auth/"}, "__Secure-access_token=VALUE; Path=/auth/LIFE; HttpOnly; Secure; SameSite=Lax"},
		{"Secure by wish", cookie.JWT{Prefix: cookie.Secure}, "__Secure-access_token=VALUE; Path=/LIFE; HttpOnly; Secure; SameSite=Lax"},
		{"loopback http", cookie.JWT{InsecureAllowHTTP: true}, "access_token=VALUE; Path=/LIFE; HttpOnly; SameSite=Lax"},
		{"loopback http with a Domain", cookie.JWT{InsecureAllowHTTP: true, Domain: "dev.localhost", Path: "/api"}, "access_token=VALUE; Path=/api; Domain=dev.localhostLIFE; HttpOnly; SameSite=Lax"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := func(value, life string) string {
				return strings.NewReplacer("VALUE", value, "LIFE", life).Replace(tt.want)
			}
			life := ""
			if tt.c.MaxAge > 0 {
				life = "; Max-Age=900"
			}
			set := func(w http.ResponseWriter) error { return tt.c.Set(w, jws) }
			got, err := written(t, set)
			equal(t, "Set", got, want(jws, life))
			name, _, _ := strings.Cut(tt.want, "=")
			equal(t, "CookieName", tt.c.CookieName(), name)
			got, errFor := written(t, func(w http.ResponseWriter) error { return tt.c.SetFor(w, jws, time.Minute) })
			equal(t, "SetFor", got, want(jws, "; Max-Age=60"))
			got, errDelete := written(t, tt.c.Delete)
			equal(t, "CK-10 Delete", got, want("", "; Max-Age=0"))
			if err := errors.Join(err, errFor, errDelete, tt.c.Check()); err != nil {
				t.Errorf("got %v, want none", err)
			}
		})
	}
}

func TestJWTLife(t *testing.T) {
	for _, tt := range []struct {
		life time.Duration
		want string // of MaxAge
		rest string // of SetFor, "" for an error
	}{
		{0, "", ""},
		{time.Nanosecond, "; Max-Age=1", "; Max-Age=1"}, // Max-Age=0 would delete it
		{299*time.Second + 999*time.Millisecond, "; Max-Age=299", "; Max-Age=299"},
		{400 * 24 * time.Hour, "; Max-Age=34560000", "; Max-Age=34560000"},
		{400*24*time.Hour + time.Second, "; Max-Age=34560000", "; Max-Age=34560000"},
		{1<<63 - 1, "; Max-Age=34560000", "; Max-Age=34560000"},
		{-1, "error", ""},
		{-1 << 63, "error", ""},
	} {
		for what, set := range map[string]func(http.ResponseWriter) error{
			"JWT":  func(w http.ResponseWriter) error { return cookie.JWT{MaxAge: tt.life}.Set(w, jws) },
			"CSRF": func(w http.ResponseWriter) error { return cookie.CSRF{With: cookie.JWT{MaxAge: tt.life}}.Set(w, "v") },
		} {
			got, err := written(t, set)
			if (err != nil) != (tt.want == "error") || err == nil && !strings.Contains(got, "; Path=/"+tt.want+"; ") {
				t.Errorf("%s with MaxAge %v: got %s, %v, want %q", what, tt.life, got, err, tt.want)
			}
		}
		for what, set := range map[string]func(http.ResponseWriter) error{
			"JWT":  func(w http.ResponseWriter) error { return cookie.JWT{MaxAge: time.Hour}.SetFor(w, jws, tt.life) },
			"CSRF": func(w http.ResponseWriter) error { return cookie.CSRF{With: cookie.JWT{}}.SetFor(w, "v", tt.life) },
		} {
			got, err := written(t, set)
			if (err != nil) != (tt.rest == "") || err == nil && !strings.Contains(got, "; Path=/"+tt.rest+"; ") {
				t.Errorf("%s for %v: got %s, %v, want %q", what, tt.life, got, err, tt.rest)
			}
		}
	}
}

func TestJWTImpossibleMixes(t *testing.T) { // CK-11
	none := http.SameSiteNoneMode
	for _, tt := range []struct {
		name string
		c    cookie.JWT
		want string // fields named by the errors
	}{
		{"SameSite=None without Secure", cookie.JWT{SameSite: none, InsecureAllowHTTP: true}, "SameSite"},
		{"SameSite that writes no attribute", cookie.JWT{SameSite: http.SameSiteDefaultMode}, "SameSite"},
		{"unknown SameSite", cookie.JWT{SameSite: 9}, "SameSite"},
		{"Partitioned without Secure", cookie.JWT{Partitioned: true, InsecureAllowHTTP: true}, "Partitioned"},
		{"__Host- with Domain", cookie.JWT{Prefix: cookie.Host, Domain: "example.com"}, "Prefix"},
		{"__Host- with Path", cookie.JWT{Prefix: cookie.Host, Path: "/auth"}, "Prefix"},
		{"__Host- without Secure", cookie.JWT{Prefix: cookie.Host, InsecureAllowHTTP: true}, "Prefix"},
		{"__Secure- without Secure", cookie.JWT{Prefix: cookie.Secure, InsecureAllowHTTP: true}, "Prefix"},
		{"unknown prefix", cookie.JWT{Prefix: "__Host-"}, "Prefix"},
		{"Domain is a public suffix", cookie.JWT{Domain: "co.uk"}, "Domain"},
		{"Domain is a shared host's suffix", cookie.JWT{Domain: ".GitHub.io"}, "Domain"},
		{"Domain is a top-level domain", cookie.JWT{Domain: "com"}, "Domain"},
		{"Domain is a single label", cookie.JWT{Domain: "intranet"}, "Domain"},
		{"Domain is localhost", cookie.JWT{Domain: "localhost", InsecureAllowHTTP: true}, "Domain"},
		{"Domain is an IPv4 address", cookie.JWT{Domain: "192.0.2.1"}, "Domain"},
		{"Domain is the end of an IPv4 address", cookie.JWT{Domain: "2.1"}, "Domain"},
		{"Domain is an IPv6 address", cookie.JWT{Domain: "[::1]"}, "Domain"},
		{"Domain with a trailing dot", cookie.JWT{Domain: "example.com."}, "Domain"},
		{"Domain is a dot", cookie.JWT{Domain: "."}, "Domain"},
		{"Domain with a port", cookie.JWT{Domain: "example.com:443"}, "Domain"},
		{"Domain with an attribute", cookie.JWT{Domain: "example.com; Path=/x"}, "Domain"},
		{"Domain with a line break", cookie.JWT{Domain: "example.com\r\nX: y"}, "Domain"},
		{"Domain in Unicode", cookie.JWT{Domain: "bücher.example"}, "Domain"},
		{"public Domain over http", cookie.JWT{Domain: "example.com", InsecureAllowHTTP: true}, "InsecureAllowHTTP"},
		{"Path without slash", cookie.JWT{Path: "auth"}, "Path"},
		{"Path with an attribute", cookie.JWT{Path: "/auth; Secure"}, "Path"},
		{"Path with a line break", cookie.JWT{Path: "/auth\r\nX: y"}, "Path"},
		{"Path with a quote", cookie.JWT{Path: `/"auth`}, "Path"},
		{"Path with a backslash", cookie.JWT{Path: `/\auth`}, "Path"},
		{"Path with a query", cookie.JWT{Path: "/auth?x"}, "Path"},
		{"Path that browsers ignore for its length", cookie.JWT{Path: "/" + strings.Repeat("a", 1024)}, "Path"},
		{"name with a blank", cookie.JWT{Name: "access token"}, "Name"},
		{"name with an equals sign", cookie.JWT{Name: "a=b"}, "Name"},
		{"name with a line break", cookie.JWT{Name: "a\r\nSet-Cookie:b"}, "Name"},
		{"name in Unicode", cookie.JWT{Name: "zugriff_schlüssel"}, "Name"},
		{"name of the old attributes", cookie.JWT{Name: "$Path"}, "Name"},
		{"name with a prefix", cookie.JWT{Name: "__Host-access_token"}, "Name"},
		{"name with a prefix in another case", cookie.JWT{Name: "__secure-a", Prefix: cookie.None}, "Name"},
		{"name that leaves no room", cookie.JWT{Name: strings.Repeat("n", 4096)}, "Name"},
		{"negative life", cookie.JWT{MaxAge: -time.Second}, "MaxAge"},
		{"every mistake is told", cookie.JWT{Name: "a b", Prefix: cookie.Host, MaxAge: -1, SameSite: none, Path: "x", Domain: "com", Partitioned: true, InsecureAllowHTTP: true}, "Name MaxAge Path Domain SameSite Partitioned Prefix Prefix Prefix"},
	} {
		t.Run("CK-11 "+tt.name, func(t *testing.T) {
			err := tt.c.Check()
			if err == nil {
				t.Fatal("got accepted, want refused")
			}
			var fields []string
			for line := range strings.SplitSeq(err.Error(), "\n") {
				rest, _ := strings.CutPrefix(line, "cookie: ")
				field, _, _ := strings.Cut(rest, ":")
				fields = append(fields, field)
			}
			equal(t, "fields", strings.Join(fields, " "), tt.want)

			csrf := cookie.CSRF{With: tt.c}
			for what, set := range map[string]func(http.ResponseWriter) error{
				"Set":         func(w http.ResponseWriter) error { return tt.c.Set(w, jws) },
				"SetFor":      func(w http.ResponseWriter) error { return tt.c.SetFor(w, jws, time.Minute) },
				"Delete":      tt.c.Delete,
				"CSRF.Set":    func(w http.ResponseWriter) error { return csrf.Set(w, "v") },
				"CSRF.SetFor": func(w http.ResponseWriter) error { return csrf.SetFor(w, "v", time.Minute) },
				"CSRF.Delete": csrf.Delete,
			} {
				// A life of its own stands in for MaxAge, but does not hide a mistake in it.
				if got, got2 := written(t, set); got2 == nil || got2.Error() != err.Error() {
					t.Errorf("%s: got %s, %v, want %v", what, got, got2, err)
				}
			}
		})
	}
}

func TestJWTValues(t *testing.T) { // CK-06, CK-09, CK-15
	c := cookie.JWT{MaxAge: time.Minute}
	b64 := base64.RawURLEncoding.EncodeToString
	head := b64([]byte(`{"alg":"ES256"}`))
	room := cookie.MaxSize - len(c.CookieName()) - len(head+"..c2ln")
	for _, tt := range []struct {
		name  string
		token string
		ok    bool
	}{
		{"a JWS", jws, true},
		{"one with a payload that is no JSON", head + "." + b64([]byte("text")) + ".c2ln", true},
		{"CK-09 4096 bytes", head + "." + strings.Repeat("A", room) + ".c2ln", true},
		{"CK-09 4097 bytes", head + "." + strings.Repeat("A", room+1) + ".c2ln", false},
		{"CK-09 a megabyte", strings.Repeat("A", 1<<20), false},
		{"empty", "", false},
		{"one part", head, false},
		{"two parts", head + ".c2ln", false},
		{"four parts", jws + ".c2ln", false},
		{"an encrypted token", jws + ".c2ln.c2ln", false},
		{"an unsecured token", head + ".e30.", false},
		{"no payload", head + "..c2ln", false},
		{"no header", ".e30.c2ln", false},
		{"dots", "..", false},
		{"a header that is no JSON", "header.e30.c2ln", false},
		{"a header that is no object", b64([]byte(`["x"]`)) + ".e30.c2ln", false},
		{"a header with more behind it", b64([]byte(`{}x`)) + ".e30.c2ln", false},
		{"a header with a blank before it", b64([]byte(` {"alg":"none"}`)) + ".e30.c2ln", false},
		{"padding", head + ".e30=.c2ln", false},
		{"standard base64", head + ".++++.c2ln", false},
		{"stray bits", head + ".e30.c2lo1", false},
		{"stray bits of another kind", head + ".e31.c2ln", false},
		{"with its scheme", "Bearer " + jws, false},
		{"CK-06 quoted", `"` + jws + `"`, false},
		{"CK-06 blank behind", jws + " ", false},
		{"CK-06 percent escape", jws + "%41", false},
		{"CK-15 line break inside", head + ".e30\r\n.c2ln", false},
		{"CK-15 line break behind", jws + "\n", false},
		{"CK-15 another field", jws + "\r\nSet-Cookie: a=b", false},
		{"CK-15 attribute", jws + "; Domain=evil.example", false},
		{"CK-15 NUL", jws + "\x00", false},
		{"CK-15 8-bit", jws + "\xff", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := written(t, func(w http.ResponseWriter) error { return c.Set(w, tt.token) })
			if (err == nil) != tt.ok || tt.ok && !strings.HasPrefix(got, c.CookieName()+"="+tt.token+"; ") {
				t.Errorf("got %.200s, %v, want accepted=%v", got, err, tt.ok)
			}
			if large := len(c.CookieName()+tt.token) > cookie.MaxSize; errors.Is(err, cookie.ErrTooLarge) != large {
				t.Errorf("got %v, want ErrTooLarge=%v", err, large)
			}
			if err != nil && len(tt.token) > 3 && strings.Contains(err.Error(), tt.token) {
				t.Errorf("the error %q holds the token", err)
			}
			if tt.ok {
				f, err := c.Read(http.Header{"Cookie": {"a=b; " + c.CookieName() + "=" + tt.token + "; access_token=tossed"}})
				if err != nil || len(f.Values) != 1 || f.Values[0] != tt.token || f.Invalid != 0 {
					t.Errorf("got %+v, %v, want it read back", f, err)
				}
			}
		})
	}
}

func TestCK19OnlyTheCSRFCookieIsForScript(t *testing.T) {
	for _, with := range []cookie.JWT{{}, {Name: "at", Prefix: cookie.None}, {Domain: "example.com"}, {Path: "/auth"}, {InsecureAllowHTTP: true}, {SameSite: http.SameSiteNoneMode, Partitioned: true}} {
		token, err := written(t, func(w http.ResponseWriter) error { return with.Set(w, jws) })
		if err != nil || !strings.Contains(token, "; HttpOnly") {
			t.Errorf("CK-19 %+v: got %s, %v, want HttpOnly", with, token, err)
		}
		c := cookie.CSRF{With: with}
		got, err := written(t, func(w http.ResponseWriter) error { return c.Set(w, "v") })
		_, attributes, _ := strings.Cut(token, ";")
		want := c.CookieName() + "=v;" + strings.Replace(attributes, "; HttpOnly", "", 1)
		if err != nil {
			t.Error(err)
		}
		equal(t, "CSRF cookie", got, want)
		equal(t, "CSRF name", c.CookieName(), strings.TrimSuffix(strings.TrimSuffix(with.CookieName(), "access_token"), "at")+"csrftoken")
		gone, err := written(t, c.Delete)
		equal(t, "CK-10 CSRF deletion", strings.Replace(gone, "; Max-Age=0", "", 1), strings.Replace(got, "=v", "=", 1))
		if err != nil {
			t.Error(err)
		}
	}

	b64 := base64.RawURLEncoding.EncodeToString
	for _, v := range append([]string{
		jws, jws + ".c2ln.c2ln", "a.b.c", "a.b", ".", b64([]byte(` {"alg":"ES256"}`)) + ".e30.c2ln", b64([]byte("\n{}")) + ".e30.", strings.Repeat("v", 4096),
	}, bad...) {
		if got, err := written(t, func(w http.ResponseWriter) error { return cookie.CSRF{}.Set(w, v) }); err == nil {
			t.Errorf("CK-19 %.50q: got %.100s, want refused", v, got)
		}
		// Set, too, knows a token when it sees one.
		script := http.Cookie{Name: "a", Value: v, SameSite: http.SameSiteLaxMode}
		if got, err := written(t, func(w http.ResponseWriter) error { return cookie.Set(w, &script) }); err == nil && strings.HasPrefix(v, "e") && strings.Contains(v, ".") {
			t.Errorf("CK-19 Set, %q: got %s, want refused", v, got)
		}
	}
	for _, c := range []cookie.CSRF{{Name: "access_token"}, {Name: "Access_Token"}, {With: cookie.JWT{Name: "CSRFtoken"}}, {Name: "__Host-a"}, {Name: "a b"}} {
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), "cookie: CSRF.Name: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: got %v, want one mistake in CSRF.Name", c, err)
		}
	}
}
