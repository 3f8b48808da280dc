package clientip_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/clientip"
)

func request(peer string, forwarded ...string) *http.Request {
	return &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": forwarded}}
}

func TestClientIP(t *testing.T) { // P-07, L-10
	const proxy = "10.0.0.1:4000"
	for _, tc := range []struct {
		name string
		req  *http.Request
		want string
	}{
		{"an untrusted peer is believed nothing", request("192.0.2.9:1", "198.51.100.1"), "192.0.2.9"},
		{"a trusted peer is believed", request(proxy, "198.51.100.1"), "198.51.100.1"},
		{"the rightmost untrusted address counts", request(proxy, "203.0.113.66, 198.51.100.1, 10.0.0.2"), "198.51.100.1"},
		{"fields are joined in order", request(proxy, "203.0.113.66", "198.51.100.1,10.0.0.2"), "198.51.100.1"},
		{"garbage stops the walk", request(proxy, "198.51.100.1, unknown, 10.0.0.2"), "10.0.0.2"},
		{"an empty element stops the walk", request(proxy, "198.51.100.1,, 10.0.0.2"), "10.0.0.2"},
		{"only proxies", request(proxy, "10.0.0.3, 10.0.0.2"), "10.0.0.3"},
		{"no header", request(proxy), "10.0.0.1"},
		{"mapped into IPv6", request("[::ffff:10.0.0.1]:4000", "::ffff:198.51.100.1"), "198.51.100.1"},
		{"IPv6 with a zone", request(proxy, "fe80::1%eth0"), "fe80::1"},
		{"IPv6 in upper case", request(proxy, "2001:DB8::1"), "2001:db8::1"},
		{"an address with a port is garbage", request(proxy, "198.51.100.1:80"), "10.0.0.1"},
		{"a thousand hops", request(proxy, strings.Repeat("203.0.113.66, ", 1000)+"198.51.100.1"), "198.51.100.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := clientip.New([]string{"10.0.0.0/8", "::ffff:172.16.0.1"})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.ClientIP(tc.req); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestWithoutTrustedProxiesNoHeaderIsLookedAt(t *testing.T) {
	r, err := clientip.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	req := request("10.0.0.1:1", "198.51.100.1")
	req.Header.Set("X-Forwarded-Proto", "http")
	if got := r.ClientIP(req); got != "10.0.0.1" || r.SaysHTTP(req) {
		t.Errorf("got %s, %v", got, r.SaysHTTP(req))
	}
}

func TestOnlyATrustedProxySaysHTTP(t *testing.T) {
	r, err := clientip.New([]string{"10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		peer  string
		proto []string
		want  bool
	}{
		{"10.0.0.1:1", []string{"http"}, true},
		{"10.0.0.1:1", []string{"HTTP"}, true},
		{"10.0.0.1:1", []string{"https"}, false},
		{"10.0.0.1:1", []string{"https", "http"}, true},
		{"10.0.0.1:1", []string{"http, https"}, false},
		{"10.0.0.1:1", nil, false},
		{"192.0.2.1:1", []string{"http"}, false},
	} {
		req := &http.Request{RemoteAddr: tc.peer, Header: http.Header{"X-Forwarded-Proto": tc.proto}}
		if got := r.SaysHTTP(req); got != tc.want {
			t.Errorf("%s %v: got %v", tc.peer, tc.proto, got)
		}
	}
}

func TestNetworksThatTrustEverybodyAreRefused(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "::/0", "proxy.example.com", "10.0.0.0/33", "fe80::1%eth0", ""} {
		if _, err := clientip.New([]string{s}); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("198.51.100.1, 10.0.0.2")
	f.Add("::1,unknown")
	f.Fuzz(func(t *testing.T, forged string) {
		r, err := clientip.New([]string{"10.0.0.0/8"})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.ClientIP(request("192.0.2.9:1", forged)); got != "192.0.2.9" {
			t.Errorf("an untrusted peer chose %s", got)
		}
		if got := r.ClientIP(request("10.0.0.1:1", forged+",198.51.100.7")); got != "198.51.100.7" {
			t.Errorf("the client behind the proxy chose %s", got)
		}
	})
}
