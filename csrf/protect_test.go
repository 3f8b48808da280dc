package csrf_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenjar/tokenjar/csrf"
)

func TestProtect(t *testing.T) {
	deny := func(w http.ResponseWriter, _ *http.Request, err error) {
		if reason(t, err, csrf.OriginRule) == "" {
			t.Error("deny called without a reason")
		}
		w.WriteHeader(http.StatusForbidden)
	}
	h := newOrigins(t).Protect(own, deny, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	answer := func(method, target, origin string, more ...string) int {
		r := httptest.NewRequest(method, target, nil)
		r.Header = header(append(more, "Origin", origin)...)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	const evil = "https://evil.example"
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "get", "BREW"} {
		if got := answer(method, "/", own); got != http.StatusNoContent {
			t.Errorf("%s of our own: got %d, want 204", method, got)
		}
		want := http.StatusForbidden
		if method == "GET" || method == "HEAD" || method == "OPTIONS" {
			want = http.StatusNoContent
		}
		if got := answer(method, "/", evil); got != want {
			t.Errorf("%s from elsewhere: got %d, want %d", method, got, want)
		}
	}
	for _, override := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		t.Run("X-14 "+override+" is not asked", func(t *testing.T) {
			if got := answer("POST", "/?_method=GET", evil, override, "GET"); got != http.StatusForbidden {
				t.Errorf("got %d, want 403", got)
			}
		})
	}
}

// What net/http's own protection allows and ours does not; when an upgrade changes it, this says so (M-23 to M-26).
func TestStricterThanTheStandardLibrary(t *testing.T) {
	std := http.NewCrossOriginProtection()
	o := newOrigins(t)
	for _, tt := range []struct {
		name  string
		h     http.Header
		stdOK bool
		ours  string
	}{
		{"M-23 neither header", header(), true, ""},
		{"M-24 http Origin of an https host", header("Origin", "http://app.example.com"), true, "foreign_origin"},
		{"M-25 same-origin with a foreign Origin", header("Sec-Fetch-Site", "same-origin", "Origin", "https://evil.example"), true, "contradiction"},
		{"M-26 empty Origin", header("Origin", ""), true, ""},
		{"none", header("Sec-Fetch-Site", "none"), true, "no_initiator"},
		{"cross-site", header("Sec-Fetch-Site", "cross-site"), false, "cross_site"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "https://app.example.com/", nil)
			r.Header = tt.h
			if got := std.Check(r) == nil; got != tt.stdOK {
				t.Errorf("net/http: got allowed=%v, want %v", got, tt.stdOK)
			}
			if got := reason(t, o.Check(tt.h, own), csrf.OriginRule); got != tt.ours {
				t.Errorf("ours: got %q, want %q", got, tt.ours)
			}
		})
	}
}
