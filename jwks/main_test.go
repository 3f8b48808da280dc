package jwks_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// move sets the clock forward, or back.
func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// An issuer publishes keys over TLS, and counts how often they are fetched.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc]
}

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	i := &issuer{}
	i.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		(*i.answer.Load())(w, r)
	}))
	i.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	i.StartTLS()
	tb.Cleanup(i.Close)
	i.handle(http.NotFound)
	return i
}

func (i *issuer) handle(h http.HandlerFunc) { i.answer.Store(&h) }

// publish answers with the public parts of keys from now on.
func (i *issuer) publish(tb testing.TB, keys ...*token.Key) {
	tb.Helper()
	i.publishText(keySet(tb, keys...))
}

func (i *issuer) publishText(text []byte) {
	i.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
}

// fail answers with a status from now on.
func (i *issuer) fail(status int) {
	i.handle(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", status) })
}

// wantFetches compares how often the issuer was asked.
func (i *issuer) wantFetches(tb testing.TB, want int64) {
	tb.Helper()
	if got := i.fetches.Load(); got != want {
		tb.Errorf("the issuer was asked %d times, want %d", got, want)
	}
}

var loopback = netip.MustParsePrefix("127.0.0.1/32")

// remote follows the issuer with our own transport, on a clock of its own.
func (i *issuer) remote(tb testing.TB, change func(*jwks.Config)) (*jwks.Remote, *clock) {
	tb.Helper()
	c := newClock()
	roots := x509.NewCertPool()
	roots.AddCert(i.Certificate())
	cfg := jwks.Config{
		URL: i.URL + "/keys", AllowPrivate: []netip.Prefix{loopback}, RootCAs: roots, Now: c.Now,
		Logger: slog.New(slog.NewTextHandler(tb.Output(), nil)),
	}
	if change != nil {
		change(&cfg)
	}
	r, err := jwks.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { jwks.Settle(r) })
	return r, c
}

var keyCache sync.Map

// newKey returns the one key of this kid and algorithm.
func newKey(tb testing.TB, kid string, alg token.Algorithm) *token.Key {
	tb.Helper()
	if key, ok := keyCache.Load(kid + " " + string(alg)); ok {
		return key.(*token.Key)
	}
	generated, err := token.GenerateKey(alg)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := generated.MarshalPrivate()
	if err != nil {
		tb.Fatal(err)
	}
	key, err := token.ParseKey(bytes.Replace(text, []byte(generated.ID()), []byte(kid), 1))
	if err != nil {
		tb.Fatal(err)
	}
	kept, _ := keyCache.LoadOrStore(kid+" "+string(alg), key)
	return kept.(*token.Key)
}

func keySet(tb testing.TB, keys ...*token.Key) []byte {
	tb.Helper()
	ring, err := token.NewRing(nil, keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return ring.JWKS()
}

// jwk returns the public JWK of a key as a map to be changed.
func jwk(tb testing.TB, key *token.Key) map[string]any {
	tb.Helper()
	text, err := key.MarshalPublic()
	if err != nil {
		tb.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(text, &m); err != nil {
		tb.Fatal(err)
	}
	return m
}

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func sign(tb testing.TB, key *token.Key) string {
	tb.Helper()
	ring, err := token.NewRing(key)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := ring.Sign("at+jwt", []byte(`{"sub":"ada"}`))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// unknown is a token of a key that nobody publishes.
func unknown(tb testing.TB) string {
	tb.Helper()
	return sign(tb, newKey(tb, "unknown", token.ES256))
}

// verify is one request. It must not take long.
func verify(r *jwks.Remote, raw string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, _, err := r.VerifyContext(ctx, raw)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the request waited for too long: %w", err)
	}
	return err
}

// wantError compares an error, and makes sure that it is never both a 401 and a 503.
func wantError(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("got %v, want %v", err, want)
	}
	if errors.Is(err, token.ErrSignature) && errors.Is(err, token.ErrKeysUnavailable) {
		tb.Errorf("%v blames the token and the issuer", err)
	}
}

// A logbook keeps the lines that were logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logbook) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
