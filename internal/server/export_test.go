package server

import (
	"net/http/httptest"
	"time"
)

// SetLimits shortens the limits of connections, for tests.
func (o *Options) SetLimits(header, read, write, idle time.Duration, connections int) {
	o.limits = &limits{header, read, write, idle, connections}
}

// Scrape returns what Prometheus would read, also where there is no admin listener.
func (s *Server) Scrape() string {
	rec := httptest.NewRecorder()
	s.adminHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

// SampleURL is where the demo's service listens.
func (s *Server) SampleURL() string { return s.sample.URL() }
