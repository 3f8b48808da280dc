package pathrule

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var badPaths = map[string]string{
	"P-13: dot segments":             "/api/../x /api/.. /.. /../x /./api /api/./x /. /api/.",
	"P-13: encoded dot segments":     "/api/%2e%2e/admin /api/%2E%2e/admin /api/.%2e/admin /api/%2e./admin /api/%2e/x /api/x/%2e /%2e%2e/%2e%2e/etc",
	"P-14: encoded slashes":          "/api/..%2fadmin /api/%2f..%2fx /api%2fx /%2F /auth%2flogin",
	"P-14: backslashes":              `/api/..%5cadmin /api\x /api/%5c /\auth /..\ /auth%5Clogin`,
	"P-17: parameters hide dots":     "/api/..;/admin /api/.;/x /api/..;a=b/x /api/%2e%2e;/x /api/..%3b/x /.;x",
	"P-18: empty segments":           "//auth/login /auth//login //api//x /auth/login// //",
	"P-19: fragments":                "/api/x#/public /# /auth/login#",
	"control characters":             "/a%00 /a%0a /a%0d%0ab /a%1b /a%7f /a%c2%80 /a%c2%9f /a\x00 /a\x01 /a\x7f",
	"eight-bit bytes":                "/\xff /caf\xc3\xa9 /a\x80",
	"escapes that are no UTF-8":      "/%ff /%c3 /%c3%28 /%e2%82 /%f5%80%80%80 /%ed%a0%80 /%c0%ae%c0%ae/x /%c0%af",
	"escapes that are none":          "/% /%2 /%g0 /%2g /a%zz /%%32%65",
	"no path":                        "* a http: x/y",
	"blank":                          "/a\x20b",
	"IIS escapes":                    "/%u002e%u002e/",
	"P-15: mixed with encoded slash": "/%252e/%2f",
	"dots with blanks around":        "/a/..%20/b /a/%20../b /a/%20.%20/b /a/..%20 /a/..%20;x/b /a/..%C2%A0/b /a/%E3%80%80..",
	"dots of other scripts":          "/a/%EF%BC%8E%EF%BC%8E/b /a/%E2%80%A4./b /a/%E2%80%A5/b /a/%EF%B9%92%EF%B9%92 /a/.%EF%BC%8E;x/b",
	"slashes of other scripts":       "/a/..%EF%BC%8Fb /a/..%EF%BC%BCb /a%EF%BC%8F/b /a/..%EF%B9%A8b",
	"dots with what is not seen":     "/a/.%E2%80%8B./b /a/.%EF%BB%BF./b /a/.%C2%AD./b /a/.%E2%80%8D.%E2%80%8D/b /a/%E2%80%AE../b /a/.%EF%B8%8F./b",
	"semicolons of other scripts":    "/a/..%EF%BC%9Bx/b /a/..%CD%BEx/b",
	"too long":                       "/" + strings.Repeat("a", 8<<10),
}

var goodPaths = map[string]string{ // raw to canonical
	"/": "/", "/auth/login": "/auth/login", "/auth/login/": "/auth/login/", "/%61uth/%6cogin": "/auth/login", "/auth/%6Cogin": "/auth/login",
	"/a%20b": "/a%20b", "/caf%c3%a9": "/caf%C3%A9", "/a;x=1/b": "/a;x=1/b", "/...": "/...", "/..a": "/..a", "/a..": "/a..", "/.well-known/jwks.json": "/.well-known/jwks.json",
	"/%7euser": "/~user", "/a%3fb": "/a%3Fb", "/a%23b": "/a%23b", "/a+b": "/a+b", "/a%2bb": "/a%2Bb", "/a:b@c!$&'()*,=": "/a:b@c!$&'()*,=",
	"/%252e%252e/x": "/%252e%252e/x", "/%25252e": "/%25252e", "/a|b": "/a|b", `/a"b`: `/a"b`, "/{id}": "/{id}", "/a%3Bb": "/a%3Bb", "/%2d%5f%2E%7e": "/-_.~",
	"/a/%20": "/a/%20", "/a%EF%BC%8Fb": "/a%EF%BC%8Fb", "/%E6%97%A5%EF%BC%8E": "/%E6%97%A5%EF%BC%8E", "/a/b%20": "/a/b%20", "/a/...%20": "/a/...%20",
	"/" + strings.Repeat("a", 8<<10-1): "/" + strings.Repeat("a", 8<<10-1),
}

func TestCanonicalPath(t *testing.T) {
	for name, list := range badPaths {
		for raw := range strings.SplitSeq(list, " ") {
			if name == "blank" {
				raw = list
			}
			if got, err := Canonical(raw); err == nil {
				t.Errorf("%s: %q is taken as %q", name, raw, got)
			}
		}
	}
	for raw, want := range goodPaths {
		if got, err := Canonical(raw); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", raw, got, err, want)
		}
	}
	if _, err := Canonical(strings.Repeat("/", 3000)); err == nil {
		t.Error("P-18: 3,000 slashes are taken")
	}
	if _, err := Canonical(""); err == nil {
		t.Error("an empty path is taken")
	}
}

func TestOtherReadings(t *testing.T) {
	for raw, want := range map[string][]string{
		"/": nil, "/auth/login": nil, "/auth/login/": nil, "/.well-known/jwks.json": nil, "/a~b_c-d/0": nil,
		"/AUTH/Login":     {"/auth/login"},
		"/auth;x=1/login": {"/auth/login"},
		"/auth%3Bx/login": {"/auth;x/login", "/auth/login"},
		"/Auth;X/y;z;;":   {"/Auth/y", "/auth/y", "/auth;x/y;z;;"},
		"/a%2Bb":          {"/a+b"},
		"/a%2Fb":          {"/a/b"},
		"/a/;x/b":         {"/a//b", "/a/b"},
		"/a./b%20/c.":     {"/a/b/c", "/a./b /c.", "/a/b%20/c"},
		"/a/.../b":        {},
		"/a/%20/b":        {"/a//b", "/a/b", "/a/ /b"},
		"/a;":             {"/a"},
		"/%252e%252e/x":   {"/%2e%2e/x"},
		"/%E2%84%AAey":    {"/key", "/\u212aey"},
		"/%EF%BC%A1pi":    {"/api", "/\uff21pi"},
		"/ap%C4%B1":       {"/api"},
		"/a%C5%BFk":       {"/ask"},
		"/a%E2%80%8Bpi":   {"/api"},
		"/a%EF%BC%8Fb":    {"/a/b"},
		"/a%EF%BC%9Bx":    {"/a"},
		"/acce%C3%9F":     {"/access"},
	} {
		got := OtherReadings(raw)
		for _, reading := range want {
			if !slices.Contains(got, reading) {
				t.Errorf("%q: got %q, which lacks %q", raw, got, reading)
			}
		}
		if want == nil && got != nil {
			t.Errorf("%q: got %q, want none", raw, got)
		}
	}
	// The most that a path can cost.
	long := "/" + strings.Repeat("%EF%BC%A1;X./ /%3B", 8<<10/18)
	if n := len(OtherReadings(long)); n > 63 {
		t.Errorf("%d readings", n)
	}
}

// FuzzPath: what is accepted is in its one form, and means the same to other readers.
func FuzzPath(f *testing.F) {
	for raw := range goodPaths {
		f.Add(raw)
	}
	for _, list := range badPaths {
		for raw := range strings.SplitSeq(list, " ") {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		canonical, err := Canonical(raw)
		if err != nil {
			if canonical != "" {
				t.Errorf("%q: refused, yet %q is returned", raw, canonical)
			}
			return
		}
		if again, err := Canonical(canonical); err != nil || again != canonical {
			t.Errorf("%q becomes %q, and that %q, %v", raw, canonical, again, err)
		}
		before, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("%q is accepted, but no path to net/url: %v", raw, err)
		}
		after, err := url.PathUnescape(canonical)
		if err != nil || after != before {
			t.Errorf("%q means %q, its canonical form %q means %q, %v", raw, before, canonical, after, err)
		}
		if !utf8.ValidString(after) || strings.ContainsFunc(after, unicode.IsControl) || strings.ContainsAny(after, `\`) {
			t.Errorf("%q means %q", raw, after)
		}
		// A reader that cleans finds nothing to clean, but for slashes that are left where a segment was nothing but what is
		// cut; and OtherReadings has the one without those.
		readings := append(OtherReadings(canonical), canonical, after)
		for _, reading := range readings {
			if strings.Contains(reading, "//") {
				if !slices.Contains(readings, oneSlash(reading)) {
					t.Errorf("%q: %q is one reading, but not %q", raw, reading, oneSlash(reading))
				}
				continue
			}
			if cleaned := path.Clean(reading); cleaned != strings.TrimSuffix(reading, "/") && reading != "/" {
				t.Errorf("%q: path.Clean makes %q of %q", raw, cleaned, reading)
			}
		}
		if strings.ContainsAny(canonical, "#? \\") {
			t.Errorf("%q becomes %q", raw, canonical)
		}
	})
}
