package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
	"github.com/tokenjar/tokenjar/proxy"
)

// What a service behind the whole server gets, byte for byte, and what of its answers comes out. Requests are written and
// answers are read on raw connections.

// proxyRoute is a route with the defaults of the file.
func proxyRoute(path, upstream string, changes ...func(*config.Route)) config.Route {
	r := config.Route{
		Path: path, Upstream: upstream, Auth: "required", CSRF: "check", Token: "audience",
		ConnectTimeout: proxy.DefaultConnectTimeout, HeaderTimeout: proxy.DefaultHeaderTimeout, IdleTimeout: proxy.DefaultIdleTimeout,
		MaxBody: proxy.DefaultMaxBody, MaxRequests: proxy.DefaultMaxRequests, MaxStreams: 100,
	}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func routes(list ...config.Route) servertest.Setup {
	return servertest.Setup{Config: func(c *config.Config) { c.Routes = list }}
}

func withAuth(auth string) func(*config.Route) {
	return func(r *config.Route) {
		if r.Auth = auth; auth == "none" {
			r.Token = "none"
		}
	}
}

// theRoutes are those of most tests. Each has a path of its own at the service, which tells by which rules a request came.
func theRoutes(service string) servertest.Setup {
	return routes(
		proxyRoute("/api/", service+"/r-api", func(r *config.Route) { r.StripPrefix = true }),
		proxyRoute("/api/admin/", service+"/r-admin", func(r *config.Route) { r.Audience = "admin" }),
		proxyRoute("/open/", service+"/r-open", withAuth("none")),
		proxyRoute("/maybe/", service+"/r-maybe", withAuth("optional")),
		proxyRoute("/files/", service+"/r-files", func(r *config.Route) { r.EncodedSlash = true }),
		proxyRoute("/live/", service+"/r-live", func(r *config.Route) { r.WebSocket = true }),
	)
}

// credentials are what a browser sends that is signed in, as Cookie field.
func credentials(ada servertest.Pair) string {
	return "Cookie: theme=dark; access_token=" + ada.Access + "; refresh_token=" + ada.Refresh + "; csrftoken=" + ada.CSRF + "; lang=en\r\n"
}

// wantOursAlone fails the test unless a service was told of the client what we say, once, and nothing else. What an attacker
// claims has the word evil in it; ada may be nobody.
func wantOursAlone(t *testing.T, w *servertest.World, ada servertest.Pair, got upstreamtest.Request, bearer bool) {
	t.Helper()
	for _, f := range got.Fields {
		if strings.Contains(strings.ToLower(f.Name+f.Value), "evil") {
			t.Errorf("the service was sent %s: %s", f.Name, f.Value)
		}
	}
	for name, secret := range map[string]string{"access token": ada.Access, "refresh token": ada.Refresh, "CSRF token": ada.CSRF} {
		if secret != "" && strings.Contains(got.Bytes, secret) {
			t.Errorf("the service was sent the %s: %s", name, got.Bytes)
		}
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": w.Host(), "X-Forwarded-Proto": "http",
		"Forwarded": `for=127.0.0.1;host="` + w.Host() + `";proto=http`,
	} {
		if values := got.Values(name); !slices.Equal(values, []string{want}) {
			t.Errorf("%s: got %q, want %q", name, values, want)
		}
	}
	if n := len(got.Values("X-Request-Id")); n != 1 {
		t.Errorf("%d request ids", n)
	}
	values := got.Values("Authorization")
	if bearer && (len(values) != 1 || !strings.HasPrefix(values[0], "Bearer eyJ")) || !bearer && len(values) > 0 {
		t.Errorf("Authorization: got %q", values)
	}
}
