package torture_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/torture"
)

func TestASoundDeploymentPasses(t *testing.T) {
	d := deploy(t, build{})
	report := d.torture(d.settings())
	for rule, result := range results(report) {
		if want := map[bool]torture.Result{true: torture.NotTried, false: torture.Pass}[rule == "R12"]; result != want {
			t.Errorf("%s: got %s, want %s", rule, result, want)
		}
	}
	if report.Failed() || report.Left != 0 || report.Nodes != 2 {
		t.Errorf("got %+v", report)
	}
	for _, v := range report.Verdicts {
		if v.Rule == "R9" && (v.Figures["samples"] != 3 || v.Figures["worst_ms"] > 1000) {
			t.Errorf("R9 has measured %v", v.Figures)
		}
	}
	d.nothingIsLeft()
}

// nothingIsLeft fails the test when sessions of the account live.
func (d *deployment) nothingIsLeft() {
	d.t.Helper()
	list, err := d.worlds[0].Store.Store.UserSessions(d.t.Context(), "user-"+servertest.Ada)
	if err != nil || len(list) > 0 {
		d.t.Errorf("%d sessions are left (%v)", len(list), err)
	}
}

func TestWhatCannotBeTriedIsSaid(t *testing.T) {
	d := deploy(t, build{})
	cfg := d.settings()
	cfg.Nodes, cfg.Metrics, cfg.Slow, cfg.Rounds = cfg.Nodes[:1], nil, false, 1
	report := d.torture(cfg)
	for _, v := range report.Verdicts {
		want, hint := torture.Pass, ""
		switch v.Rule {
		case "R5":
			want, hint = torture.NotTried, "--slow"
		case "R10":
			want, hint = torture.NotTried, "--metrics"
		case "R12":
			want, hint = torture.NotTried, "stop the database"
		}
		if v.Result != want || !strings.Contains(v.Why, hint) {
			t.Errorf("%s: got %s (%s), want %s", v.Rule, v.Result, v.Why, want)
		}
	}
	if report.Failed() {
		t.Error("what was not tried counts as failed")
	}
}

func TestAShortGraceIsWaitedForWithoutBeingTold(t *testing.T) {
	d := deploy(t, build{config: func(_ int, cfg *config.Config) { cfg.Session.Grace = 2 * time.Second }})
	cfg := d.settings()
	cfg.Grace, cfg.Slow, cfg.Rounds = 2*time.Second, false, 1
	if got := results(d.torture(cfg))["R5"]; got != torture.Pass {
		t.Errorf("got %s", got)
	}
}

func TestSignInsWaitAsLongAsTheServerSays(t *testing.T) {
	d := deploy(t, build{config: func(_ int, cfg *config.Config) { cfg.Limits.LoginPerAccount = "1/m" }})
	cfg := d.settings()
	cfg.Rounds = 2
	waits := 0
	cfg.Sleep = func(ctx context.Context, wait time.Duration) error {
		if wait > 30*time.Second {
			waits++
		}
		return d.sleep(ctx, wait)
	}
	if report := d.torture(cfg); report.Failed() || waits == 0 {
		t.Errorf("failed: %t, after %d waits", report.Failed(), waits)
	}
}

// A slowServer takes its time over a request that its client has given up, as over every other one: it is at work on it until
// the run has waited for that long. If the run does not, it comes in between when the session has gone on.
type slowServer struct {
	takes   time.Duration
	late    atomic.Int64  // requests that were given up
	arrived chan struct{} // one element for each of them

	mu      sync.Mutex
	waiting []chan struct{}
	overdue bool
	seen    int64 // of those that arrived; the run's own
}

const givenUp = "X-Test-Given-Up"

// through marks the requests whose answers will be thrown away.
func (s *slowServer) through(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(q *http.Request) (*http.Response, error) {
		if trace := httptrace.ContextClientTrace(q.Context()); trace != nil && trace.WroteRequest != nil {
			q = q.Clone(q.Context())
			q.Header.Set(givenUp, "1")
			s.late.Add(1)
		}
		return next.RoundTrip(q)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

func (s *slowServer) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(givenUp) != "" {
			r.Header.Del(givenUp)
			goesOn := make(chan struct{})
			s.mu.Lock()
			s.waiting = append(s.waiting, goesOn)
			s.mu.Unlock()
			s.arrived <- struct{}{}
			<-goesOn
			next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
			return
		}
		next.ServeHTTP(w, r)
		s.mu.Lock()
		overdue := s.overdue
		s.mu.Unlock()
		if overdue && r.URL.Path == "/auth/token/refresh" {
			s.goOn()
		}
	})
}

// goOn lets the requests go on that were given up.
func (s *slowServer) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, each := range s.waiting {
		close(each)
	}
	s.waiting, s.overdue = nil, false
}

// wait lets them go on if the run waits for long enough, and reports whether it does.
func (s *slowServer) wait(wait time.Duration) bool {
	for ; s.seen < s.late.Load(); s.seen++ {
		<-s.arrived
	}
	s.mu.Lock()
	s.overdue = wait < s.takes && len(s.waiting) > 0
	overdue := s.overdue
	s.mu.Unlock()
	if !overdue {
		s.goOn()
	}
	return !overdue
}

func TestASlowServerIsNotTakenForOneThatForgets(t *testing.T) {
	slow := &slowServer{takes: 3 * time.Second, arrived: make(chan struct{}, 1)}
	d := deploy(t, build{handler: func(_ *deployment, _ int, next http.Handler) http.Handler { return slow.handler(next) }})
	cfg := d.settings()
	cfg.Slow, cfg.Rounds, cfg.Metrics = false, 1, nil
	cfg.Transport = slow.through(cfg.Transport)
	var readings atomic.Int64 // each is as much later as an answer takes
	now := cfg.Now
	cfg.Now = func() time.Time { return now().Add(time.Duration(readings.Add(1)) * slow.takes) }
	cfg.Sleep = func(ctx context.Context, wait time.Duration) error {
		if slow.wait(wait) {
			return d.sleep(ctx, wait)
		}
		return ctx.Err() // what is under way is not waited for
	}
	report := d.torture(cfg)
	slow.goOn()
	if got := results(report)["R2"]; got != torture.Pass || slow.late.Load() == 0 {
		t.Errorf("R2: got %s after %d requests that were given up, want %s", got, slow.late.Load(), torture.Pass)
	}
}

// A fault of the server is no verdict on the rules that were under trial.
func TestAServerThatBreaksDownGetsNoVerdict(t *testing.T) {
	var refreshes atomic.Int64
	d := deploy(t, build{handler: func(_ *deployment, _ int, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/auth/token/refresh" && refreshes.Add(1) <= 2 {
				w.Header().Set("Cache-Control", "no-store")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	cfg := d.settings()
	cfg.Slow, cfg.Rounds = false, 1
	report := d.torture(cfg)
	got := results(report)
	if report.Failed() || got["R1"] != torture.NotTried || got["R9"] != torture.Pass {
		t.Errorf("got %v", got)
	}
	d.nothingIsLeft()
}

func TestAnInterruptedRunEndsItsSessions(t *testing.T) {
	d := deploy(t, build{})
	ctx, interrupt := context.WithCancel(t.Context())
	cfg := d.settings()
	cfg.Sleep = func(context.Context, time.Duration) error {
		interrupt()
		return ctx.Err()
	}
	if report, err := torture.Run(ctx, cfg); !errors.Is(err, context.Canceled) || report != nil {
		t.Errorf("got %v, %v", report, err)
	}
	d.nothingIsLeft()
}

// Only the account's own sessions are touched, and never more is under way than was promised.
func TestOthersAreLeftAlone(t *testing.T) {
	var under, most, all atomic.Int64
	d := deploy(t, build{handler: func(_ *deployment, _ int, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			all.Add(1)
			now := under.Add(1)
			defer under.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			next.ServeHTTP(w, r)
		})
	}})
	own, other := d.worlds[0].SignIn(t, servertest.Ada), d.worlds[0].SignIn(t, servertest.Eve)
	cfg := d.settings()
	cfg.Rounds = 1
	report := d.torture(cfg)
	for _, p := range []servertest.Pair{own, other} {
		if !p.Live(t) || p.Generation(t) != 1 {
			t.Errorf("the session of %s was touched", p.UserID)
		}
	}
	if most.Load() > torture.Burst {
		t.Errorf("%d requests were under way at once", most.Load())
	}
	if int(all.Load()) != report.Requests || report.Requests > 1000 {
		t.Errorf("%d requests came, %d are reported", all.Load(), report.Requests)
	}
}

func TestASignInThatIsRefusedIsNoVerdict(t *testing.T) {
	d := deploy(t, build{})
	cfg := d.settings()
	cfg.Password = "not the password"
	report, err := torture.Run(t.Context(), cfg)
	if err == nil || report != nil || !strings.Contains(err.Error(), "invalid_credentials") || strings.Contains(err.Error(), "not the password") {
		t.Errorf("got %v, %v", report, err)
	}
}
