package csrf_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/csrf"
)

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
