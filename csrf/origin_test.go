package csrf_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/tokenjar/tokenjar/csrf"
)

const own = "https://app.example.com"

func newOrigins(t testing.TB, trusted ...string) *csrf.Origins {
	t.Helper()
	o, err := csrf.NewOrigins(trusted)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// header builds a header as net/http parses it, from name and value in turn.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// reason returns the reason of a refusal by rule, "" when there was none.
func reason(t testing.TB, err error, rule csrf.Rule) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *csrf.Error
	if !errors.As(err, &e) || e.Rule != rule || errors.Is(err, csrf.ErrOrigin) != (rule == csrf.OriginRule) || errors.Is(err, csrf.ErrToken) != (rule == csrf.TokenRule) {
		t.Fatalf("got %T %v, want an *Error of rule %d with its sentinel", err, err, rule)
	}
	return e.Reason
}

func TestOriginRule(t *testing.T) {
	o := newOrigins(t, "https://spa.example.net", "http://localhost:5173", "https://spa.example.net:8443")
	const (
		origin, site = "Origin", "Sec-Fetch-Site"
		evil         = "https://evil.example"
	)
	for _, tt := range []struct {
		name string
		h    http.Header
		want string // reason, "" passes
	}{
		{"same-origin with our own Origin", header(site, "same-origin", origin, own), ""},
		{"same-origin without Origin", header(site, "same-origin"), ""},
		{"M-26 same-origin with an empty Origin", header(site, "same-origin", origin, ""), ""},
		{"our own Origin without Sec-Fetch-Site", header(origin, own), ""},
		{"M-23 X-08 neither header passes this rule", header(), ""},
		{"M-26 X-08 an empty Origin counts as none", header(origin, ""), ""},

		{"trusted Origin alone", header(origin, "https://spa.example.net"), ""},
		{"trusted Origin with same-site", header(origin, "https://spa.example.net", site, "same-site"), ""},
		{"trusted Origin with cross-site", header(origin, "https://spa.example.net", site, "cross-site"), ""},
		{"trusted Origin with none", header(origin, "https://spa.example.net", site, "none"), ""},
		{"trusted Origin with an unknown value", header(origin, "https://spa.example.net", site, "future"), ""},
		{"trusted Origin with a port", header(origin, "http://localhost:5173", site, "cross-site"), ""},

		{"X-05 foreign Origin, Referer of the same site", header(origin, evil, "Referer", own+"/page"), "foreign_origin"},
		{"X-05 our own Origin, foreign Referer", header(origin, own, "Referer", evil), ""},
		{"X-05 cross-site, Referer of the same site", header(site, "cross-site", "Referer", own+"/page"), "cross_site"},
		{"X-06 M-24 http Origin of our own host", header(origin, "http://app.example.com"), "foreign_origin"},
		{"X-06 M-24 http Origin of our own host, same-site", header(origin, "http://app.example.com", site, "same-site"), "foreign_origin"},
		{"X-26 what a proxy says of the scheme is not asked, own Origin", header(origin, own, "X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example"), ""},
		{"X-26 what a proxy says of the scheme is not asked, http Origin", header(origin, "http://app.example.com", "X-Forwarded-Proto", "http"), "foreign_origin"},
		{"X-26 what a proxy says of the host is not asked", header(origin, evil, "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example;proto=https"), "foreign_origin"},
		{"X-07 no header but a foreign Referer is for rule 2", header("Referer", evil), ""},
		{"X-07 Referer does not let a foreign Origin through", header(origin, evil, "Referer", "https://app.example.com@evil.example/"), "foreign_origin"},

		{"X-09 our host on another port", header(origin, own+":8443"), "foreign_origin"},
		{"X-09 default port written", header(origin, own+":443"), "foreign_origin"},
		{"X-09 trusted host on another port", header(origin, "https://spa.example.net:9443"), "foreign_origin"},
		{"X-09 trusted host with another scheme", header(origin, "http://spa.example.net"), "foreign_origin"},
		{"X-09 our origin as a prefix", header(origin, own+".evil"), "foreign_origin"},
		{"X-09 our host as a suffix", header(origin, "https://evilapp.example.com"), "foreign_origin"},
		{"X-09 subdomain", header(origin, "https://x.app.example.com"), "foreign_origin"},
		{"X-09 parent domain", header(origin, "https://example.com"), "foreign_origin"},
		{"X-09 trailing dot", header(origin, own+"."), "foreign_origin"},
		{"X-09 trailing slash", header(origin, own+"/"), "foreign_origin"},
		{"X-09 userinfo", header(origin, "https://app.example.com@evil.example"), "foreign_origin"},
		{"X-09 upper case", header(origin, "https://APP.example.com"), "foreign_origin"},
		{"X-09 upper-case scheme", header(origin, "HTTPS://app.example.com"), "foreign_origin"},
		{"X-09 wildcard", header(origin, "*"), "foreign_origin"},
		{"X-09 IDN in Unicode", header(origin, "https://app.exаmple.com"), "foreign_origin"},
		{"X-09 blank before it", header(origin, " "+own), "foreign_origin"},
		{"X-09 two origins in one field", header(origin, own+" "+evil), "foreign_origin"},
		{"X-09 two origins in one field, by comma", header(origin, own+", "+own), "foreign_origin"},

		{"X-10 M-25 same-origin with a foreign Origin", header(site, "same-origin", origin, evil), "contradiction"},
		{"X-10 cross-site with our own Origin", header(site, "cross-site", origin, own), "contradiction"},
		{"X-10 same-site with our own Origin", header(site, "same-site", origin, own), "contradiction"},
		{"X-10 none with our own Origin", header(site, "none", origin, own), "contradiction"},
		{"X-10 unknown value with our own Origin", header(site, "future", origin, own), "contradiction"},
		{"X-10 two Origin fields, ours twice", header(origin, own, origin, own), "duplicate_header"},
		{"X-10 two Origin fields, ours first", header(origin, own, origin, evil), "duplicate_header"},
		{"X-10 two Origin fields, trusted first", header(origin, "https://spa.example.net", origin, evil), "duplicate_header"},
		{"X-10 two Origin fields, empty first", header(origin, "", origin, evil), "duplicate_header"},
		{"X-10 two Sec-Fetch-Site fields", header(site, "same-origin", site, "same-origin"), "duplicate_header"},
		{"X-10 two Sec-Fetch-Site fields with our own Origin", header(site, "same-origin", site, "cross-site", origin, own), "duplicate_header"},
		{"X-10 two Sec-Fetch-Site fields with a trusted Origin", header(site, "same-origin", site, "cross-site", origin, "https://spa.example.net"), "duplicate_header"},
		{"X-10 unknown value", header(site, "future"), "unknown_value"},
		{"X-10 empty Sec-Fetch-Site", header(site, ""), "unknown_value"},
		{"X-10 value in another case", header(site, "Same-Origin"), "unknown_value"},
		{"X-10 value with a parameter", header(site, "same-origin;x"), "unknown_value"},

		{"X-11 same-site without Origin", header(site, "same-site"), "same_site"},
		{"X-11 same-site of a sibling", header(site, "same-site", origin, "https://blog.example.com"), "foreign_origin"},
		{"X-11 none", header(site, "none"), "no_initiator"},
		{"X-11 cross-site", header(site, "cross-site"), "cross_site"},

		{"X-21 null", header(origin, "null"), "null_origin"},
		{"X-21 null with cross-site", header(origin, "null", site, "cross-site"), "null_origin"},
		{"X-21 null with same-origin", header(origin, "null", site, "same-origin"), "null_origin"},
		{"X-21 null in another case", header(origin, "Null"), "foreign_origin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := reason(t, o.Check(tt.h, own), csrf.OriginRule); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			// A handshake is judged the same, except that it needs an Origin.
			want := tt.want
			if len(tt.h["Origin"]) <= 1 && tt.h.Get("Origin") == "" {
				want = "missing"
			}
			if got := reason(t, o.CheckHandshake(tt.h, own), csrf.OriginRule); got != want {
				t.Errorf("X-22 handshake: got %q, want %q", got, want)
			}
		})
	}
}

// With several frontends, each is its own origin and the others are foreign.
func TestOwnOriginIsThatOfTheFrontend(t *testing.T) {
	o := newOrigins(t)
	h := header("Origin", own)
	if err := o.Check(h, own); err != nil {
		t.Errorf("got %v, want accepted", err)
	}
	if got := reason(t, o.Check(h, "https://other.example.com"), csrf.OriginRule); got != "foreign_origin" {
		t.Errorf("got %q, want foreign_origin", got)
	}
	if got := reason(t, o.Check(header("Origin", "null"), ""), csrf.OriginRule); got != "null_origin" {
		t.Errorf("without an own origin: got %q, want null_origin", got)
	}
}

// A handshake cannot carry the header of rule 2, so it needs an Origin; beyond that it is judged as in TestOriginRule.
func TestX22HandshakesNeedAnOrigin(t *testing.T) {
	o := newOrigins(t, "https://spa.example.net")
	for _, tt := range []struct {
		name string
		h    http.Header
		want string
	}{
		{"our own", header("Origin", own, "Sec-Fetch-Site", "same-origin"), ""},
		{"a trusted one", header("Origin", "https://spa.example.net", "Sec-Fetch-Site", "cross-site"), ""},
		{"cross-site with a cookie", header("Origin", "https://evil.example", "Cookie", "__Host-access_token=x"), "foreign_origin"},
		{"another port, which is same-site", header("Origin", own+":8443", "Sec-Fetch-Site", "same-site"), "foreign_origin"},
		{"the scheme of the handshake", header("Origin", "wss://app.example.com"), "foreign_origin"},
		{"none", header("Sec-Fetch-Site", "same-origin"), "missing"},
		{"an empty one", header("Origin", ""), "missing"},
		{"two", header("Origin", own, "Origin", own), "duplicate_header"},
		{"null", header("Origin", "null"), "null_origin"},
	} {
		t.Run("X-22 "+tt.name, func(t *testing.T) {
			if got := reason(t, o.CheckHandshake(tt.h, own), csrf.OriginRule); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHasBrowserSignal(t *testing.T) {
	for _, tt := range []struct {
		h    http.Header
		want bool
	}{
		{header(), false},
		{header("Origin", ""), false},
		{header("Referer", own), false},
		{header("Sec-Fetch-Mode", "cors"), false},
		{header("Origin", "null"), true},
		{header("Origin", own), true},
		{header("Origin", "", "Origin", own), true},
		{header("Sec-Fetch-Site", "none"), true},
		{header("Sec-Fetch-Site", ""), true},
	} {
		if got := csrf.HasBrowserSignal(tt.h); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.h, got, tt.want)
		}
	}
}

func BenchmarkOriginCheck(b *testing.B) {
	o := newOrigins(b, "https://spa.example.net")
	h := header("Origin", own, "Sec-Fetch-Site", "same-origin")
	b.ReportAllocs()
	for b.Loop() {
		if err := o.Check(h, own); err != nil {
			b.Fatal(err)
		}
	}
}
