package config

import (
	"reflect"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/proxy"
)

// A Route leads a path prefix to a service: an entry of the list routes. The tags are as those of [Config]; what has an
// example is required. Other fields that are zero, in a Config that a program has made, have their default, but for MaxBody.
type Route struct {
	Path         string                `key:"path" example:"/api/" doc:"Prefix, in whole segments: /api/ leads /api, /api/ and /api/x. The longest that matches wins, whatever the order; what is served here itself, as auth.path, comes before all of them. Required."`
	Upstream     string                `key:"upstream" example:"http://127.0.0.1:9000" doc:"Address of the service, as http://127.0.0.1:9000, perhaps with a path that is put in front. Required."`
	Auth         string                `key:"auth" default:"required" enum:"required optional none" doc:"Who may pass: required is who is signed in, optional anybody, with who is signed in being known (a WebSocket whose session needs a refresh is 401), none anybody, with no credential looked at."`
	Methods      map[string]MethodRule `key:"methods" default:"" doc:"Rules for single methods, as {GET: none, POST: [cookie, bearer], DELETE: [cookie]}: required, optional, none, or what a request may be authenticated by, a list of cookie and bearer. Others follow auth; HEAD follows GET."`
	CSRF         string                `key:"csrf" default:"check" enum:"check none" doc:"none lets any page of any site make a signed-in browser send any request to this service. It is logged at the start."`
	SessionCheck tokenjar.SessionCheck `key:"session_check" default:"" enum:"cached database" doc:"A stricter check of sessions than token.session_check, for this route; default the same."`
	Token        string                `key:"token" default:"audience" enum:"audience forward none" doc:"The bearer token that the service gets: audience is one made for it alone, forward the user's own access token, with which the service can do whatever the user can, none no token."`
	Audience     string                `key:"audience" default:"" doc:"Claim aud of the tokens made for the service; default the origin of upstream."`
	Scopes       []string              `key:"scopes" default:"" doc:"Claim scope of these tokens."`
	StripPrefix  bool                  `key:"strip_prefix" default:"false" doc:"Cut path from what is sent on. The service finds it in X-Forwarded-Prefix."`
	EncodedSlash bool                  `key:"encoded_slash" default:"false" doc:"Let %2F through, as it is."`
	WebSocket    bool                  `key:"websocket" default:"false" doc:"Allow WebSockets. They close with 4401 when the session ends."`
	SSE          bool                  `key:"sse" default:"false" doc:"Treat every answer as a stream: nothing is held back, silence is not cut off, and it ends with the session. Answers of the type text/event-stream always are."`
	StripHeaders []string              `key:"strip_headers" default:"" doc:"Further request headers that the service does not get."`
	PassHeaders  []string              `key:"pass_headers" default:"" doc:"Request headers that the service gets although they would be removed, each by its name."`

	ConnectTimeout time.Duration `key:"connect_timeout" default:"5s" min:"10ms" max:"5m" doc:"For a connection to the service, TLS included."`
	HeaderTimeout  time.Duration `key:"header_timeout" default:"30s" min:"10ms" max:"1h" doc:"From the end of the request to the head of the answer; then 504."`
	IdleTimeout    time.Duration `key:"idle_timeout" default:"60s" min:"10ms" max:"1h" doc:"How long the service may pause in an answer that is no stream, and in taking what it is sent."`
	MaxBody        Size          `key:"max_body" default:"10MiB" min:"0" max:"1024GiB" doc:"Size of a request's body at most; 0 is any."`
	MaxRequests    int           `key:"max_requests" default:"512" min:"1" max:"100000" doc:"Requests the service gets at once, streams apart; others are 503. Of several routes of a frontend to one service the least counts."`
	MaxStreams     int           `key:"max_streams" default:"10000" min:"1" max:"1000000" doc:"WebSockets and event streams open at once; others are 503."`
	MaxPerSession  int           `key:"max_per_session" default:"0" min:"0" max:"1000000" doc:"Requests that one session may have under way at once, and streams open; others are 429. Raise it for programs that sign in and ask for much at a time. 0 is a quarter of max_requests, and of max_streams, at least 16 and at most 128; of several routes to one service the most counts for requests. All sessions of a user together have a quarter, or max_per_session if that is more; all at one address who are not signed in a half."`
}

// DefaultRoute returns a route with everything but path and upstream.
func DefaultRoute() Route {
	var r Route
	routeSchema.fill(reflect.ValueOf(&r).Elem())
	return r
}

var routeSchema = root.byKey["routes"].entries

// ProxyRoute returns what package proxy needs.
func (r Route) ProxyRoute() proxy.Route {
	out := proxy.Route{
		Path: r.Path, Upstream: r.Upstream, Auth: proxy.Auth(r.Auth), Methods: proxyRules(r.Methods),
		InsecureSkipCSRF: r.CSRF == "none", SessionCheck: r.SessionCheck,
		Token: proxy.Token(r.Token), Audience: r.Audience, Scopes: r.Scopes,
		StripPrefix: r.StripPrefix, EncodedSlash: r.EncodedSlash, WebSocket: r.WebSocket, SSE: r.SSE,
		StripHeaders: r.StripHeaders, PassHeaders: r.PassHeaders,
		ConnectTimeout: r.ConnectTimeout, HeaderTimeout: r.HeaderTimeout, IdleTimeout: r.IdleTimeout,
		MaxBody: int64(r.MaxBody), MaxRequests: r.MaxRequests, MaxStreams: r.MaxStreams, MaxPerSession: r.MaxPerSession,
	}
	if r.MaxBody == 0 {
		out.MaxBody = -1
	}
	return out
}

// SPA says where the pages of a single-page application come from.
type SPA struct {
	Dir       string `key:"dir" default:"" doc:"Folder with the files of the built application, and nothing else: everybody can read them. Paths that are no file get index.html."`
	CSP       string `key:"csp" default:"" doc:"What the pages may load beside what this server serves, as additions to their Content-Security-Policy: connect-src https://api.example.com; img-src https://tiles.example.com."`
	DevServer string `key:"dev_server" default:"" doc:"Address of a development server, as http://127.0.0.1:5173, that serves the application while it is written, to its own pages and to who opens one. For loopback public_url alone."`
}

// A Frontend is a further address under which browsers know this server: an entry of the list frontends.
type Frontend struct {
	PublicURL string  `key:"public_url" example:"https://shop.example.com" doc:"Address under which browsers know it, of another host than public_url and the other frontends. Required."`
	SPA       SPA     `key:"spa"`
	Routes    []Route `key:"routes" doc:"Routes at this address, each as in routes at the top, which do not hold here."`
}
