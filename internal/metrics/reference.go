package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// A Metric is one family as the reference describes it.
type Metric struct {
	Name   string
	Type   string // "counter", "gauge" or "histogram"
	Labels []string
	Help   string
}

// The families.
const (
	requests       = "tokenjar_http_requests_total"
	duration       = "tokenjar_http_request_duration_seconds"
	inFlight       = "tokenjar_http_requests_in_flight"
	problems       = "tokenjar_problems_total"
	events         = "tokenjar_security_events_total"
	addressUnknown = "tokenjar_client_address_unknown_total"
	connsOpen      = "tokenjar_connections_open"
	connsShed      = "tokenjar_connections_shed_total"
	acceptErrors   = "tokenjar_accept_errors_total"
	revocations    = "tokenjar_revocations_known"
	staleness      = "tokenjar_revocation_staleness_seconds"
	clockSkew      = "tokenjar_store_clock_skew_seconds"
	hashesRunning  = "tokenjar_password_hashes_running"
	hashesWaiting  = "tokenjar_password_hashes_waiting"
	auditPending   = "tokenjar_audit_events_pending"
	auditDropped   = "tokenjar_audit_events_dropped_total"
	cacheHits      = "tokenjar_token_cache_hits_total"
	cacheMisses    = "tokenjar_token_cache_misses_total"
	logDropped     = "tokenjar_log_lines_dropped_total"
	keyAge         = "tokenjar_signing_key_age_seconds"
	proxyOpen      = "tokenjar_proxy_streams_open"
	proxyOpened    = "tokenjar_proxy_streams_opened_total"
	proxyEnded     = "tokenjar_proxy_streams_ended_total"
	proxyRefused   = "tokenjar_proxy_refused_total"
	proxyLimited   = "tokenjar_proxy_limited_total"
	proxyErrors    = "tokenjar_proxy_upstream_errors_total"
	buildInfo      = "tokenjar_build_info"
)

var table = []Metric{
	{requests, "counter", []string{"method", "route", "status"},
		"Requests answered. The route is a pattern, never a path; what no route matches is \"other\"."},
	{duration, "histogram", []string{"route"}, "Time from the head of a request to the end of its answer."},
	{inFlight, "gauge", nil, "Requests under way."},
	{problems, "counter", []string{"code"}, "Refusals of ours, by the code in X-Tokenjar-Problem."},
	{events, "counter", []string{"event", "reason"}, "Security events, as in the audit trail."},
	{addressUnknown, "counter", nil,
		"Requests whose client address cannot be known, because the proxy they came through is not in trusted_proxies."},
	{connsOpen, "gauge", nil, "Connections open on the public listener."},
	{connsShed, "counter", nil, "Connections closed to make room for new ones, the longest idle first."},
	{acceptErrors, "counter", nil, "Connections that could not be accepted, as when file descriptors have run out."},
	{revocations, "gauge", nil, "Ended sessions kept in memory because an access token of theirs may still live."},
	{staleness, "gauge", nil, "Time since this node last learned of sessions ended elsewhere."},
	{clockSkew, "gauge", nil,
		"How far this node's clock is off the store's, positive when it is ahead. Beyond 5 s the node is not ready."},
	{hashesRunning, "gauge", nil, "Passwords being checked."},
	{hashesWaiting, "gauge", nil, "Passwords waiting to be checked."},
	{auditPending, "gauge", nil, "Security events not yet in the store."},
	{auditDropped, "counter", nil, "Security events that did not reach the store and stand in the log alone."},
	{cacheHits, "counter", nil, "Access tokens found among those verified before."},
	{cacheMisses, "counter", nil, "Access tokens whose signature had to be verified."},
	{logDropped, "counter", nil, "Lines of the log that were dropped because nobody read them fast enough."},
	{keyAge, "gauge", nil, "Age of the key that signs access tokens."},
	{proxyOpen, "gauge", []string{"kind"}, "Streams open through the proxy: websocket or event_stream."},
	{proxyOpened, "counter", nil, "Streams opened through the proxy."},
	{proxyEnded, "counter", nil,
		"Streams ended by us because their session had ended, its claims had changed, or nobody could tell whether it had ended."},
	{proxyRefused, "counter", nil, "Requests and streams answered 503 because their service had all it may get at once."},
	{proxyLimited, "counter", nil, "Requests and streams answered 429 because their session, user or address had its share of that."},
	{proxyErrors, "counter", []string{"kind"},
		"Faults of services: unavailable (502), timeout (504), broken_off (an answer that was begun and not finished)."},
	{buildInfo, "gauge", []string{"version", "go_version"}, "Always 1; the labels tell what runs."},
}

// Reference returns every family of ours, in the order of the table. Beside them stand those of the Go runtime (go_…)
// and of the process (process_…), as Prometheus' own collectors define them.
func Reference() []Metric {
	list := slices.Clone(table)
	for i := range list {
		list[i].Labels = slices.Clone(list[i].Labels)
	}
	return list
}

// describe returns the description of a family, from the table.
func describe(name string) *prometheus.Desc {
	m := lookUp(name)
	return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
}

func lookUp(name string) Metric {
	i := slices.IndexFunc(table, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		panic("metrics: " + name + " is not in the table")
	}
	return table[i]
}
