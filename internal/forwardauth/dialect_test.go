package forwardauth_test

import (
	"bufio"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/forwardauth"
	"github.com/tokenjar/tokenjar/problem"
)

// asking reads a request as a server does; its lines end in LF here.
func asking(t *testing.T, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	r.RemoteAddr = "10.0.0.2:40000"
	return r
}

// complete is what each proxy sends for PUT https://app.example.com/api/x?y=1 of 203.0.113.7.
var complete = map[forwardauth.Dialect]string{
	forwardauth.Nginx: `GET /forward-auth HTTP/1.0
Host: 127.0.0.1:9090
X-Original-Method: PUT
X-Original-URI: /api/x?y=1
X-Original-Host: app.example.com
X-Forwarded-For: 203.0.113.7
X-Forwarded-Proto: https`,
	forwardauth.Traefik: `GET /forward-auth HTTP/1.1
Host: tokenjar:9090
X-Forwarded-Method: PUT
X-Forwarded-Uri: /api/x?y=1
X-Forwarded-Host: app.example.com
X-Forwarded-For: 203.0.113.7
X-Forwarded-Proto: https`,
	forwardauth.Caddy: `GET /forward-auth HTTP/1.1
Host: app.example.com
X-Forwarded-Method: PUT
X-Forwarded-Uri: /api/x?y=1
X-Forwarded-Host: app.example.com
X-Forwarded-For: 203.0.113.7
X-Forwarded-Proto: https`,
	forwardauth.Envoy: `PUT /forward-auth/api/x?y=1 HTTP/1.1
Host: app.example.com
Content-Length: 0
X-Forwarded-For: 203.0.113.7
X-Forwarded-Proto: https`,
}

func TestEachProxySaysWhichRequestItAsksAbout(t *testing.T) {
	for dialect, text := range complete {
		r := asking(t, text)
		if !dialect.Asks(r.RequestURI) {
			t.Errorf("%s: is not recognized", dialect)
		}
		d, err := dialect.Describe(r)
		if err != nil {
			t.Errorf("%s: %v", dialect, err)
			continue
		}
		if got := d.Request; got.Method != "PUT" || got.RequestURI != "/api/x?y=1" || got.Host != "app.example.com" ||
			got.RemoteAddr != "203.0.113.7:0" || d.PlainHTTP {
			t.Errorf("%s: got %s %s of %s from %s, plain %v", dialect, got.Method, got.RequestURI, got.Host, got.RemoteAddr, d.PlainHTTP)
		}
	}
}

func TestOneDialectIsSpokenAndNoOther(t *testing.T) {
	for dialect, text := range complete {
		for other := range complete {
			if other == dialect || other == forwardauth.Caddy && dialect == forwardauth.Traefik || other == forwardauth.Traefik && dialect == forwardauth.Caddy {
				continue // the two speak alike
			}
			r := asking(t, text)
			if other.Asks(r.RequestURI) {
				if _, err := other.Describe(r); err == nil || problem.From(err).Code != problem.ProxyMisconfigured {
					t.Errorf("%s takes what %s says: %v", other, dialect, err)
				}
			}
		}
	}
	// What the others would say beside it changes nothing.
	others := "\nX-Original-Method: GET\nX-Original-URI: /public\nX-Original-URL: https://evil.example/public\nX-Original-Host: evil.example" +
		"\nX-Forwarded-Method: GET\nX-Forwarded-Uri: /public\nX-Forwarded-Host: evil.example\nX-HTTP-Method-Override: GET\nX-Rewrite-URL: /public" +
		"\nForwarded: for=198.51.100.66;host=evil.example;proto=http\nX-Real-IP: 198.51.100.66" +
		"\nX_Original_Method: GET\nX_Original_URI: /public\nX_Forwarded_Method: GET\nX-Original-Method-: GET"
	for dialect, text := range complete {
		r := asking(t, text)
		more := asking(t, "GET / HTTP/1.1\nHost: x"+others).Header
		for name, values := range more {
			if _, own := r.Header[name]; !own {
				r.Header[name] = values
			}
		}
		d, err := dialect.Describe(r)
		if err != nil || d.Request.Method != "PUT" || d.Request.RequestURI != "/api/x?y=1" || d.Request.Host != "app.example.com" || d.Request.RemoteAddr != "203.0.113.7:0" {
			t.Errorf("%s: got %+v, %v", dialect, d.Request, err)
		}
	}
}

func TestAFieldThatIsMissingOrThereTwiceIsTheProxysFault(t *testing.T) {
	fields := map[forwardauth.Dialect][]string{
		forwardauth.Nginx:   {"X-Original-Method", "X-Original-Uri", "X-Original-Host"},
		forwardauth.Traefik: {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
		forwardauth.Caddy:   {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
	}
	for dialect, names := range fields {
		for _, name := range names {
			for what, change := range map[string]func(http.Header){
				"missing":          func(h http.Header) { h.Del(name) },
				"empty":            func(h http.Header) { h.Set(name, "") },
				"twice":            func(h http.Header) { h.Add(name, "GET") },
				"twice, the same":  func(h http.Header) { h.Add(name, h.Get(name)) },
				"empty and full":   func(h http.Header) { h[name] = []string{"", h.Get(name)} },
				"spelt with _":     func(h http.Header) { h[strings.ReplaceAll(name, "-", "_")] = h[name]; h.Del(name) },
				"spelt with blank": func(h http.Header) { h[name+" "] = h[name]; h.Del(name) },
			} {
				r := asking(t, complete[dialect])
				change(r.Header)
				_, err := dialect.Describe(r)
				if p := problem.From(err); err == nil || p.Code != problem.ProxyMisconfigured || p.Status != 403 || p.Action != problem.FixConfig || !strings.Contains(p.Detail, name) {
					t.Errorf("%s, %s %s: got %v", dialect, name, what, err)
				}
			}
		}
	}
	r := asking(t, complete[forwardauth.Envoy])
	r.Host = ""
	if _, err := forwardauth.Envoy.Describe(r); err == nil {
		t.Error("envoy without a host is believed")
	}
}

func TestOnlyThatPathIsAsked(t *testing.T) {
	for _, row := range []struct {
		dialect forwardauth.Dialect
		target  string
		asks    bool
	}{
		{"nginx", "/forward-auth", true}, {"nginx", "/forward-auth?rd=/x", true}, {"nginx", "/forward-auth/", false}, {"nginx", "/forward-auth/api", false},
		{"nginx", "/forward-auth;x", false}, {"nginx", "/Forward-Auth", false}, {"nginx", "/forward%2dauth", false}, {"nginx", "http://a/forward-auth", false},
		{"traefik", "/forward-auth", true}, {"caddy", "/forward-auth", true}, {"caddy", "/", false}, {"", "/forward-auth", false}, {"apache", "/forward-auth", false},
		{"envoy", "/forward-auth/", true}, {"envoy", "/forward-auth/api/x?y", true}, {"envoy", "/forward-auth", false}, {"envoy", "/forward-auth?/x", false},
		{"envoy", "/forward-authx", false}, {"envoy", "/api", false}, {"envoy", "http://a/forward-auth/x", false}, {"envoy", "*", false}, {"", "/forward-auth/x", false},
	} {
		if got := row.dialect.Asks(row.target); got != row.asks {
			t.Errorf("%q at %q: got %v", row.dialect, row.target, got)
		}
	}
}

func TestOfTheHeaderOnlyWhatIsJudgedGoesOn(t *testing.T) {
	for dialect, text := range complete {
		r := asking(t, text+"\nCookie: a=1\nAuthorization: Bearer x\nOrigin: https://app.example.com\nSec-Fetch-Site: same-origin\nX-CSRFToken: y"+
			"\nConnection: Cookie, Authorization\nX-Passive: 1\nUser-Agent: z\nX_CSRFToken: w\nX-Auth-User: eve\nAccept: */*")
		d, err := dialect.Describe(r)
		if err != nil {
			t.Fatal(err)
		}
		names := slices.Sorted(maps.Keys(d.Request.Header))
		if want := []string{"Authorization", "Cookie", "Origin", "Sec-Fetch-Site", "X-Csrftoken"}; !slices.Equal(names, want) {
			t.Errorf("%s: got %v", dialect, names)
		}
		if d.Request.Body != http.NoBody || d.Request.ContentLength != 0 {
			t.Errorf("%s: has a body", dialect)
		}
	}
}

func TestAHandshakeIsKnownAlsoWithoutUpgrade(t *testing.T) {
	for field, is := range map[string]bool{
		"Upgrade: websocket": true, "Upgrade: WebSocket": true, "Upgrade: h2c": true, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==": true,
		"Sec-WebSocket-Version: 13": true, "Sec-WebSocket-Protocol: x": true, "Sec-WebSocket-Extensions: permessage-deflate": true,
		"sec-websocket-key: x": true, "Sec-Fetch-Mode: websocket": true, "Sec-Fetch-Mode: cors": false, "Accept: x": false, "Sec_WebSocket_Key: x": false,
	} {
		d, err := forwardauth.Nginx.Describe(asking(t, complete[forwardauth.Nginx]+"\n"+field))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Request.Header.Get("Upgrade") == "websocket"; got != is {
			t.Errorf("%s: got %v, want %v", field, got, is)
		}
	}
}

func TestTheClientIsTheLastAddressAndTheRestIsForTrustedProxies(t *testing.T) {
	for _, row := range []struct{ forwarded, peer, rest string }{
		{"203.0.113.7", "203.0.113.7:0", ""},
		{"198.51.100.66, 203.0.113.7", "203.0.113.7:0", "198.51.100.66"},
		{"198.51.100.66,203.0.113.7:4711", "203.0.113.7:0", "198.51.100.66"},
		{"2001:db8::1", "[2001:db8::1]:0", ""}, {"[2001:db8::1]:80", "[2001:db8::1]:0", ""},
		{"", "10.0.0.2:40000", ""}, {"unknown", "10.0.0.2:40000", ""}, {"203.0.113.7, nonsense", "10.0.0.2:40000", ""}, {"203.0.113.7,", "10.0.0.2:40000", ""},
	} {
		r := asking(t, complete[forwardauth.Caddy])
		if r.Header.Del("X-Forwarded-For"); row.forwarded != "" {
			r.Header.Set("X-Forwarded-For", row.forwarded)
		}
		d, err := forwardauth.Caddy.Describe(r)
		if err != nil || d.Request.RemoteAddr != row.peer || d.Request.Header.Get("X-Forwarded-For") != row.rest {
			t.Errorf("%q: got %s and %q, %v", row.forwarded, d.Request.RemoteAddr, d.Request.Header.Get("X-Forwarded-For"), err)
		}
	}
	r := asking(t, complete[forwardauth.Caddy]+"\nX-Forwarded-For: 198.51.100.9") // two fields are one list
	if d, err := forwardauth.Caddy.Describe(r); err != nil || d.Request.RemoteAddr != "198.51.100.9:0" || d.Request.Header.Get("X-Forwarded-For") != "203.0.113.7" {
		t.Errorf("two fields: got %+v, %v", d.Request, err)
	}
}

func TestTheSchemeIsWhatTheNearestProxySays(t *testing.T) {
	for scheme, plain := range map[string]bool{
		"https": false, "HTTPS": false, "wss": false, "http, https": false, "http": true, "ws": true, "https, http": true, "": true, "https,": true, "httpss": true, "on": true,
	} {
		r := asking(t, complete[forwardauth.Traefik])
		r.Header["X-Forwarded-Proto"] = []string{scheme}
		if d, err := forwardauth.Traefik.Describe(r); err != nil || d.PlainHTTP != plain {
			t.Errorf("%q: got %v, %v", scheme, d.PlainHTTP, err)
		}
	}
	r := asking(t, complete[forwardauth.Nginx])
	r.Header.Del("X-Forwarded-Proto")
	if d, err := forwardauth.Nginx.Describe(r); err != nil || d.PlainHTTP {
		t.Errorf("not said: got %v, %v", d.PlainHTTP, err)
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add("nginx", "GET", "/api/x?y=1", "app.example.com", "a=1", "203.0.113.7", "https")
	f.Add("envoy", "POST", "/api/%2e%2e/x", "app.example.com:443", "", "1.2.3.4, [::1]:80", "http, https")
	f.Add("traefik", "", "http://evil/x", "", "\x00", ",", "")
	f.Fuzz(func(t *testing.T, dialect, method, target, host, cookie, forwarded, scheme string) {
		r := httptest.NewRequest("GET", forwardauth.Path, nil)
		for name, value := range map[string]string{
			"X-Original-Method": method, "X-Original-Uri": target, "X-Original-Host": host, "X-Forwarded-Method": method, "X-Forwarded-Uri": target,
			"X-Forwarded-Host": host, "Cookie": cookie, "X-Forwarded-For": forwarded, "X-Forwarded-Proto": scheme,
		} {
			r.Header[name] = []string{value}
		}
		d := forwardauth.Dialect(dialect)
		if d == forwardauth.Envoy {
			r.Method, r.RequestURI, r.Host = method, forwardauth.Path+target, host
		}
		got, err := d.Describe(r)
		if err != nil {
			return
		}
		if got.Request.Method != method || got.Request.Host != host || got.Request.RequestURI != target {
			t.Errorf("got %q %q %q, want %q %q %q", got.Request.Method, got.Request.Host, got.Request.RequestURI, method, host, target)
		}
	})
}
