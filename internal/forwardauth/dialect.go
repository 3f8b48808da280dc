package forwardauth

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tokenjar/tokenjar/problem"
)

// Each proxy has its own way to say which request it asks about. One of them is configured, and what another would say is
// not looked at: a client could have written it, and the proxy, which does not know it, let it through.
//
//	          method               URI                  host
//	nginx     X-Original-Method    X-Original-URI       X-Original-Host    set by its configuration: proxy_set_header
//	traefik   X-Forwarded-Method   X-Forwarded-Uri      X-Forwarded-Host   set by itself, unless trustForwardHeader
//	caddy     X-Forwarded-Method   X-Forwarded-Uri      X-Forwarded-Host   set by itself
//	envoy     its own              its own, after Path  its own            with path_prefix
//
// Each of them is there once, or nobody is let in. The client's address and the scheme come from X-Forwarded-For and
// X-Forwarded-Proto; the proxies set them, nginx by its configuration. The address is for the log.

// Path is where proxies ask.
const Path = "/forward-auth"

// A Dialect is how one proxy describes the request that it asks about.
type Dialect string

// The dialects.
const (
	Nginx   Dialect = "nginx"
	Traefik Dialect = "traefik"
	Caddy   Dialect = "caddy"
	Envoy   Dialect = "envoy"
)

// names are the header fields of a dialect, as net/http writes them.
type names struct{ method, uri, host string }

var dialects = map[Dialect]names{
	Nginx:   {"X-Original-Method", "X-Original-Uri", "X-Original-Host"},
	Traefik: {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
	Caddy:   {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
}

// Asks reports whether a request target is one at which the proxy asks. Envoy puts the target it asks about behind [Path].
func (d Dialect) Asks(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	if d == Envoy {
		return strings.HasPrefix(path, Path+"/")
	}
	_, known := dialects[d]
	return known && path == Path
}

// A Description is the request that a proxy asks about.
type Description struct {
	// Request has the method, host and target that the proxy names, and of its header what credentials, origin and CSRF
	// token are read from. It has no body. Its peer is the client, as far as the proxy says who that is.
	Request *http.Request
	// PlainHTTP says that the client's connection to the proxy was not encrypted.
	PlainHTTP bool
}

// Describe returns the request that the proxy asks about. The error is a problem for whoever configures the proxy: it names
// the field that is missing, or that is there twice.
func (d Dialect) Describe(r *http.Request) (Description, error) {
	var method, target, host string
	if d == Envoy {
		method, target, host = r.Method, strings.TrimPrefix(r.RequestURI, Path), r.Host
		if host == "" {
			return Description{}, unconfigured("Host")
		}
	} else {
		n := dialects[d]
		for _, f := range []struct {
			name  string
			value *string
		}{{n.method, &method}, {n.uri, &target}, {n.host, &host}} {
			values := r.Header[f.name]
			if len(values) != 1 || values[0] == "" {
				return Description{}, unconfigured(f.name)
			}
			*f.value = values[0]
		}
	}
	path, query, _ := strings.Cut(target, "?")
	asked := &http.Request{
		Method: method, Host: host, RequestURI: target, URL: &url.URL{Path: path, RawQuery: query},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
		Header: judged(r.Header), RemoteAddr: r.RemoteAddr,
	}
	setClient(asked, r.Header["X-Forwarded-For"])
	return Description{asked.WithContext(r.Context()), isPlain(r.Header["X-Forwarded-Proto"])}, nil
}

// unconfigured is what a proxy is told that does not say which request it asks about.
func unconfigured(field string) error {
	return problem.New(problem.ProxyMisconfigured).WithDetail(fmt.Sprintf("The proxy in front must send the header field %s, once.", field))
}

// What is read of a header beside what a dialect names. A proxy that is told which fields to pass on must be told of all of
// these.
var (
	judgedFields    = []string{"Authorization", "Cookie", "Origin", "Sec-Fetch-Site", "X-Csrftoken"}
	handshakeFields = []string{"Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions"}
)

// judged returns what of a header says who sends a request, and from where. A WebSocket handshake is marked as one: most
// proxies leave Upgrade out when they ask, since it is for one connection.
func judged(from http.Header) http.Header {
	h := make(http.Header, 6)
	for _, name := range judgedFields {
		if values, ok := from[name]; ok {
			h[name] = values
		}
	}
	if isHandshake(from) {
		h["Upgrade"] = []string{"websocket"}
	}
	return h
}

// isHandshake reports whether anything says that a request opens a WebSocket (RFC 6455, section 4.1; RFC 8441, section 5).
func isHandshake(h http.Header) bool {
	for _, name := range handshakeFields {
		if len(h[name]) > 0 {
			return true
		}
	}
	for _, mode := range h["Sec-Fetch-Mode"] {
		if mode == "websocket" {
			return true
		}
	}
	return false
}

// setClient makes the last address of X-Forwarded-For the peer, since it is the proxy's own, and leaves the others to
// trusted_proxies. Without one the proxy stays the peer.
func setClient(r *http.Request, forwarded []string) {
	chain := strings.Join(forwarded, ",")
	before, last := "", chain
	if i := strings.LastIndexByte(chain, ','); i >= 0 {
		before, last = chain[:i], chain[i+1:]
	}
	last = strings.Trim(last, " \t")
	addr, err := netip.ParseAddr(last)
	if err != nil {
		p, err := netip.ParseAddrPort(last)
		if err != nil {
			return
		}
		addr = p.Addr()
	}
	r.RemoteAddr = netip.AddrPortFrom(addr, 0).String()
	if before != "" {
		r.Header["X-Forwarded-For"] = []string{before}
	}
}

// isPlain reports whether the proxy says that the client came by another scheme than https, or wss of a handshake.
func isPlain(schemes []string) bool {
	if len(schemes) == 0 {
		return false
	}
	last := schemes[len(schemes)-1]
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		last = last[i+1:]
	}
	last = strings.TrimSpace(last)
	return !strings.EqualFold(last, "https") && !strings.EqualFold(last, "wss")
}
