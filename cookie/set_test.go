package cookie_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
)

func TestSet(t *testing.T) {
	lax := http.SameSiteLaxMode
	for _, tt := range []struct {
		name string
		c    http.Cookie
		want string // the Set-Cookie field, "" when refused
	}{
		{"session cookie", http.Cookie{Name: "theme", Value: "dark", Path: "/", SameSite: lax}, "theme=dark; Path=/; SameSite=Lax"},
		{"token", http.Cookie{Name: "__Host-at", Value: jws, Path: "/", MaxAge: 300, HttpOnly: true, Secure: true, SameSite: lax}, "__Host-at=" + jws + "; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Lax"},
		{"life over 400 days is cut", http.Cookie{Name: "a", Value: "b", MaxAge: 1 << 30, SameSite: lax}, "a=b; Max-Age=34560000; SameSite=Lax"},
		{"deletion", http.Cookie{Name: "a", MaxAge: -1, SameSite: lax}, "a=; Max-Age=0; SameSite=Lax"},
		{"token that script can read", http.Cookie{Name: "at", Value: jws, Secure: true, SameSite: lax}, ""},
		{"encrypted token that script can read", http.Cookie{Name: "at", Value: jws + "..c2ln", Secure: true, SameSite: lax}, ""},
		{"token with a blank in its header that script can read", http.Cookie{Name: "at", Value: "IHt9.e30.c2ln", Secure: true, SameSite: lax}, ""},
		{"dotted value that is no token", http.Cookie{Name: "version", Value: "1.2.3", SameSite: lax}, "version=1.2.3; SameSite=Lax"},
		{"no SameSite", http.Cookie{Name: "a", Value: "b"}, ""},
		{"SameSite that writes no attribute", http.Cookie{Name: "a", Value: "b", SameSite: http.SameSiteDefaultMode}, ""},
		{"SameSite=None without Secure", http.Cookie{Name: "a", Value: "b", SameSite: http.SameSiteNoneMode}, ""},
		{"SameSite=None with Secure", http.Cookie{Name: "a", Value: "b", Secure: true, SameSite: http.SameSiteNoneMode}, "a=b; Secure; SameSite=None"},
		{"Partitioned without Secure", http.Cookie{Name: "a", Value: "b", Partitioned: true, SameSite: lax}, ""},
		{"__Host- without Secure", http.Cookie{Name: "__Host-a", Value: "b", Path: "/", SameSite: lax}, ""},
		{"__Host- with Domain", http.Cookie{Name: "__Host-a", Value: "b", Path: "/", Domain: "example.com", Secure: true, SameSite: lax}, ""},
		{"__Host- with another path", http.Cookie{Name: "__Host-a", Value: "b", Path: "/auth", Secure: true, SameSite: lax}, ""},
		{"__Host- without path", http.Cookie{Name: "__Host-a", Value: "b", Secure: true, SameSite: lax}, ""},
		{"CK-03 __hOST- falls under the same rule", http.Cookie{Name: "__hOST-a", Value: "b", Path: "/x", Secure: true, SameSite: lax}, ""},
		{"__secure- without Secure", http.Cookie{Name: "__secure-a", Value: "b", SameSite: lax}, ""},
		{"__Http- without HttpOnly", http.Cookie{Name: "__Http-a", Value: "b", Secure: true, SameSite: lax}, ""},
		{"__Host-Http- with Domain", http.Cookie{Name: "__Host-Http-a", Value: "b", Path: "/", Domain: "example.com", Secure: true, HttpOnly: true, SameSite: lax}, ""},
		{"__Host-Http- as it must be", http.Cookie{Name: "__Host-Http-a", Value: "b", Path: "/", Secure: true, HttpOnly: true, SameSite: lax}, "__Host-Http-a=b; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"CK-09 4097 bytes", http.Cookie{Name: "a", Value: strings.Repeat("b", 4096), SameSite: lax}, ""},
		{"CK-15 line break in the value", http.Cookie{Name: "a", Value: "b\r\nSet-Cookie: c=d", SameSite: lax}, ""},
		{"CK-15 attribute in the value", http.Cookie{Name: "a", Value: "b; Domain=evil.example", SameSite: lax}, ""},
		{"CK-15 line break in the name", http.Cookie{Name: "a\r\nb", Value: "c", SameSite: lax}, ""},
		{"CK-15 attribute in the path", http.Cookie{Name: "a", Value: "b", Path: "/x; Domain=evil.example", SameSite: lax}, ""},
		{"CK-15 line break in the path", http.Cookie{Name: "a", Value: "b", Path: "/x\r\ny", SameSite: lax}, ""},
		{"CK-15 attribute in the domain", http.Cookie{Name: "a", Value: "b", Domain: "example.com; Path=/x", SameSite: lax}, ""},
		{"relative path", http.Cookie{Name: "a", Value: "b", Path: "x", SameSite: lax}, ""},
		{"quoted", http.Cookie{Name: "a", Value: "b", Quoted: true, SameSite: lax}, ""},
		{"no name", http.Cookie{Value: "b", SameSite: lax}, ""},
		{"no value", http.Cookie{Name: "a", SameSite: lax}, ""},
		{"date that cannot be written", http.Cookie{Name: "a", Value: "b", Expires: time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), SameSite: lax}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			before := tt.c
			err := cookie.Set(w, &tt.c)
			equal(t, "Set-Cookie", strings.Join(w.Header()["Set-Cookie"], "|"), tt.want)
			if (err == nil) != (tt.want != "") {
				t.Errorf("got %v, want refused=%v", err, tt.want == "")
			}
			if !reflect.DeepEqual(before, tt.c) {
				t.Errorf("the caller's cookie changed to %+v", tt.c)
			}
			if err != nil && len(tt.c.Value) > 3 && strings.Contains(err.Error(), tt.c.Value) {
				t.Errorf("the error %q holds the value", err)
			}
		})
	}
	for _, v := range bad {
		if w := httptest.NewRecorder(); cookie.Set(w, &http.Cookie{Name: "a", Value: v, SameSite: lax}) == nil || len(w.Header()) != 0 {
			t.Errorf("%q: got %v, want refused", v, w.Header())
		}
	}
}

func TestDelete(t *testing.T) {
	p := newPolicy(t, cookie.Config{Domain: "example.com"})
	c, err := p.Refresh("v", time.Hour)
	must(t, c, err)
	c.Expires = time.Now()
	w := httptest.NewRecorder()
	if err := cookie.Delete(w, c); err != nil {
		t.Fatal(err)
	}
	equal(t, "Set-Cookie", w.Header().Get("Set-Cookie"), "__Secure-refresh_token=; Path=/; Domain=example.com; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
	if c.Value != "v" {
		t.Error("the caller's cookie changed")
	}
	w = httptest.NewRecorder()
	if err := cookie.Delete(w, &http.Cookie{Name: "__Host-a", Path: "/x", SameSite: http.SameSiteLaxMode}); err == nil || len(w.Header()) != 0 {
		t.Errorf("got %v and %v, want a deletion that browsers ignore refused", err, w.Header())
	}
}
