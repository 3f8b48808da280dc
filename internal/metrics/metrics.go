package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/proxy"
)

const other = "other"

// buckets of the request duration, in seconds: from a cached verification to a password check under load.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Metrics are those of one node. Make them with [New]. All methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	version  string
	now      func() time.Time
	took     *prometheus.HistogramVec
	routes   sync.Map // pattern → *Route

	requests *counters[request]
	problems *counters[problem.Code]
	events   *counters[event]
	codes    map[problem.Code]bool

	inFlight, connsOpen                     atomic.Int64
	addressUnknown, connsShed, acceptErrors atomic.Uint64

	stats      atomic.Pointer[func() tokenjar.Stats]
	logDropped atomic.Pointer[func() int64]

	proxyMu sync.Mutex
	proxies []func() proxy.Stats
}

type request struct {
	method string
	route  *Route
	status int
}

type event struct{ name, reason string }

// New returns empty metrics. version is that of the program; now is the clock by which keys age.
func New(version string, now func() time.Time) *Metrics {
	h := lookUp(duration)
	m := &Metrics{
		registry: prometheus.NewRegistry(), version: version, now: now,
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: h.Name, Help: h.Help, Buckets: buckets}, h.Labels),
		requests: newCounters(requests, func(k request) []string {
			return []string{k.method, k.route.name, strconv.Itoa(k.status)}
		}),
		problems: newCounters(problems, func(code problem.Code) []string { return []string{string(code)} }),
		events:   newCounters(events, func(k event) []string { return []string{k.name, k.reason} }),
		codes:    map[problem.Code]bool{},
	}
	for _, code := range problem.Codes() {
		m.codes[code] = true
	}
	m.registry.MustRegister(m.took, figures{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// A Route is a pattern under which requests are counted.
type Route struct {
	name string
	took prometheus.Observer
}

// Route returns the route of a pattern. Patterns come from the configuration and the code, never from a request; get
// them once, at the start.
func (m *Metrics) Route(pattern string) *Route {
	r, _ := m.routes.LoadOrStore(pattern, &Route{name: pattern, took: m.took.WithLabelValues(pattern)})
	return r.(*Route)
}

// Begin counts a request as under way. [Metrics.End] must follow.
func (m *Metrics) Begin() { m.inFlight.Add(1) }

// End counts a request that has been answered. code is that of a refusal of ours, or empty.
func (m *Metrics) End(route *Route, method string, status int, code string, took time.Duration) {
	m.inFlight.Add(-1)
	k := request{knownMethod(method), route, status}
	m.requests.add(k, request{other, route, 0})
	route.took.Observe(took.Seconds())
	if code != "" {
		c := problem.Code(code)
		if !m.codes[c] {
			c = other
		}
		m.problems.add(c, other)
	}
}

// knownMethod returns one of the methods of RFC 9110 that are served, or "other": a client may send any word.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return method
	}
	return other
}

// Event counts a security event: for [tokenjar.Config.OnEvent].
func (m *Metrics) Event(e tokenjar.AuditEvent) {
	m.events.add(event{word(e.Name), word(e.Reason)}, event{other, other})
}

// word lets words of ours through. Names and reasons are such words; this holds also should one ever not be.
func word(s string) string {
	if len(s) > 48 {
		return other
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' {
			return other
		}
	}
	return s
}

// AddressUnknown counts a request whose client address cannot be known.
func (m *Metrics) AddressUnknown() { m.addressUnknown.Add(1) }

// ConnOpened counts a connection that has begun.
func (m *Metrics) ConnOpened() { m.connsOpen.Add(1) }

// ConnClosed counts a connection that has ended.
func (m *Metrics) ConnClosed() { m.connsOpen.Add(-1) }

// ConnShed counts a connection that was closed to make room.
func (m *Metrics) ConnShed() { m.connsShed.Add(1) }

// AcceptError counts a connection that could not be accepted.
func (m *Metrics) AcceptError() { m.acceptErrors.Add(1) }

// Follow reads a service's figures at each scrape.
func (m *Metrics) Follow(stats func() tokenjar.Stats) { m.stats.Store(&stats) }

// FollowLog reads, at each scrape, how many lines the log has lost. Nil: it loses none.
func (m *Metrics) FollowLog(dropped func() int64) {
	if dropped != nil {
		m.logDropped.Store(&dropped)
	}
}

// FollowProxy reads a proxy's figures at each scrape, beside those of others: the metrics are their sums.
func (m *Metrics) FollowProxy(stats func() proxy.Stats) {
	m.proxyMu.Lock()
	defer m.proxyMu.Unlock()
	m.proxies = append(m.proxies, stats)
}

// proxied returns the figures of all proxies together, and whether there are any.
func (m *Metrics) proxied() (sum proxy.Stats, any bool) {
	m.proxyMu.Lock()
	defer m.proxyMu.Unlock()
	for _, stats := range m.proxies {
		st := stats()
		sum.WebSockets += st.WebSockets
		sum.EventStreams += st.EventStreams
		sum.StreamsOpened += st.StreamsOpened
		sum.StreamsEnded += st.StreamsEnded
		sum.Refused += st.Refused
		sum.Limited += st.Limited
		sum.Unavailable += st.Unavailable
		sum.TimedOut += st.TimedOut
		sum.BrokenOff += st.BrokenOff
	}
	return sum, len(m.proxies) > 0
}

// Registry returns the registry.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the metrics as Prometheus reads them.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// figures are read when somebody asks.
type figures struct{ m *Metrics }

// Describe says nothing, so that the registry checks what is collected instead.
func (figures) Describe(chan<- *prometheus.Desc) {}

// Collect reads every figure that is not a histogram.
func (f figures) Collect(ch chan<- prometheus.Metric) {
	m := f.m
	put := func(name string, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if lookUp(name).Type == "counter" {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(describe(name), kind, value, labels...)
	}
	m.requests.collect(ch)
	m.problems.collect(ch)
	m.events.collect(ch)
	put(inFlight, float64(m.inFlight.Load()))
	put(addressUnknown, float64(m.addressUnknown.Load()))
	put(connsOpen, float64(m.connsOpen.Load()))
	put(connsShed, float64(m.connsShed.Load()))
	put(acceptErrors, float64(m.acceptErrors.Load()))
	lost := int64(0)
	if dropped := m.logDropped.Load(); dropped != nil {
		lost = (*dropped)()
	}
	put(logDropped, float64(lost))
	put(buildInfo, 1, m.version, runtime.Version())
	if st, any := m.proxied(); any {
		put(proxyOpen, float64(st.WebSockets), "websocket")
		put(proxyOpen, float64(st.EventStreams), "event_stream")
		put(proxyOpened, float64(st.StreamsOpened))
		put(proxyEnded, float64(st.StreamsEnded))
		put(proxyRefused, float64(st.Refused))
		put(proxyLimited, float64(st.Limited))
		put(proxyErrors, float64(st.Unavailable), "unavailable")
		put(proxyErrors, float64(st.TimedOut), "timeout")
		put(proxyErrors, float64(st.BrokenOff), "broken_off")
	}
	stats := m.stats.Load()
	if stats == nil {
		return
	}
	st := (*stats)()
	put(revocations, float64(st.Revocations))
	put(staleness, st.Staleness.Seconds())
	put(clockSkew, st.ClockSkew.Seconds())
	put(hashesRunning, float64(st.HashesRunning))
	put(hashesWaiting, float64(st.HashesWaiting))
	put(auditPending, float64(st.AuditPending))
	put(auditDropped, float64(st.AuditDropped))
	put(cacheHits, float64(st.CacheHits))
	put(cacheMisses, float64(st.CacheMisses))
	if !st.KeyCreated.IsZero() {
		put(keyAge, m.now().Sub(st.KeyCreated).Seconds())
	}
}
