package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A service is what the routes of a Proxy to one address share, by whatever path they lead there: how many requests it gets at once, and
// the connections to it.
type service struct {
	name   string // scheme, host and port
	places *places
	share  share
	outage outage
	pools  map[pool]http.RoundTripper
}

// A pool is what connections to a service must have in common, so that one route can use what another one has opened.
type pool struct {
	connect, header, idle time.Duration
}

// services are all that routes lead to, by their names.
type services map[string]*service

// newServices finds the services of routes. One gets as many requests at once as the least of its routes allows, and of those
// a session as many as the most of them: its requests are counted together, so by its own limit one route would be shut by what
// goes on behind another.
func newServices(routes []Route) services {
	most, perSession := map[string]int{}, map[string]int{}
	for _, r := range routes {
		u, err := url.Parse(r.Upstream)
		if err != nil || r.MaxRequests < 0 { // is refused
			continue
		}
		name, own := serviceName(u), orDefault(r.MaxRequests, DefaultMaxRequests)
		most[name] = min(orDefault(most[name], own), own)
		perSession[name] = max(perSession[name], r.MaxPerSession)
	}
	all := services{}
	for name, n := range most {
		all[name] = &service{name: name, places: newPlaces(n), share: newShare(n, perSession[name]), pools: map[pool]http.RoundTripper{}}
	}
	return all
}

// serviceName returns the origin of an upstream, in the one way to write it (RFC 6454, section 4).
func serviceName(upstream *url.URL) string {
	scheme, host := strings.ToLower(upstream.Scheme), strings.ToLower(upstream.Host)
	return scheme + "://" + strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
}

// transport returns the connections for a route.
func (s *service) transport(r Route, upstream *url.URL) http.RoundTripper {
	key := pool{r.ConnectTimeout, r.HeaderTimeout, r.IdleTimeout}
	if s.pools[key] == nil {
		s.pools[key] = newDirect(upstream, r, s.places.most())
	}
	return s.pools[key]
}
