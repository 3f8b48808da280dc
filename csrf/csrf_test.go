package csrf_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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

func TestTrustedOrigins(t *testing.T) {
	for _, tt := range []struct {
		origin string
		ok     bool
	}{
		{"https://app.example.com", true},
		{"http://app.example.com", true},
		{"https://app.example.com:8443", true},
		{"http://localhost:5173", true},
		{"http://127.0.0.1:5173", true},
		{"http://[::1]:5173", true},
		{"https://xn--bcher-kva.example", true},
		{"https://my_app.example.com", true},
		{"", false},
		{"null", false},
		{"*", false},
		{"https://*.example.com", false},
		{"https://example.com:*", false},
		{"app.example.com", false},
		{"//app.example.com", false},
		{"https://", false},
		{"https:app.example.com", false},
		{"https://app.example.com/", false},
		{"https://app.example.com/path", false},
		{"https://app.example.com?x", false},
		{"https://app.example.com?", false},
		{"https://app.example.com#x", false},
		{"https://app.example.com#", false},
		{"https://user@app.example.com", false},
		{"https://@app.example.com", false},
		{"https://app.example.com.", false},
		{"https://app..example.com", false},
		{"https://.example.com", false},
		{"https://App.example.com", false},
		{"HTTPS://app.example.com", false},
		{"https://app.example.com:443", false},
		{"http://app.example.com:80", false},
		{"https://app.example.com:", false},
		{"https://app.example.com:0", false},
		{"https://app.example.com:08443", false},
		{"https://app.example.com:65536", false},
		{"https://app.example.com:+1", false},
		{"https://bücher.example", false},
		{"https://b%C3%BCcher.example", false},
		{"https://app%2eexample.com", false},
		{"https://app.example.com\\@evil.example", false},
		{" https://app.example.com", false},
		{"https://app.example.com ", false},
		{"https://app.example.com\n", false},
		{"https://app.example.com, https://b.example.com", false},
		{"https://127.1", false},
		{"https://0x7f.0.0.1", false},
		{"https://127.0.0.0x1", false},
		{"https://127.0.0.01", false},
		{"https://2130706433", false},
		{"https://256.256.256.256", false},
		{"https://[0:0:0:0:0:0:0:1]", false},
		{"https://[::FFFF:1]", false},
		{"https://[::ffff:127.0.0.1]", false},
		{"https://[::ffff:7f00:1]", true},
		{"https://[fe80::1%25eth0]", false},
		{"https://::1", false},
		{"ws://app.example.com", false},
		{"file:///x", false},
		{"chrome-extension://abcdefgh", false},
		{"javascript:alert(1)", false},
	} {
		t.Run("X-09 "+tt.origin, func(t *testing.T) {
			o, err := csrf.NewOrigins([]string{tt.origin})
			if (err == nil) != tt.ok {
				t.Fatalf("got %v, want accepted=%v", err, tt.ok)
			}
			if tt.ok {
				if err := o.Check(header("Origin", tt.origin, "Sec-Fetch-Site", "cross-site"), own); err != nil {
					t.Errorf("got %v, want the listed origin to pass", err)
				}
			}
		})
	}
	_, err := csrf.NewOrigins([]string{"https://ok.example", "null", "https://x.example/", "https://*.example"})
	for _, want := range []string{`2: "null"`, `3: "https://x.example/"`, `browsers send it: "https://x.example"`, `4: "https://*.example"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want every mistake named, with %s", err, want)
		}
	}
}

func TestSerializeOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://App.Example.com:443/path?q#f": "https://app.example.com",
		"HTTP://LOCALHOST:80/":                 "http://localhost",
		"http://localhost:8080":                "http://localhost:8080",
		"https://example.com:80":               "https://example.com:80",
		"http://[::1]:8080/x":                  "http://[::1]:8080",
		"http://[0:0::1]/":                     "http://[::1]",
		"https://u:p@example.com":              "",
		"ftp://example.com":                    "",
		"mailto:a@example.com":                 "",
		"https:///path":                        "",
		"/path":                                "",
		"https://example.com./":                "",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := csrf.SerializeOrigin(u)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", in, got, err, want)
		}
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

func key(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }

func newTokens(t testing.TB, k []byte, older ...[]byte) *csrf.Tokens {
	t.Helper()
	tokens, err := csrf.NewTokens(k, older...)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokenRule(t *testing.T) {
	tokens := newTokens(t, key('a'), key('b'))
	const session = "01J0VICTIM"
	good := tokens.Issue(session)
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[42])
	twin := good[:42] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1]) // the same bytes, other spare bits
	for _, tt := range []struct {
		name    string
		h       http.Header
		session string
		want    string
	}{
		{"the session's own token", header(csrf.Header, good), session, ""},
		{"header name in another case", header("x-csrftoken", good), session, ""},
		{"token of the older key", header(csrf.Header, newTokens(t, key('b')).Issue(session)), session, ""},
		{"token of an unknown key", header(csrf.Header, newTokens(t, key('c')).Issue(session)), session, "mismatch"},
		{"X-01 no header", header(), session, "missing"},
		{"X-01 empty header", header(csrf.Header, ""), session, "missing"},
		{"X-01 only in the cookie", header("Cookie", "__Host-csrftoken="+good), session, "missing"},
		{"X-02 header and cookie equal, MAC wrong", header(csrf.Header, strings.Repeat("A", 43), "Cookie", "__Host-csrftoken="+strings.Repeat("A", 43)), session, "mismatch"},
		{"X-02 header right, cookie another", header(csrf.Header, good, "Cookie", "__Host-csrftoken="+strings.Repeat("A", 43)), session, ""},
		{"X-03 the attacker's own valid pair", header(csrf.Header, tokens.Issue("01J0ATTACKER"), "Cookie", "__Host-csrftoken="+tokens.Issue("01J0ATTACKER")), session, "mismatch"},
		{"X-03 session id that continues ours", header(csrf.Header, good), session + "X", "mismatch"},
		{"X-03 session id that begins ours", header(csrf.Header, good), session[:5], "mismatch"},
		{"X-18 twice the right one", header(csrf.Header, good, csrf.Header, good), session, "duplicate_header"},
		{"X-18 right one, then an empty one", header(csrf.Header, good, csrf.Header, ""), session, "duplicate_header"},
		{"X-18 length 1", header(csrf.Header, good[:1]), session, "malformed"},
		{"X-18 length 31", header(csrf.Header, good[:31]), session, "malformed"},
		{"X-18 length 33", header(csrf.Header, good[:33]), session, "malformed"},
		{"X-18 one less", header(csrf.Header, good[:42]), session, "malformed"},
		{"X-18 one more", header(csrf.Header, good+"A"), session, "malformed"},
		{"X-18 4 kB", header(csrf.Header, strings.Repeat("A", 4096)), session, "malformed"},
		{"X-18 non-ASCII", header(csrf.Header, strings.Repeat("é", 21)+"A"), session, "malformed"},
		{"X-18 blank inside", header(csrf.Header, good[:20]+" "+good[21:]), session, "malformed"},
		{"X-18 blank before", header(csrf.Header, " "+good), session, "malformed"},
		{"X-18 line break inside", header(csrf.Header, good[:20]+"\n"+good[21:]), session, "malformed"},
		{"X-18 padding", header(csrf.Header, good[:42]+"="), session, "malformed"},
		{"X-18 standard base64", header(csrf.Header, "++++"+good[4:]), session, "malformed"},
		{"X-18 masked variant of 64 characters", header(csrf.Header, strings.Repeat("a", 64)), session, "malformed"},
		{"X-18 other spelling of the same bytes", header(csrf.Header, twin), session, "mismatch"},
		{"X-18 other case", header(csrf.Header, strings.ToUpper(good)), session, "mismatch"},
		{"X-18 malformed cookie does not disable the check", header(csrf.Header, strings.Repeat("A", 43), "Cookie", "__Host-csrftoken=\x00"), session, "mismatch"},
		{"no session, no token", header(csrf.Header, tokens.Issue("")), "", "missing"},
		{"no session, some token", header(csrf.Header, good), "", "no_session"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := reason(t, tokens.Check(tt.h, tt.session), csrf.TokenRule); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestIssue(t *testing.T) {
	tokens := newTokens(t, key('a'), key('b'))
	if got, want := tokens.Issue("s"), newTokens(t, key('a')).Issue("s"); got != want {
		t.Errorf("got %q, want the token of the first key, %q", got, want)
	}
	if tokens.Issue("s") != tokens.Issue("s") {
		t.Error("two tokens of one session differ")
	}
	if got := tokens.Issue(""); got != "" {
		t.Errorf("got %q for no session, want none", got)
	}
	for _, session := range []string{"s", strings.Repeat("s", 300), "s\x00", "é"} {
		got := tokens.Issue(session)
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(got); err != nil || len(raw) != 32 {
			t.Errorf("%q: got %q, want 32 bytes in base64url", session, got)
		}
		if err := tokens.Check(header(csrf.Header, got), session); err != nil {
			t.Errorf("%q: got %v, want its own token to pass", session, err)
		}
	}
}

func TestNewTokens(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys [][]byte
		want string
	}{
		{"one key", [][]byte{key('a')}, ""},
		{"long key", [][]byte{[]byte(strings.Repeat("a", 64))}, ""},
		{"no key", [][]byte{nil}, "key 1 has 0 bytes"},
		{"31 bytes", [][]byte{key('a')[:31]}, "key 1 has 31 bytes"},
		{"short older key", [][]byte{key('a'), key('b')[:8]}, "key 2 has 8 bytes"},
		{"same key twice", [][]byte{key('a'), key('b'), key('a')}, "key 3 equals key 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := csrf.NewTokens(tt.keys[0], tt.keys[1:]...)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	k := key('a')
	tokens := newTokens(t, k)
	before := tokens.Issue("s")
	clear(k)
	if tokens.Issue("s") != before {
		t.Error("the caller's slice is still the key")
	}
}

func TestProtect(t *testing.T) {
	deny := func(w http.ResponseWriter, _ *http.Request, err error) {
		if reason(t, err, csrf.OriginRule) == "" {
			t.Error("deny called without a reason")
		}
		w.WriteHeader(http.StatusForbidden)
	}
	h := newOrigins(t).Protect(own, deny, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "get", "BREW"} {
		for origin, foreign := range map[string]bool{own: false, "https://evil.example": true} {
			r := httptest.NewRequest(method, "/", nil)
			r.Header.Set("Origin", origin)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := http.StatusNoContent
			if safe := method == "GET" || method == "HEAD" || method == "OPTIONS"; foreign && !safe {
				want = http.StatusForbidden
			}
			if w.Code != want {
				t.Errorf("%s from %s: got %d, want %d", method, origin, w.Code, want)
			}
		}
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

// FuzzOrigin: an Origin that passes is, to a URL parser, the same origin as ours or as the trusted one; and what
// NewOrigins takes is its own serialisation.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{own, own + ":443", own + ".", own + "/", own + "@evil.example", "null", "", "https://[::1]:1", "https://spa.example.net:8443", "https://127.1"} {
		f.Add(s, "same-origin", true)
		f.Add(s, "", false)
		f.Add(s, "cross-site", true)
	}
	const trusted = "https://spa.example.net:8443"
	o, err := csrf.NewOrigins([]string{trusted})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin, site string, sendSite bool) {
		h := http.Header{"Origin": {origin}}
		if sendSite {
			h["Sec-Fetch-Site"] = []string{site}
		}
		if o.Check(h, own) == nil && origin != "" {
			u, err := url.Parse(origin)
			if err != nil {
				t.Fatalf("accepted %q, which does not parse", origin)
			}
			same := u.Scheme == "https" && u.User == nil && u.Path == "" &&
				(u.Hostname() == "app.example.com" && u.Port() == "" && (!sendSite || site == "same-origin") || u.Hostname() == "spa.example.net" && u.Port() == "8443")
			if !same {
				t.Fatalf("accepted %q with Sec-Fetch-Site %q (sent: %v)", origin, site, sendSite)
			}
		}
		if listed, err := csrf.NewOrigins([]string{origin}); err == nil {
			u, err := url.Parse(origin)
			if err != nil {
				t.Fatalf("listed %q, which does not parse", origin)
			}
			if got, err := csrf.SerializeOrigin(u); err != nil || got != origin {
				t.Fatalf("listed %q, whose serialisation is %q, %v", origin, got, err)
			}
			if origin != strings.ToLower(origin) || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
				t.Fatalf("listed %q, which is more than an origin", origin)
			}
			if listed.Check(header("Origin", origin), own) != nil {
				t.Fatalf("listed %q, which is then refused", origin)
			}
		}
	})
}

// FuzzCSRF: a token that passes is the one that was issued for this session.
func FuzzCSRF(f *testing.F) {
	tokens, err := csrf.NewTokens(key('a'), key('b'))
	if err != nil {
		f.Fatal(err)
	}
	old, err := csrf.NewTokens(key('b'))
	if err != nil {
		f.Fatal(err)
	}
	for _, session := range []string{"", "s", "01J0VICTIM", "s\x00"} {
		f.Add(tokens.Issue(session), session)
		f.Add(old.Issue(session), session)
		f.Add(tokens.Issue("other"), session)
		f.Add(tokens.Issue(session)+"A", session)
	}
	f.Fuzz(func(t *testing.T, sent, session string) {
		err := tokens.Check(http.Header{"X-Csrftoken": {sent}}, session)
		issued := session != "" && (sent == tokens.Issue(session) || sent == old.Issue(session))
		if (err == nil) != issued {
			t.Fatalf("token %q for session %q: got %v, issued=%v", sent, session, err, issued)
		}
	})
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

func BenchmarkTokenCheck(b *testing.B) {
	tokens := newTokens(b, key('a'))
	h := header(csrf.Header, tokens.Issue("01J0VICTIM"))
	b.ReportAllocs()
	for b.Loop() {
		if err := tokens.Check(h, "01J0VICTIM"); err != nil {
			b.Fatal(err)
		}
	}
}
