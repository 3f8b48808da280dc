package jwks_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

func send(text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }
}

func zipped(tb testing.TB, r io.Reader) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, r); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// badAnswers are what an issuer, or whoever stands in its place, may answer instead of its keys.
func badAnswers(t *testing.T) map[string]struct {
	handle http.HandlerFunc
	reason string
} {
	good := keySet(t, newKey(t, "a", token.ES256))
	private, err := newKey(t, "a", token.ES256).MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	forEncryption := jwk(t, newKey(t, "a", token.ES256))
	forEncryption["use"] = "enc"
	withHeader := func(name, value string, status int, text []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			w.WriteHeader(status)
			_, _ = w.Write(text)
		}
	}
	return map[string]struct {
		handle http.HandlerFunc
		reason string
	}{
		"status 500":                       {withHeader("X", "y", 500, good), "status 500"},
		"status 404":                       {http.NotFound, "status 404"},
		"status 201 with a good set":       {withHeader("X", "y", 201, good), "status 201"},
		"status 206 with a good set":       {withHeader("X", "y", 206, good), "status 206"},
		"status 304":                       {withHeader("ETag", `"x"`, 304, nil), "status 304"},
		"a redirect to another host":       {withHeader("Location", "https://evil.example/keys", 302, good), "status 302"},
		"a redirect to itself":             {withHeader("Location", "/keys", 307, good), "status 307"},
		"a redirect that cannot be read":   {withHeader("Location", "http://%zz", 308, good), "status 308"},
		"nothing":                          {send(nil), "strict json"},
		"HTML":                             {send([]byte("<!doctype html><title>Sign in</title>")), "strict json"},
		"a set that ends early":            {send(good[:len(good)-1]), "strict json"},
		"a set and more":                   {send(append(bytes.Clone(good), good...)), "strict json"},
		"a set without keys":               {send([]byte(`{"keys":[]}`)), "no key that can be used"},
		"another document":                 {send([]byte(`{"issuer":"https://id.example"}`)), "needs keys"},
		"a single key instead of a set":    {send(marshal(t, jwk(t, newKey(t, "a", token.ES256)))), "needs keys"},
		"only a key for encryption":        {send(marshal(t, map[string]any{"keys": []any{forEncryption}})), "use 1"},
		"only a private key":               {send([]byte(`{"keys":[` + string(private) + `]}`)), "private 1"},
		"one kid twice":                    {send([]byte(`{"keys":[` + string(marshal(t, jwk(t, newKey(t, "a", token.ES256)))) + `,` + string(marshal(t, jwk(t, newKey(t, "a", token.EdDSA)))) + `]}`)), "duplicate_kid 2"},
		"a set with much space":            {send(append(bytes.Clone(good), bytes.Repeat([]byte(" "), 256<<10)...)), "larger than 256 KiB"},
		"a set in gzip that says so":       {withHeader("Content-Encoding", "gzip", 200, zipped(t, bytes.NewReader(good))), "compressed"},
		"a set in gzip that does not":      {send(zipped(t, bytes.NewReader(good))), "strict json"},
		"a gzip bomb":                      {withHeader("Content-Encoding", "gzip", 200, bomb()), "compressed"},
		"a set that says it is compressed": {withHeader("Content-Encoding", "br", 200, good), "compressed"},
		"fewer bytes than it says":         {withHeader("Content-Length", "100000", 200, good), "unexpected EOF"},
		"a large header":                   {withHeader("X", strings.Repeat("x", 64<<10), 200, good), "header"},
		"bytes without end": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 32<<10)); err != nil {
					return
				}
			}
		}, "larger than 256 KiB"},
		"headers without an end": {func(w http.ResponseWriter, _ *http.Request) {
			conn := hijack(w)
			defer conn.Close()
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = io.WriteString(conn, "X: "+strings.Repeat("x", 1000)+"\r\n")
			}
		}, "header"},
		"early hints without an end": {func(w http.ResponseWriter, _ *http.Request) {
			conn := hijack(w)
			defer conn.Close()
			var err error
			for err == nil {
				_, err = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 1000)+"\r\n\r\n")
			}
		}, ""},
		"no HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			conn := hijack(w)
			defer conn.Close()
			_, _ = io.WriteString(conn, "SSH-2.0-hunter2"+strings.Repeat("x", 2000)+"\r\n\r\n")
		}, "malformed HTTP"},
		"an end without an answer": {func(w http.ResponseWriter, _ *http.Request) { hijack(w).Close() }, "EOF"},
	}
}

// bomb is a few kilobytes that unpacks to many times what is read.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.Copy(w, io.LimitReader(zeros{}, 4<<20))
	_ = w.Close()
	return b.Bytes()
})

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return conn
}

func TestABadAnswerIsAnOutageAndChangesNothing(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	for name, c := range badAnswers(t) {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			is.handle(c.handle)
			r, clk := is.remote(t, func(cfg *jwks.Config) { cfg.Timeout = 20 * time.Second })
			err := verify(r, sign(t, a))
			wantError(t, err, token.ErrKeysUnavailable)
			if !strings.Contains(err.Error(), c.reason) || len(err.Error()) > 400 {
				t.Errorf("got %.1000v, want it to say %q", err, c.reason)
			}
			is.wantFetches(t, 1)

			is.publish(t, a)
			clk.move(time.Minute)
			wantError(t, verify(r, sign(t, a)), nil)
			before := r.Epoch()
			is.handle(c.handle)
			clk.move(time.Hour)
			wantError(t, verify(r, sign(t, a)), nil)
			wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
			jwks.Settle(r)
			wantError(t, verify(r, sign(t, a)), nil)
			if r.Epoch() != before {
				t.Error("the epoch has changed")
			}
			is.wantFetches(t, 3)
		})
	}
}

func TestASlowAnswerIsAnOutage(t *testing.T) {
	set := keySet(t, newKey(t, "a", token.ES256))
	for name, handle := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half of one": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(set[:len(set)/2])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"all but the end of it": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(set)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"byte by byte": func(w http.ResponseWriter, r *http.Request) {
			for _, b := range bytes.Repeat(set, 1000) {
				if _, err := w.Write([]byte{b}); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-r.Context().Done():
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			is.handle(handle)
			r, _ := is.remote(t, func(cfg *jwks.Config) { cfg.Timeout = 200 * time.Millisecond })
			wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
		})
	}
	t.Run("a host that accepts connections and says nothing", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		is := newIssuer(t)
		r, _ := is.remote(t, func(cfg *jwks.Config) {
			cfg.URL, cfg.Timeout = "https://"+listener.Addr().String()+"/keys", 200*time.Millisecond
		})
		wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
	})
	t.Run("a host that is not there", func(t *testing.T) {
		is := newIssuer(t)
		is.Close()
		r, _ := is.remote(t, nil)
		wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
	})
}

func TestOfAMixedSetTheUsableKeysAreUsed(t *testing.T) {
	is := newIssuer(t)
	good, leaked, twice := newKey(t, "good", token.ES256), newKey(t, "leaked", token.ES256), newKey(t, "twice", token.ES256)
	private, err := leaked.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	enc := jwk(t, newKey(t, "enc", token.ES384))
	enc["use"] = "enc"
	list := [][]byte{
		marshal(t, jwk(t, good)), private, marshal(t, jwk(t, twice)), marshal(t, jwk(t, twice)), marshal(t, enc),
		[]byte(`{"kty":"oct","kid":"oct","k":"AAAA"}`), []byte(`{"kty":"AKP","kid":"pq","alg":"ML-DSA-44"}`), []byte(`null`),
	}
	is.publishText([]byte(`{"keys":[` + string(bytes.Join(list, []byte(","))) + `]}`))
	var log logbook
	r, _ := is.remote(t, func(cfg *jwks.Config) { cfg.Logger = log.logger() })
	wantError(t, verify(r, sign(t, good)), nil)
	for _, key := range []*token.Key{leaked, twice, newKey(t, "enc", token.ES384)} {
		wantError(t, verify(r, sign(t, key)), token.ErrSignature)
	}
	if want := `keys=1 ignored="algorithm 1, duplicate_kid 2, malformed 1, private 1, symmetric 1, use 1"`; log.count(want) != 1 {
		t.Errorf("want %s in\n%s", want, &log)
	}
}

func TestTheRequestCarriesNothing(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "")
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.RequestURI() != "/keys?tenant=1" || r.ProtoMajor != 1 {
			t.Errorf("got %s %s %s", r.Method, r.URL, r.Proto)
		}
		want := map[string]string{
			"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity", "User-Agent": "tokenjar", "Connection": "close",
		}
		if len(r.Header) != len(want) {
			t.Errorf("got headers %v", r.Header)
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s: got %q, want %q", name, got, value)
			}
		}
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v"})
		_, _ = w.Write(keySet(t, a))
	})
	r, c := is.remote(t, func(cfg *jwks.Config) { cfg.URL += "?tenant=1" })
	for range 3 {
		wantError(t, r.Load(t.Context()), nil)
		c.move(time.Hour)
	}
	is.wantFetches(t, 3)
}

func TestCertificatesAreChecked(t *testing.T) {
	is := newIssuer(t)
	is.publish(t, newKey(t, "a", token.ES256))
	for name, change := range map[string]func(*jwks.Config){
		"an authority nobody knows": func(cfg *jwks.Config) { cfg.RootCAs = nil },
		"another host's":            func(cfg *jwks.Config) { cfg.URL = strings.Replace(is.URL, "127.0.0.1", "localhost", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := is.remote(t, change)
			err := r.Load(t.Context())
			wantError(t, err, token.ErrKeysUnavailable)
			if err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("TLS 1.1", func(t *testing.T) {
		old := httptest.NewUnstartedServer(http.NotFoundHandler())
		old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // refused
		old.Config.ErrorLog = is.Config.ErrorLog
		old.StartTLS()
		defer old.Close()
		r, _ := is.remote(t, func(cfg *jwks.Config) { cfg.URL = old.URL })
		if err := r.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("got %v", err)
		}
	})
	is.wantFetches(t, 0)
}

func TestPlainHTTPIsForLoopback(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	server := httptest.NewServer(send(keySet(t, a)))
	defer server.Close()
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		r, err := jwks.New(jwks.Config{
			URL: strings.Replace(server.URL, "127.0.0.1", host, 1), AllowPrivate: []netip.Prefix{loopback, netip.MustParsePrefix("::1/128")},
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, verify(r, sign(t, a)), nil)
	}
}

// A given transport decides about addresses; what is asked for, and what is taken, is decided here all the same.
func TestAGivenTransportDoesNotLiftTheLimits(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	for name, c := range badAnswers(t) {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			is.handle(c.handle)
			// Ready to follow redirects, unpack and read without an end.
			given := is.Client().Transport.(*http.Transport)
			r, _ := is.remote(t, func(cfg *jwks.Config) {
				cfg.RootCAs, cfg.Transport, cfg.AllowPrivate = nil, given, nil
				cfg.Timeout = 20 * time.Second
				if strings.HasPrefix(name, "headers") || strings.HasPrefix(name, "early") || strings.HasPrefix(name, "a large") {
					given.MaxResponseHeaderBytes = 16 << 10
				}
			})
			wantError(t, verify(r, sign(t, a)), token.ErrKeysUnavailable)
			is.wantFetches(t, 1)
			given.CloseIdleConnections()
		})
	}
	t.Run("unpacking what nobody asked for is bounded too", func(t *testing.T) {
		r := bubble(t, jwks.Config{}, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Uncompressed: true, Body: io.NopCloser(io.LimitReader(zeros{}, 1<<40))}, nil
		})
		err := verify(r, sign(t, a))
		if !errors.Is(err, token.ErrKeysUnavailable) || !strings.Contains(err.Error(), "larger") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAddressesThatAreConnectedTo(t *testing.T) {
	for address, allowed := range map[string]bool{
		"93.184.216.34:443": true, "8.8.8.8:443": true, "172.15.0.1:443": true, "172.32.0.1:443": true, "100.63.0.1:443": true,
		"100.128.0.1:443": true, "192.167.0.1:443": true, "223.255.255.255:443": true, "[2606:2800:220:1::1]:443": true,
		"[2a00:1450:4001::1]:443": true, "[::ffff:8.8.8.8]:443": true, "[64:ff9b::808:808]:443": true,

		"127.0.0.1:443": false, "127.255.255.254:443": false, "0.0.0.0:443": false, "0.1.2.3:443": false, "10.0.0.1:443": false,
		"172.16.0.1:443": false, "172.31.255.255:443": false, "192.168.1.1:443": false, "169.254.169.254:80": false,
		"100.64.0.1:443": false, "100.100.100.200:80": false, "192.0.0.192:443": false, "192.0.2.1:443": false, "192.88.99.1:443": false,
		"198.18.0.1:443": false, "198.51.100.1:443": false, "203.0.113.1:443": false, "224.0.0.1:443": false, "239.255.255.255:443": false,
		"240.0.0.1:443": false, "255.255.255.255:443": false,

		"[::]:443": false, "[::1]:443": false, "[::ffff:127.0.0.1]:443": false, "[::ffff:10.0.0.1]:443": false, "[::ffff:169.254.169.254]:443": false,
		"[::127.0.0.1]:443": false, "[fe80::1]:443": false, "[fe80::1%eth0]:443": false, "[fc00::1]:443": false, "[fd00:ec2::254]:443": false,
		"[fec0::1]:443": false, "[ff02::1]:443": false, "[100::1]:443": false, "[64:ff9b::7f00:1]:443": false, "[64:ff9b::a9fe:a9fe]:443": false,
		"[64:ff9b:1::1]:443": false, "[2001::1]:443": false, "[2001:db8::1]:443": false, "[2002:7f00:1::1]:443": false, "[2002:808:808::1]:443": false,
		"[3fff::1]:443": false, "[4000::1]:443": false, "[5f00::1]:443": false,

		"localhost:443": false, "": false, "127.0.0.1": false, "example.com:443": false, "/run/socket": false,
	} {
		if err := jwks.CheckAddress(address, false); (err == nil) != allowed {
			t.Errorf("%s: got %v", address, err)
		}
	}
	list := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/64"), loopback}
	for address, allowed := range map[string]bool{
		"10.1.2.3:443": true, "[::ffff:10.1.2.3]:443": true, "[64:ff9b::a01:203]:443": true, "[fd00::1]:443": true, "8.8.8.8:443": true,
		"10.2.0.1:443": false, "127.0.0.2:443": false, "[fd00:0:0:1::1]:443": false, "169.254.169.254:443": false, "[::1]:443": false,
	} {
		if err := jwks.CheckAddress(address, false, list...); (err == nil) != allowed {
			t.Errorf("%s beside a list: got %v", address, err)
		}
	}
	for address, allowed := range map[string]bool{
		"127.0.0.1:80": true, "[::ffff:127.0.0.1]:80": true, "10.1.2.3:80": false, "8.8.8.8:80": false, "[::1]:80": false, "127.0.0.2:80": false,
	} {
		if err := jwks.CheckAddress(address, true, list...); (err == nil) != allowed {
			t.Errorf("%s over http: got %v", address, err)
		}
	}
}

// A nameserver answers every question for an A record with one address, and no other question.
type nameserver struct {
	conn    net.PacketConn
	address atomic.Pointer[netip.Addr]
}

// newNameserver answers for the whole test binary until the test is over: no test beside it runs in parallel.
func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameserver{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.serve()
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		conn.Close()
		<-done
	})
	return n
}

func (n *nameserver) point(address string) {
	addr := netip.MustParseAddr(address)
	n.address.Store(&addr)
}

func (n *nameserver) serve() {
	buffer := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
		addr := *n.address.Load()
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0}
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			answer.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}}}
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			answer.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
		}
		if text, err := answer.Pack(); err == nil {
			_, _ = n.conn.WriteTo(text, from)
		}
	}
}

// The address is judged when it is connected to, so a name that leads inside is as little use as one that changes its mind.
func TestNamesThatLeadInsideAreRefused(t *testing.T) {
	names := newNameserver(t)
	is := newIssuer(t) // its certificate is for example.com, too
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	url := strings.Replace(is.URL, "127.0.0.1", "example.com", 1) + "/keys"
	for _, address := range []string{
		"127.0.0.1", "127.0.0.2", "169.254.169.254", "10.0.0.1", "192.168.0.1", "100.64.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1",
		"64:ff9b::7f00:1", "fe80::1", "fd00:ec2::254",
	} {
		t.Run(address, func(t *testing.T) {
			names.point(address)
			r, _ := is.remote(t, func(cfg *jwks.Config) { cfg.URL, cfg.AllowPrivate = url, nil })
			err := verify(r, sign(t, a))
			wantError(t, err, token.ErrKeysUnavailable)
			if !strings.Contains(fmt.Sprint(err), "is not public") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("one that is allowed, and then resolves to another", func(t *testing.T) {
		before := is.fetches.Load()
		names.point("127.0.0.1")
		r, c := is.remote(t, func(cfg *jwks.Config) { cfg.URL = url })
		wantError(t, verify(r, sign(t, a)), nil)
		for _, address := range []string{"127.0.0.2", "169.254.169.254", "::1"} {
			names.point(address)
			c.move(time.Hour)
			wantError(t, r.Load(t.Context()), token.ErrKeysUnavailable)
		}
		names.point("127.0.0.1")
		c.move(time.Minute)
		wantError(t, r.Load(t.Context()), nil)
		is.wantFetches(t, before+2)
	})
}

func TestNewRefuses(t *testing.T) {
	good := "https://id.example/keys"
	for name, c := range map[string]struct {
		cfg  jwks.Config
		want string
	}{
		"no URL":                           {jwks.Config{}, "URL"},
		"a relative URL":                   {jwks.Config{URL: "/keys"}, "URL"},
		"a URL without a scheme":           {jwks.Config{URL: "id.example/keys"}, "URL"},
		"a URL without a host":             {jwks.Config{URL: "https:///keys"}, "URL"},
		"a URL with a port alone":          {jwks.Config{URL: "https://:443/keys"}, "URL"},
		"an opaque URL":                    {jwks.Config{URL: "https:id.example"}, "URL"},
		"another scheme":                   {jwks.Config{URL: "ftp://id.example/keys"}, "URL"},
		"a file":                           {jwks.Config{URL: "file:///etc/passwd"}, "URL"},
		"a URL with a line break":          {jwks.Config{URL: good + "\n"}, "URL"},
		"a user":                           {jwks.Config{URL: "https://user@id.example/keys"}, "URL has user"},
		"a user and a password":            {jwks.Config{URL: "https://user:hunter2@id.example/keys"}, "URL has user"},
		"a fragment":                       {jwks.Config{URL: good + "#hunter2"}, "URL has a fragment"},
		"an empty fragment":                {jwks.Config{URL: good + "#"}, "URL has a fragment"},
		"a URL that cannot be read":        {jwks.Config{URL: "https://id.example/%zz?hunter2"}, "URL"},
		"http":                             {jwks.Config{URL: "http://id.example/keys"}, "not https"},
		"http to loopback, not allowed":    {jwks.Config{URL: "http://127.0.0.1/keys"}, "AllowPrivate"},
		"http to localhost, not allowed":   {jwks.Config{URL: "http://localhost/keys"}, "AllowPrivate"},
		"http to localhost, others are":    {jwks.Config{URL: "http://localhost/keys", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "AllowPrivate"},
		"http to a private address":        {jwks.Config{URL: "http://10.0.0.1/keys", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), loopback}}, "not https"},
		"http to a name like localhost":    {jwks.Config{URL: "http://localhost.example/keys", AllowPrivate: []netip.Prefix{loopback}}, "not https"},
		"http with a transport":            {jwks.Config{URL: "http://id.example/keys", Transport: http.DefaultTransport}, "not https"},
		"a loopback address":               {jwks.Config{URL: "https://127.0.0.1/keys"}, "not public"},
		"another loopback address":         {jwks.Config{URL: "https://127.0.0.2/keys", AllowPrivate: []netip.Prefix{loopback}}, "not public"},
		"a mapped loopback address":        {jwks.Config{URL: "https://[::ffff:127.0.0.1]/keys"}, "not public"},
		"a private address":                {jwks.Config{URL: "https://192.168.1.1/keys"}, "not public"},
		"the address of cloud credentials": {jwks.Config{URL: "https://169.254.169.254/latest"}, "not public"},
		"a link-local address":             {jwks.Config{URL: "https://[fe80::1%25eth0]/keys"}, "not public"},
		"HS256":                            {jwks.Config{URL: good, Algorithms: []token.Algorithm{token.ES256, token.HS256}}, "Algorithms"},
		"none":                             {jwks.Config{URL: good, Algorithms: []token.Algorithm{"none"}}, "Algorithms"},
		"an algorithm in another case":     {jwks.Config{URL: good, Algorithms: []token.Algorithm{"es256"}}, "Algorithms"},
		"a MaxAge under a second":          {jwks.Config{URL: good, MaxAge: time.Millisecond}, "MaxAge"},
		"a negative MaxAge":                {jwks.Config{URL: good, MaxAge: -1}, "MaxAge"},
		"a MaxAge of years":                {jwks.Config{URL: good, MaxAge: 1<<63 - 1}, "MaxAge"},
		"a Cooldown under a second":        {jwks.Config{URL: good, Cooldown: time.Millisecond}, "Cooldown"},
		"a Cooldown of hours":              {jwks.Config{URL: good, Cooldown: 2 * time.Hour}, "Cooldown"},
		"a MaxStale of years":              {jwks.Config{URL: good, MaxStale: 1<<63 - 1}, "MaxStale"},
		"a negative Timeout":               {jwks.Config{URL: good, Timeout: -1}, "Timeout"},
		"a Timeout over a minute":          {jwks.Config{URL: good, Timeout: time.Hour}, "Timeout"},
		"a network that is none":           {jwks.Config{URL: good, AllowPrivate: []netip.Prefix{{}}}, "AllowPrivate"},
		"an address where a network is":    {jwks.Config{URL: good, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}, "AllowPrivate"},
		"a mapped network":                 {jwks.Config{URL: good, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}, "AllowPrivate"},
		"authorities beside a transport":   {jwks.Config{URL: good, Transport: http.DefaultTransport, RootCAs: x509.NewCertPool()}, "RootCAs"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := jwks.New(c.cfg)
			if err == nil || r != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v, want an error that says %q", r, err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v quotes the URL", err)
			}
		})
	}
	for name, cfg := range map[string]jwks.Config{
		"no more than a URL":              {URL: good},
		"a URL with a query and a port":   {URL: "https://id.example:8443/keys?tenant=1"},
		"a URL in capitals":               {URL: "HTTPS://ID.EXAMPLE/keys"},
		"a public address":                {URL: "https://8.8.8.8/keys"},
		"a private one that is listed":    {URL: "https://10.1.2.3/keys", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
		"a private one and a transport":   {URL: "https://10.1.2.3/keys", Transport: http.DefaultTransport},
		"http to localhost that is":       {URL: "http://localhost:8080/keys", AllowPrivate: []netip.Prefix{loopback}},
		"http to ::1":                     {URL: "http://[::1]/keys", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("::1/128")}},
		"every algorithm":                 {URL: good, Algorithms: []token.Algorithm{token.RS384, token.RS512, token.PS256, token.RS256}},
		"keys that are never stale twice": {URL: good, MaxStale: -1},
	} {
		if _, err := jwks.New(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
