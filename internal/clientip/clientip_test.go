package clientip_test

import (
	"net/http"
	"slices"
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
		{"an address with a port", request(proxy, "198.51.100.1:80, 10.0.0.2:81"), "198.51.100.1"},
		{"IPv6 in brackets with a port", request(proxy, "[2001:db8::1]:4711"), "2001:db8::1"},
		{"IPv6 in brackets", request(proxy, "[2001:DB8::1]"), "2001:db8::1"},
		{"IPv6 in brackets with a zone and a port", request(proxy, "[fe80::1%eth0]:80"), "fe80::1"},
		{"mapped into IPv6, in brackets", request(proxy, "[::ffff:198.51.100.1]:80"), "198.51.100.1"},
		{"a proxy with a port is a proxy", request(proxy, "198.51.100.1, [::ffff:10.0.0.2]:80"), "198.51.100.1"},
		{"IPv4 in brackets is garbage", request(proxy, "198.51.100.1, [198.51.100.2]"), "10.0.0.1"},
		{"port without a number is garbage", request(proxy, "198.51.100.1:http"), "10.0.0.1"},
		{"port out of range is garbage", request(proxy, "198.51.100.1:65536"), "10.0.0.1"},
		{"half a bracket is garbage", request(proxy, "[2001:db8::1"), "10.0.0.1"},
		{"IPv4 with leading zeros is garbage", request(proxy, "198.051.100.1"), "10.0.0.1"},
		{"a hidden name is garbage", request(proxy, "_hidden"), "10.0.0.1"},
		{"unknown", request(proxy, "unknown"), "10.0.0.1"},
		{"an empty header", request(proxy, ""), "10.0.0.1"},
		{"no port at the peer", request("192.0.2.9", "198.51.100.1"), "192.0.2.9"},
		{"a Unix socket", request("@", "198.51.100.1"), "@"},
		{"many forged fields before the proxy's", request(proxy, append(slices.Repeat([]string{"203.0.113.66"}, 500), "198.51.100.1")...), "198.51.100.1"},
		{"forged proxies before the client", request(proxy, "203.0.113.66, 10.0.0.9, 10.0.0.8", "198.51.100.1"), "198.51.100.1"},
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

func TestWhoIsKnown(t *testing.T) { // P-07, L-10
	const proxy = "10.0.0.1:4000"
	forwarded := func(peer string) *http.Request {
		return &http.Request{RemoteAddr: peer, Header: http.Header{"Forwarded": {"for=198.51.100.1"}}}
	}
	for _, tc := range []struct {
		name string
		req  *http.Request
		want bool
	}{
		{"a client that connects itself", request("192.0.2.9:1"), true},
		{"a client that connects itself, by IPv6", request("[2001:db8::9]:1"), true},
		{"a client of our own network", request("192.168.0.9:1"), true},
		{"a client on this machine", request("127.0.0.1:1"), true},
		{"a stranger who sends the header is a client", request("192.0.2.9:1", "198.51.100.1"), true},
		{"a stranger who sends Forwarded is a client", forwarded("192.0.2.9:1"), true},
		{"no address at all", request(""), false},
		{"a Unix socket", request("@"), false},
		{"an address without a port", request("192.0.2.9"), false},
		{"a host name", request("localhost:1"), false},

		{"loopback sends the header and is not trusted", request("127.0.0.1:1", "198.51.100.1"), false},
		{"IPv6 loopback", request("[::1]:1", "198.51.100.1"), false},
		{"loopback mapped into IPv6", request("[::ffff:127.0.0.1]:1", "198.51.100.1"), false},
		{"private network", request("192.168.0.1:1", "198.51.100.1"), false},
		{"private network, mapped into IPv6", request("[::ffff:192.168.0.1]:1", "198.51.100.1"), false},
		{"unique local IPv6", request("[fd00::1]:1", "198.51.100.1"), false},
		{"link-local with a zone", request("[fe80::1%eth0]:1", "198.51.100.1"), false},
		{"shared address space", request("100.64.0.1:1", "198.51.100.1"), false},
		{"private network sends Forwarded", forwarded("192.168.0.1:1"), false},
		{"an empty header says proxy as well", request("127.0.0.1:1", ""), false},

		{"a trusted proxy tells", request(proxy, "198.51.100.1"), true},
		{"a trusted proxy tells of a private client", request(proxy, "192.168.0.9"), true},
		{"a trusted proxy tells with a port", request(proxy, "[2001:db8::1]:123"), true},
		{"loopback as IPv6 with a port", request(proxy, "[::1]:123"), true},
		{"trusted proxies in a row tell", request(proxy, "198.51.100.1, 10.0.0.3", "10.0.0.2"), true},
		{"what is left of the client does not matter", request(proxy, "unknown, garbage,, 198.51.100.1"), true},
		{"a trusted proxy sends none", request(proxy), false},
		{"a trusted proxy sends an empty one", request(proxy, ""), false},
		{"a trusted proxy sends blanks", request(proxy, " ", "\t"), false},
		{"a trusted proxy sends Forwarded alone", forwarded(proxy), false},
		{"a trusted proxy sends unknown", request(proxy, "unknown"), false},
		{"a trusted proxy sends unknown after an address", request(proxy, "198.51.100.1, unknown"), false},
		{"a trusted proxy sends garbage", request(proxy, "198.51.100.1;10.0.0.2"), false},
		{"a trusted proxy ends with a comma", request(proxy, "198.51.100.1,"), false},
		{"only proxies, and the first says nothing of its peer", request(proxy, "10.0.0.3, 10.0.0.2"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := clientip.New([]string{"10.0.0.0/8"})
			if err != nil {
				t.Fatal(err)
			}
			if _, got := r.Resolve(tc.req); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
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
	for _, s := range []string{"0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96", "::ffff:10.0.0.0/90", "proxy.example.com", "10.0.0.0/33", "fe80::1%eth0", ""} {
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
		for _, req := range []*http.Request{request("10.0.0.1:1", forged, "198.51.100.7"), request("192.0.2.9:1", forged)} {
			if _, known := r.Resolve(req); !known {
				t.Error("a forged header hides the client")
			}
		}
	})
}
