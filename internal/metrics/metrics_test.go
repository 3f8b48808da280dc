package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/metrics"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// used returns metrics of which every family has been used.
func used() *metrics.Metrics {
	m := metrics.New("1.2.3", func() time.Time { return now })
	m.Begin()
	m.End(m.Route("/auth/sessions/{id}"), "DELETE", 401, "token_expired", time.Millisecond)
	m.Event(tokenjar.AuditEvent{Name: "login.failed", Reason: "wrong_password"})
	m.Follow(func() tokenjar.Stats {
		return tokenjar.Stats{
			Revocations: 1, Staleness: 2 * time.Second, ClockSkew: 6 * time.Second, HashesRunning: 3, HashesWaiting: 4, AuditPending: 5, AuditDropped: 6,
			CacheHits: 7, CacheMisses: 8, KeyCreated: now.Add(-time.Hour),
		}
	})
	m.FollowLog(func() int64 { return 9 })
	for range 2 { // of two frontends
		m.FollowProxy(func() proxy.Stats {
			return proxy.Stats{
				WebSockets: 1, EventStreams: 2, StreamsOpened: 3, StreamsEnded: 4, Refused: 5, Limited: 9, Unavailable: 6, TimedOut: 7, BrokenOff: 8,
			}
		})
	}
	return m
}

// byName takes what a registry gathers.
func byName[F interface{ GetName() string }](families []F, err error) map[string]F {
	if err != nil {
		panic(err)
	}
	found := map[string]F{}
	for _, f := range families {
		found[f.GetName()] = f
	}
	return found
}

func TestTheReferenceIsWhatIsGathered(t *testing.T) {
	gathered := byName(used().Registry().Gather())
	reference := map[string]bool{}
	for _, want := range metrics.Reference() {
		reference[want.Name] = true
		got, ok := gathered[want.Name]
		if !ok {
			t.Errorf("%s is in the reference, but nobody exports it", want.Name)
			continue
		}
		var labels []string
		for _, pair := range got.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		slices.Sort(want.Labels)
		if kind := strings.ToLower(got.GetType().String()); kind != want.Type || got.GetHelp() != want.Help || !slices.Equal(labels, want.Labels) {
			t.Errorf("%s: got %s %v %q, want %s %v %q", want.Name, kind, labels, got.GetHelp(), want.Type, want.Labels, want.Help)
		}
		if !strings.HasSuffix(want.Help, ".") || (want.Type == "counter") != strings.HasSuffix(want.Name, "_total") {
			t.Errorf("%s: a name or a help text out of style", want.Name)
		}
	}
	runtimes := 0
	for name := range gathered {
		switch {
		case strings.HasPrefix(name, "go_"), strings.HasPrefix(name, "process_"):
			runtimes++
		case !reference[name]:
			t.Errorf("%s is exported, but not in the reference", name)
		}
	}
	if runtimes < 10 {
		t.Errorf("only %d families of the runtime and the process", runtimes)
	}
}

func TestFiguresOfTheServiceAreThoseOfTheMoment(t *testing.T) {
	body := scrape(t, used())
	for _, line := range []string{
		"tokenjar_revocations_known 1", "tokenjar_revocation_staleness_seconds 2", "tokenjar_password_hashes_running 3",
		"tokenjar_password_hashes_waiting 4", "tokenjar_audit_events_pending 5", "tokenjar_audit_events_dropped_total 6",
		"tokenjar_log_lines_dropped_total 9", "tokenjar_store_clock_skew_seconds 6",
		"tokenjar_token_cache_hits_total 7", "tokenjar_token_cache_misses_total 8", "tokenjar_signing_key_age_seconds 3600",
		`tokenjar_http_requests_total{method="DELETE",route="/auth/sessions/{id}",status="401"} 1`,
		`tokenjar_proxy_streams_open{kind="websocket"} 2`, `tokenjar_proxy_streams_open{kind="event_stream"} 4`,
		"tokenjar_proxy_streams_opened_total 6", "tokenjar_proxy_streams_ended_total 8", "tokenjar_proxy_refused_total 10",
		"tokenjar_proxy_limited_total 18",
		`tokenjar_proxy_upstream_errors_total{kind="unavailable"} 12`, `tokenjar_proxy_upstream_errors_total{kind="timeout"} 14`,
		`tokenjar_proxy_upstream_errors_total{kind="broken_off"} 16`,
		`tokenjar_problems_total{code="token_expired"} 1`, "tokenjar_http_requests_in_flight 0",
		`tokenjar_security_events_total{event="login.failed",reason="wrong_password"} 1`,
		`tokenjar_http_request_duration_seconds_count{route="/auth/sessions/{id}"} 1`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, body)
		}
	}
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("got %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func TestLabelsAreBoundedWhateverIsSent(t *testing.T) {
	m := metrics.New("", time.Now)
	route := m.Route("/x")
	for i := range 10000 {
		m.Begin()
		m.End(route, fmt.Sprintf("METHOD%d", i), 200, fmt.Sprintf("code-%d", i), 0)
		m.Begin()
		m.End(route, "GET", 1000+i, "", 0) // no such status
		m.Event(tokenjar.AuditEvent{Name: fmt.Sprintf("event%d", i), Reason: "Words of a client"})
		m.Event(tokenjar.AuditEvent{Name: strings.Repeat("a", i), Reason: "x\ny"})
	}
	for name, f := range byName(m.Registry().Gather()) {
		if strings.HasPrefix(name, "tokenjar_") && len(f.GetMetric()) > 4100 {
			t.Errorf("%s has %d series", name, len(f.GetMetric()))
		}
	}
	body := scrape(t, m)
	for _, bad := range []string{"METHOD1", "code-1", "Words of a client", `x\ny`} {
		if strings.Contains(body, bad) {
			t.Errorf("%q became a label", bad)
		}
	}
	if !strings.Contains(body, `tokenjar_problems_total{code="other"} 10000`) {
		t.Error("unknown codes are not counted together")
	}
}

func TestEveryCodeIsCountedUnderItsName(t *testing.T) {
	m := metrics.New("", time.Now)
	for _, code := range problem.Codes() {
		m.Begin()
		m.End(m.Route("/"), "GET", 400, string(code), 0)
	}
	if got := len(byName(m.Registry().Gather())["tokenjar_problems_total"].GetMetric()); got != len(problem.Codes()) {
		t.Errorf("got %d series for %d codes", got, len(problem.Codes()))
	}
}

func TestParallelRequestsAreAllCounted(t *testing.T) {
	m := metrics.New("", time.Now)
	routes := []*metrics.Route{m.Route("/a"), m.Route("/b")}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 1000 {
				m.Begin()
				m.End(routes[j%2], "GET", 200+i*j%50, "not_found", time.Microsecond)
				m.Event(tokenjar.AuditEvent{Name: fmt.Sprintf("e%d", j%100)})
			}
		})
	}
	group.Wait()
	var total float64
	for _, name := range []string{"tokenjar_http_requests_total", "tokenjar_security_events_total", "tokenjar_problems_total"} {
		total = 0
		for _, series := range byName(m.Registry().Gather())[name].GetMetric() {
			total += series.GetCounter().GetValue()
		}
		if total != 8000 {
			t.Errorf("%s: got %v, want 8000", name, total)
		}
	}
}

// What one request costs: to be set against the microseconds that the answer takes.
func BenchmarkRequest(b *testing.B) {
	m := metrics.New("", time.Now)
	route := m.Route("/auth/user")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Begin()
			m.End(route, "GET", 200, "", 100*time.Microsecond)
		}
	})
}

func BenchmarkRefusal(b *testing.B) {
	m := metrics.New("", time.Now)
	route := m.Route("/auth/user")
	b.ReportAllocs()
	for b.Loop() {
		m.Begin()
		m.End(route, "GET", 401, "token_expired", 100*time.Microsecond)
	}
}
