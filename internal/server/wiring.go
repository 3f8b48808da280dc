package server

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/ratelimit"
	"github.com/tokenjar/tokenjar/session"
)

// serviceConfig translates the settings for the root package.
func serviceConfig(cfg config.Config, publicURL string, opts Options) tokenjar.Config {
	issuer := cfg.Token.Issuer
	if issuer == "" {
		issuer = publicURL
	}
	audience := cfg.Token.Audience
	if audience == "" {
		audience = publicURL
	}
	rotateEvery := cfg.Token.RotateEvery
	if rotateEvery == 0 {
		rotateEvery = -1 // never
	}
	return tokenjar.Config{
		Issuer: issuer, Audience: audience, ClientID: cfg.Token.ClientID,
		Algorithm: cfg.Token.Algorithm, AccessLifetime: cfg.Token.AccessLifetime, RotateEvery: rotateEvery,
		Idle: cfg.Session.Idle, RememberIdle: cfg.Session.Remember, Absolute: cfg.Session.Absolute,
		Grace: cfg.Session.Grace, InsecureNoGrace: cfg.Session.Grace == 0, MaxPerUser: cfg.Session.MaxPerUser,
		PasswordPolicy: password.Policy{Min: cfg.Password.MinLength},
		SessionCheck:   tokenjar.SessionCheck(cfg.Token.SessionCheck), AllowStaleSessions: cfg.Token.StaleSessions == "allow",
		Now: opts.Now, Logger: opts.Logger,
	}
}

// guardConfig translates them for package session.
func (s *Server) guardConfig(cfg config.Config, publicURL string, cookies *cookie.Policy, opts Options) session.Config {
	return session.Config{
		Service: s.service, PublicURL: publicURL, Cookies: cookies,
		TrustedOrigins: cfg.CSRF.TrustedOrigins,
		NoRenewal:      !cfg.Session.TransparentRenewal, RenewalExclude: cfg.Session.RenewalExclude,
		ClientIP: s.clientIP, Now: opts.Now,
		BearerFirst: cfg.Auth.Order == "bearer_first",
	}
}

// apiConfig translates them for package httpapi.
func (s *Server) apiConfig(cfg config.Config, guard *session.Guard, opts Options) httpapi.Config {
	return httpapi.Config{
		Guard: guard, Path: cfg.Auth.Path, Version: opts.Version, Ready: s.ready,
		NoDocs: !cfg.Auth.Docs,
	}
}

// proxyConfig translates them for package proxy. What routes allow that is less safe than usual is among the warnings of the
// configuration, with its setting.
func (s *Server) proxyConfig(cfg config.Config, f *frontend, routes []config.Route) proxy.Config {
	out := proxy.Config{
		Guard: f.guard, PublicURL: f.publicURL, LoginPage: cfg.Auth.LoginPage, ClientIP: s.clientIP, Logger: s.log,
		Self: s.addresses(), Announced: true,
	}
	for _, r := range routes {
		out.Routes = append(out.Routes, r.ProxyRoute())
	}
	return out
}

// loginLimits returns what bounds how often passwords are tried.
func loginLimits(cfg config.Limits, now func() time.Time) (tokenjar.LoginLimits, error) {
	account, err := ratelimit.ParseRate(cfg.LoginPerAccount)
	if err != nil {
		return nil, fmt.Errorf("limits.login_per_account: %w", err)
	}
	address, err := ratelimit.ParseRate(cfg.LoginPerAddress)
	if err != nil {
		return nil, fmt.Errorf("limits.login_per_address: %w", err)
	}
	return ratelimit.New(ratelimit.Config{PerAccount: account, PerAddress: address, Now: now})
}

// unknownAddresses remembers whether it has been said that client addresses cannot be known.
type unknownAddresses struct{ told atomic.Bool }

// noteUnknown counts a request whose client cannot be known, and warns of the first: all clients behind a proxy that is
// not trusted, or that does not say for whom it asks, look like one.
func (s *Server) noteUnknown(clientIP string) {
	s.metrics.AddressUnknown()
	if s.unknown.told.CompareAndSwap(false, true) {
		s.log.Warn("the client address of a request cannot be known: if it came through your proxy, list that in "+
			"trusted_proxies and have it send X-Forwarded-For; until then limits by address hold for all of its clients "+
			"together", "client_ip", clientIP)
	}
}
