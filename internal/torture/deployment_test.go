package torture_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/torture"
)

const patience = time.Minute

// A build is what runs on the nodes: the sound one, or one that is broken somewhere. Each part is called for every node
// and wraps what is there.
type build struct {
	config  func(node int, cfg *config.Config)
	options func(node int, opts *server.Options)
	handler func(d *deployment, node int, next http.Handler) http.Handler
	metrics func(next http.Handler) http.Handler

	alone bool // each node takes itself for the only one

	// rotate is in the place of the store's Rotate; learn is told of what a node would learn of revocations.
	rotate func(ctx context.Context, s *store, r tokenjar.Rotation) (tokenjar.Verdict, error)
	learn  func(list []tokenjar.Revocation) []tokenjar.Revocation
}

// A deployment are two nodes over one store, under one clock that only waiting moves.
type deployment struct {
	t       *testing.T
	worlds  []*servertest.World
	stores  []*store
	urls    []string
	metrics []string

	sent, done atomic.Int64 // requests

	mu    sync.Mutex
	used  map[string]int64 // generation of which an access token was accepted, by session
	noted map[string]int64 // the one that a node has noted in the store
	shown map[string]int64 // generation of which another client got the answer, by session
}

// A store is a node's way to the one store.
type store struct {
	*servertest.FaultyStore
	build build
	of    *deployment
	polls atomic.Int64
	news  chan struct{}

	mu      sync.Mutex
	pending func() // a write that has not been made yet, for builds that answer before they commit
}

func (s *store) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	if s.build.rotate != nil {
		return s.build.rotate(ctx, s, r)
	}
	return s.FaultyStore.Rotate(ctx, r)
}

func (s *store) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	s.polls.Add(1)
	news, err := s.FaultyStore.News(ctx, since)
	if s.build.learn != nil {
		news.Revocations = s.build.learn(news.Revocations)
	}
	return news, err
}

// A watched store says that several nodes use it, and has its node poll when the run waits.
type watched struct{ *store }

func (w watched) Watch(ctx context.Context, changed func([]tokenjar.Revocation)) error {
	for {
		changed(nil)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.news:
		}
	}
}

func (s *store) MarkSeen(ctx context.Context, seen []tokenjar.Seen) error {
	err := s.FaultyStore.MarkSeen(ctx, seen)
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	for _, each := range seen {
		s.of.noted[each.SessionID] = max(s.of.noted[each.SessionID], each.Generation)
	}
	return err
}

func deploy(t *testing.T, b build) *deployment {
	t.Helper()
	d := &deployment{t: t, used: map[string]int64{}, noted: map[string]int64{}, shown: map[string]int64{}}
	for node := range 2 {
		setup := servertest.Setup{
			Config: func(cfg *config.Config) {
				cfg.PublicURL = "https://app.example.com"
				cfg.Admin.Listen = "127.0.0.1:0"
				if b.config != nil {
					b.config(node, cfg)
				}
			},
			Options: func(opts *server.Options) {
				if b.options != nil {
					b.options(node, opts)
				}
			},
			Between: func(f *servertest.FaultyStore) server.Store {
				d.stores = append(d.stores, &store{FaultyStore: f, build: b, of: d, news: make(chan struct{})})
				if b.alone {
					return d.stores[node]
				}
				return watched{d.stores[node]}
			},
		}
		if node > 0 {
			setup.Beside = d.worlds[0]
		}
		w := servertest.Start(t, setup)
		d.worlds = append(d.worlds, w)
		handler := w.Server.Handler()
		if b.handler != nil {
			handler = b.handler(d, node, handler)
		}
		public := httptest.NewServer(d.watch(handler))
		t.Cleanup(public.Close)
		d.urls = append(d.urls, public.URL)
		metrics := "http://" + w.Server.AdminAddr().String() + "/metrics"
		if b.metrics != nil {
			other := httptest.NewServer(b.metrics(relay(metrics)))
			t.Cleanup(other.Close)
			metrics = other.URL
		}
		d.metrics = append(d.metrics, metrics)
	}
	return d
}

// relay serves what another address serves.
func relay(url string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, err := http.Get(url)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		io.Copy(w, res.Body)
	})
}

// watch gives answers the time of the deployment, and keeps which access tokens were accepted.
func (d *deployment) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer d.done.Add(1)
		if w.Header().Get("Date") == "" {
			w.Header().Set("Date", d.worlds[0].Clock.Now().Format(http.TimeFormat))
		}
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r)
		if status.status != http.StatusOK {
			return
		}
		if strings.Contains(r.UserAgent(), "another client") {
			for _, c := range (&http.Response{Header: w.Header()}).Cookies() {
				if claims := claimsOf(c.Value); c.Name == "__Host-refresh_token" {
					d.mu.Lock()
					d.shown[claims.Session] = claims.Generation
					d.mu.Unlock()
				}
			}
		}
		if r.URL.Path != "/auth/user" {
			return
		}
		if c, err := r.Cookie("__Host-access_token"); err == nil {
			claims := claimsOf(c.Value)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.used[claims.Session] = max(d.used[claims.Session], claims.Generation)
		}
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

type claims struct {
	Session    string `json:"sid"`
	Subject    string `json:"sub"`
	Generation int64  `json:"gen"`
	ID         string `json:"jti"`
	Issued     int64  `json:"iat"`
	Expires    int64  `json:"exp"`
}

func claimsOf(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		json.Unmarshal(text, &c)
	}
	return c
}

// A counted transport counts the requests that are sent.
type counted struct {
	*http.Transport
	sent *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.sent.Add(1)
	return c.Transport.RoundTrip(r)
}

// sleep is how the run waits: first the nodes answer what is under way and do what they do beside it, then the clock moves.
func (d *deployment) sleep(ctx context.Context, wait time.Duration) error {
	from := make([]int64, len(d.stores))
	for i, s := range d.stores {
		from[i] = s.polls.Load()
	}
	deadline := time.Now().Add(patience)
	for ; time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		done := d.done.Load() == d.sent.Load() && d.usesAreNoted() // also those whose answers nobody waits for
		for i, s := range d.stores {
			if s.polls.Load() < from[i]+2 { // the second one begins after the first has been learned of
				done = false
				select {
				case s.news <- struct{}{}:
				default:
				}
			}
		}
		if done {
			d.worlds[0].Clock.Advance(wait)
			return nil
		}
	}
	d.t.Error("the nodes do not poll")
	return context.DeadlineExceeded
}

// usesAreNoted reports whether the nodes have noted each use of a token, of which the first generation is never noted, and
// each answer to another client.
func (d *deployment) usesAreNoted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for session, generation := range d.used {
		if generation > 1 && d.noted[session] < generation {
			return false
		}
	}
	for session, generation := range d.shown {
		row, err := d.worlds[0].Store.Store.Session(context.Background(), session)
		if err == nil && row.Live() && row.Generation == generation && row.SharedGen < generation {
			return false
		}
	}
	return true
}

// settings are those of a run that tries all it can.
func (d *deployment) settings() torture.Config {
	transport := &http.Transport{MaxIdleConnsPerHost: torture.Burst}
	d.t.Cleanup(transport.CloseIdleConnections)
	return torture.Config{
		Transport: counted{transport, &d.sent},
		Nodes:     d.urls, PublicURL: "https://app.example.com", Username: servertest.Ada, Password: servertest.Password,
		Slow: true, Rounds: 3, Rate: math.Inf(1), Metrics: d.metrics, Now: d.worlds[0].Clock.Now, Sleep: d.sleep,
	}
}

func (d *deployment) torture(cfg torture.Config) *torture.Report {
	d.t.Helper()
	report, err := torture.Run(d.t.Context(), cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, v := range report.Verdicts {
		d.t.Logf("%s %s: %s%s %v", v.Result, v.Rule, v.Seen, v.Why, v.Notes)
	}
	return report
}

// results are the verdicts of a report by rule.
func results(r *torture.Report) map[string]torture.Result {
	all := map[string]torture.Result{}
	for _, v := range r.Verdicts {
		all[v.Rule] = v.Result
	}
	return all
}
