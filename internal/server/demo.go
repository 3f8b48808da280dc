package server

import (
	"net"
	"slices"
	"strings"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/sample"
)

// The demo's service is one like any other: on an address of its own, behind a route, with tokens of its own, which it verifies
// with the published keys.

// addSample listens for the service and adds its route, unless a route of the file that the demo was given leads that path
// elsewhere.
func (s *Server) addSample(cfg *config.Config) (err error) {
	if s.sample, err = sample.Listen(); err != nil {
		return err
	}
	led := func(r config.Route) bool {
		return strings.HasPrefix(sample.Path+"/", strings.TrimSuffix(r.Path, "/")+"/")
	}
	if !slices.ContainsFunc(cfg.Routes, led) {
		r := config.DefaultRoute()
		r.Path, r.Upstream = sample.Path, s.sample.URL()
		cfg.Routes = append(slices.Clip(cfg.Routes), r)
	}
	return nil
}

// serveSample has the service answer. It asks us for the keys at its first token, when we serve.
func (s *Server) serveSample() error {
	at := *s.listener.Addr().(*net.TCPAddr)
	if at.IP.IsUnspecified() {
		at.IP = net.IPv4(127, 0, 0, 1)
	}
	return s.sample.Serve(sample.Config{
		Issuer: s.service.Issuer(), Keys: "http://" + at.String() + "/.well-known/jwks.json", Now: s.now, Logger: s.log,
	})
}
