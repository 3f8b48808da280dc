package server

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/metrics"
)

// patterns tell under which name a path is counted. There are as many names as there are routes, whatever is asked for.
type patterns struct {
	exact     map[string]*metrics.Route
	templates []template
	other     *metrics.Route // what no route matches, and what is refused before routes are looked at
}

// A template is a pattern with names in braces, each of which stands for one segment.
type template struct {
	segments []string
	route    *metrics.Route
}

// newPatterns takes the patterns of the API from its own document.
func newPatterns(m *metrics.Metrics, api *httpapi.API, others ...string) (*patterns, error) {
	var document struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI(), &document); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	p := &patterns{exact: map[string]*metrics.Route{}, other: m.Route("other")}
	for pattern := range document.Paths {
		p.add(m, pattern)
	}
	for _, pattern := range others {
		p.add(m, pattern)
	}
	return p, nil
}

func (p *patterns) add(m *metrics.Metrics, pattern string) {
	if strings.Contains(pattern, "{") {
		p.templates = append(p.templates, template{strings.Split(pattern, "/"), m.Route(pattern)})
		return
	}
	p.exact[pattern] = m.Route(pattern)
}

// of returns the route of a canonical path.
func (p *patterns) of(path string) *metrics.Route {
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	if r, ok := p.exact[path]; ok {
		return r
	}
	for _, t := range p.templates {
		if t.matches(path) {
			return t.route
		}
	}
	return p.other
}

func (t template) matches(path string) bool {
	for i, want := range t.segments {
		segment, rest, more := strings.Cut(path, "/")
		if more != (i < len(t.segments)-1) || segment != want && (want == "" || want[0] != '{' || segment == "") {
			return false
		}
		path = rest
	}
	return true
}
