package nodes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/history"
	"github.com/tokenjar/tokenjar/internal/stress"
)

// A storm is clients of package history that live one session after another until it is calmed, through whatever happens
// to the servers. What they were told is then held against the rules of a session; and every session that they were given
// is asked for once more.
type storm struct {
	cluster *cluster
	journal *history.Journal
	done    context.CancelFunc
	wg      sync.WaitGroup
	errs    []error

	mu     sync.Mutex
	newest map[string]history.Tokens // by session: of the highest generation that a client was given

	answers atomic.Int64 // that say that something was done
	refused atomic.Int64 // 503: nothing was
	faults  faults
}

// storm lets loose n groups of clients. Those of a group share sessions; each asks another node, and one asks nginx.
func (c *cluster) storm(t testing.TB, n int, user string) *storm {
	ctx, done := context.WithCancel(context.Background())
	s := &storm{cluster: c, journal: &history.Journal{}, done: done, errs: make([]error, n), newest: make(map[string]history.Tokens)}
	seed := stress.Seed(t)
	for i := range n {
		var clients []history.Client
		for _, node := range append([]*node{nil}, c.nodes...) {
			clients = append(clients, s.client(c.http(node, user, i%2 == 0, &s.faults)))
		}
		s.wg.Go(func() {
			s.errs[i] = history.Storm{
				Journal: s.journal, Name: fmt.Sprint("storm ", i), Clients: clients, Sessions: 1 << 30, Steps: 6,
				Seed: seed + uint64(i), Thief: i == n-1,
			}.Run(ctx)
		})
	}
	t.Cleanup(func() { done(); s.wg.Wait() })
	return s
}

// http returns a client of package history that asks a node, or nginx (nil), and goes about outages as one should.
func (c *cluster) http(n *node, user string, cookies bool, f *faults) *history.HTTP {
	return &history.HTTP{
		URL: c.url, Username: user, Password: thePassword, Cookies: cookies,
		Client: &http.Client{Transport: &patient{c.through(n), f}, Timeout: patience},
	}
}

// goOn waits until so many more answers have been given that say that something was done.
func (s *storm) goOn(t testing.TB, n int64) {
	t.Helper()
	from := s.answers.Load()
	eventually(t, fmt.Sprint(n, " answers"), func() bool { return s.answers.Load() >= from+n })
}

// calm ends the storm, asks once more for every session there was, and checks the history.
func (s *storm) calm(t testing.TB, rules history.Rules) {
	t.Helper()
	s.done()
	s.wg.Wait()
	if err := errors.Join(s.errs...); err != nil {
		t.Errorf("answers that nobody should get: %v", err)
	}
	bearer := s.cluster.http(nil, "", false, &s.faults)
	for _, tokens := range s.newest {
		if a := asked(t.Context(), s.journal, "reckoning", history.Refresh, tokens, bearer.Refresh); a.Outcome == history.Unknown || a.Err != nil {
			t.Fatalf("after the storm: %s %v", a.Note, a.Err)
		}
	}
	s.faults.check(t)
	ops := s.journal.Ops()
	told := make(map[string]int)
	for _, op := range ops {
		told[fmt.Sprint(op.Kind, " ", op.Outcome)]++
	}
	t.Logf("%d sessions, %d operations: %v", len(s.newest), len(ops), told)
	if err := history.Check(ops, rules); err != nil {
		t.Error(err)
	}
}

// asked writes down what is asked and told.
func asked(ctx context.Context, j *history.Journal, client string, kind history.Kind, with history.Tokens,
	do func(context.Context, history.Tokens) history.Answer) history.Answer {
	op := history.Op{Client: client, Kind: kind, Session: with.Session}
	if kind == history.Refresh {
		op.Token = history.Name(with.Refresh)
	}
	entry := j.Begin(op)
	a := do(ctx, with)
	successor := ""
	if a.Outcome == history.OK && (kind == history.Login || kind == history.Refresh) {
		successor = history.Name(a.Refresh)
	}
	entry.End(a.Outcome, a.Session, successor, a.Note)
	return a
}

// client is a client whose answers are counted, and whose tokens are remembered.
func (s *storm) client(c history.Client) history.Client { return &witness{c, s} }

type witness struct {
	history.Client
	storm *storm
}

func (w *witness) Login(ctx context.Context) history.Answer { return w.storm.note(w.Client.Login(ctx)) }

func (w *witness) Refresh(ctx context.Context, t history.Tokens) history.Answer {
	return w.storm.note(w.Client.Refresh(ctx, t))
}

func (s *storm) note(a history.Answer) history.Answer {
	switch {
	case a.Outcome == history.OK && a.Refresh != "":
		s.answers.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		if known, ok := s.newest[a.Session]; !ok || generation(known.Refresh) < generation(a.Refresh) {
			s.newest[a.Session] = a.Tokens
		}
	case strings.HasPrefix(a.Note, "503"):
		s.refused.Add(1)
	}
	return a
}

// generation reads the generation from a token, without verifying it; 0 when there is none.
func generation(raw string) int64 {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Gen int64 }
	json.Unmarshal(payload, &claims)
	return claims.Gen
}

// A patient client waits a moment after an outage, as Retry-After asks for, if shorter.
type patient struct {
	http.RoundTripper
	faults *faults
}

func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.RoundTripper.RoundTrip(r)
	if err == nil {
		p.faults.judge(r.Method+" "+r.URL.Path, res.StatusCode, res.Header)
	}
	if err != nil || res.StatusCode >= 500 {
		select {
		case <-r.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return res, err
}

// faults are answers that are wrong whatever happened.
type faults struct {
	mu   sync.Mutex
	list []string
}

// judge notes a 503 without Retry-After, or that takes a cookie away. (One that was renewed on the way is set whatever comes
// then.)
func (f *faults) judge(what string, status int, header http.Header) {
	if status != http.StatusServiceUnavailable {
		return
	}
	cleared := slices.ContainsFunc((&http.Response{Header: header}).Cookies(), func(c *http.Cookie) bool { return c.Value == "" || c.MaxAge < 0 })
	if header.Get("Retry-After") == "" || cleared {
		f.add(fmt.Sprintf("%s: 503 with Retry-After %q, Set-Cookie %.200q", what, header.Get("Retry-After"), header["Set-Cookie"]))
	}
}

func (f *faults) add(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fault)
}

func (f *faults) check(t testing.TB) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) > 0 {
		t.Errorf("%d faulty answers, the first of them:\n%s", len(f.list), strings.Join(f.list[:min(len(f.list), 10)], "\n"))
	}
}
