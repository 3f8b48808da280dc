package session_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/yardstick"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
	"github.com/tokenjar/tokenjar/token"
)

// What the guard costs a request, against the same handler bare, which receives the same cookies: see package yardstick.
//
//	go test ./session -run '^$' -bench . -benchtime 1x

const benchPassword = "correct horse battery staple"

// yard is a service, a guard and the requests of one signed-in page.
type yard struct {
	service *tokenjar.Service
	guard   *session.Guard
	grant   tokenjar.Grant
}

func newYard(b *testing.B, alg token.Algorithm) *yard {
	b.Helper()
	hasher, err := password.New(password.Config{})
	if err != nil {
		b.Fatal(err)
	}
	phc, err := hasher.Hash(b.Context(), benchPassword)
	if err != nil {
		b.Fatal(err)
	}
	store := memory.New(memory.Config{})
	err = store.CreateUser(b.Context(), tokenjar.User{ID: "0198a1b2-user-ada", Username: "ada", Active: true, PasswordHash: tokenjar.PasswordHash(phc)})
	if err != nil {
		b.Fatal(err)
	}
	secret, err := tokenjar.ParseSecret([]byte("kV3xQ9wLr7tYb2NzHm5sJd8FgCa4PeUo6iXnTqW1"))
	if err != nil {
		b.Fatal(err)
	}
	const url = "https://app.example.com"
	y := &yard{}
	y.service, err = tokenjar.New(b.Context(), tokenjar.Config{
		Issuer: url, Secret: secret, Store: store, Passwords: hasher, Algorithm: alg, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- y.service.Run(ctx) }()
	b.Cleanup(func() { stop(); <-done })
	if y.guard, err = session.New(session.Config{Service: y.service, PublicURL: url}); err != nil {
		b.Fatal(err)
	}
	y.grant, err = y.service.Login(b.Context(), tokenjar.Credentials{Username: "ada", Password: benchPassword}, tokenjar.Client{})
	if err != nil {
		b.Fatal(err)
	}
	y.refresh(b) // the second generation, so that noting it is part of what is measured
	return y
}

func (y *yard) refresh(b *testing.B) {
	b.Helper()
	var err error
	if y.grant, err = y.service.Refresh(b.Context(), tokenjar.RefreshRequest{Token: y.grant.RefreshToken}); err != nil {
		b.Fatal(err)
	}
}

// cookies are what a browser sends for the grant: three of ours and one of somebody else's.
func (y *yard) cookies() string {
	return "theme=dark; __Host-access_token=" + y.grant.AccessToken + "; __Host-refresh_token=" + y.grant.RefreshToken +
		"; __Host-csrftoken=" + y.guard.CSRFToken(y.grant.SessionID)
}

func (y *yard) request() *http.Request {
	r := httptest.NewRequest("GET", "https://app.example.com/things", nil)
	r.Header.Set("Cookie", y.cookies())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	r.Header.Set("Accept", "application/json")
	return r
}

func bare(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = plain
	w.Write(okay)
}

var (
	plain = []string{"text/plain; charset=utf-8"}
	okay  = []byte("ok\n")
)

// variants are the handlers that are compared with bare.
func (y *yard) variants() map[string]http.Handler {
	return map[string]http.Handler{
		"context": y.guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id, ok := tokenjar.IdentityFromContext(r.Context()); !ok || id.UserID == "" {
				panic("nobody")
			}
			bare(w, r)
		})),
		"accessor": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id, err := y.guard.Identify(r); err != nil || id.UserID == "" {
				panic("nobody")
			}
			bare(w, r)
		}),
	}
}

// BenchmarkHit is a request whose token was verified before.
func BenchmarkHit(b *testing.B) {
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA, token.RS256, token.HS256} {
		y := newYard(b, alg)
		r := y.request()
		for name, h := range y.variants() {
			b.Run(fmt.Sprintf("%s/%s", name, alg), func(b *testing.B) {
				yardstick.Compare(b, http.HandlerFunc(bare), h, r, 200, 3000)
			})
		}
	}
}

// BenchmarkMiss is a request whose token, and refresh token, were never seen before.
func BenchmarkMiss(b *testing.B) {
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA, token.RS256} {
		b.Run(string(alg), func(b *testing.B) {
			y := newYard(b, alg)
			const n, rounds = 5, 60
			fresh := func() func(int) *http.Request {
				list := make([]*http.Request, n)
				for i := range list {
					y.refresh(b)
					list[i] = y.request()
				}
				return func(i int) *http.Request { return list[i] }
			}
			h := y.variants()["context"]
			var without, with yardstick.Spread
			for range rounds * b.N {
				r := fresh()
				without = append(without, yardstick.Each(http.HandlerFunc(bare), n, r))
				with = append(with, yardstick.Each(h, n, r))
			}
			allocs, size := yardstick.Cost(h, n, fresh())
			yardstick.Report(b, without, with, allocs, size)
		})
	}
}

// BenchmarkAuthenticate is the verification alone, of a token that was verified before, on one core and on all.
func BenchmarkAuthenticate(b *testing.B) {
	y := newYard(b, token.ES256)
	texts := make([]string, 200)
	for i := range texts {
		y.refresh(b)
		texts[i] = y.grant.AccessToken
		if _, err := y.service.Authenticate(texts[i]); err != nil {
			b.Fatal(err)
		}
	}
	for _, cores := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("goroutines=%d", cores), func(b *testing.B) {
			const n = 5000
			var rounds yardstick.Spread
			for range 500 * b.N {
				var wg sync.WaitGroup
				start := time.Now()
				for range cores {
					wg.Go(func() {
						for i := range n {
							if _, err := y.service.Authenticate(texts[i%len(texts)]); err != nil {
								panic(err)
							}
						}
					})
				}
				wg.Wait()
				rounds = append(rounds, float64(time.Since(start))/float64(n*cores))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(rounds.At(0), "ns-min")
			b.ReportMetric(rounds.At(.5), "ns-median")
		})
	}
}

// BenchmarkShare is the share of the bare handler's throughput that is left behind net/http, over loopback with
// keep-alive. The client is in the same process and as small as can be, so its work counts on both sides.
func BenchmarkShare(b *testing.B) {
	y := newYard(b, token.ES256)
	handlers := y.variants()
	for _, name := range []string{"context", "accessor"} {
		b.Run(name, func(b *testing.B) {
			const n, rounds = 100, 200
			without, with := newLine(b, http.HandlerFunc(bare), y), newLine(b, handlers[name], y)
			without.send(b, n)
			with.send(b, n)
			var share, times yardstick.Spread
			for i := range rounds * b.N {
				var one, two time.Duration
				if i%2 == 0 {
					one, two = without.send(b, n), with.send(b, n)
				} else {
					two, one = with.send(b, n), without.send(b, n)
				}
				share = append(share, float64(one)/float64(two)*100)
				times = append(times, float64(one)/float64(n*connections))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(times.At(.5), "bare-ns/request")
			b.ReportMetric(share.At(.5), "%share-median")
			b.ReportMetric(share.At(.25), "%share-q1")
			b.ReportMetric(share.At(.75), "%share-q3")
		})
	}
}

const connections = 4

// A line is a server and some connections to it.
type line struct {
	conns   []net.Conn
	request []byte
	answer  int // bytes
}

func newLine(b *testing.B, h http.Handler, y *yard) *line {
	b.Helper()
	server := httptest.NewServer(h)
	b.Cleanup(server.Close)
	l := &line{request: []byte(strings.Join([]string{
		"GET /things HTTP/1.1", "Host: app.example.com", "Cookie: " + y.cookies(), "Sec-Fetch-Site: same-origin",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept: application/json", "", "",
	}, "\r\n"))}
	for range connections {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		l.conns = append(l.conns, conn)
		buf := make([]byte, 4096)
		conn.Write(l.request)
		got, err := conn.Read(buf)
		if err != nil || !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) || !bytes.HasSuffix(buf[:got], okay) {
			b.Fatalf("%s %v", buf[:got], err)
		}
		l.answer = got
	}
	return l
}

// send sends n requests on each connection, one after another, and returns how long that took.
func (l *line) send(b *testing.B, n int) time.Duration {
	b.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for _, conn := range l.conns {
		wg.Go(func() {
			buf := make([]byte, l.answer)
			for range n {
				if _, err := conn.Write(l.request); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(conn, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}
