package config_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/internal/config"
)

func TestPrintedIsReadBack(t *testing.T) {
	c := config.Defaults()
	c.PublicURL = "https://app.example.com"
	c.Token.Issuer = `it's "quoted": #1 \ {x} é`
	c.Token.Audience = "true"
	c.Token.ClientID = "123"
	c.Session.Idle = 36 * time.Hour
	c.Session.Remember = 90*time.Minute + 500*time.Millisecond
	c.Session.RenewalExclude = nil
	c.Cookies.Domain = ".example.com"
	c.Cookies.LegacyScopes = []cookie.Scope{{Path: "/"}, {Path: "/a", Domain: "example.com"}}
	c.CSRF.TrustedOrigins = []string{"https://b.example.com", "https://app.example.com:8443"}
	c.CORS.AllowedOrigins, c.CORS.AllowedHeaders = []string{"https://b.example.com"}, []string{"X-Trace"}
	c.Token.RotateEvery = 0
	c.Auth.Order, c.Auth.Docs = "bearer_first", false
	c.Limits.LoginPerAccount = "10/h"
	c.Admin.Listen, c.Admin.ForwardAuth = "[::1]:9090", "nginx"
	c.Auth.LoginPage = "/sign-in/"
	c.SPA = config.SPA{Dir: "/srv/it's \"quoted\""}
	c.Routes = []config.Route{config.DefaultRoute(), everyRouteSetting()}
	c.Routes[0].Path, c.Routes[0].Upstream = "/api/", "https://[fd00::1]:9000/base"
	c.Frontends = []config.Frontend{
		{PublicURL: "https://b.example.com", SPA: config.SPA{Dir: "/srv/b"}, Routes: []config.Route{everyRouteSetting(), c.Routes[0]}},
		{PublicURL: "https://c.example.com"},
	}
	for name, c := range map[string]config.Config{"defaults": config.Defaults(), "everything changed": c} {
		t.Run(name, func(t *testing.T) {
			text, again := printAndLoad(t, c)
			if !reflect.DeepEqual(again, c) {
				t.Errorf("got  %+v\nwant %+v\nfrom:\n%s", again, c, text)
			}
			for _, key := range config.Keys() {
				leaf := key[strings.LastIndexByte(key, '.')+1:]
				if !strings.Contains(text, leaf+":") {
					t.Errorf("%s is not printed", key)
				}
			}
		})
	}
}

func printAndLoad(t testing.TB, c config.Config) (string, config.Config) {
	t.Helper()
	var out bytes.Buffer
	if err := config.Print(&out, c); err != nil {
		t.Fatal(err)
	}
	l, err := config.LoadText(config.Source{}, "tokenjar.yaml", out.String())
	if err != nil {
		t.Fatalf("%v\nfrom:\n%s", err, out.String())
	}
	return out.String(), l.Config
}

func TestStarterIsValidWithAndWithoutItsComments(t *testing.T) {
	c := config.Defaults()
	c.PublicURL = "https://app.example.com"
	var out bytes.Buffer
	if err := config.Starter(&out, c, "listen", "public_url"); err != nil {
		t.Fatal(err)
	}
	l, err := config.LoadText(config.Source{}, "tokenjar.yaml", out.String())
	if err != nil || !reflect.DeepEqual(l.Config, c) {
		t.Errorf("as written: got %+v, %v", l.Config, err)
	}
	// What a newcomer does: take the # away before a setting. A sentence has one blank behind it.
	var lines []string
	for line := range strings.Lines(out.String()) {
		if setting, ok := strings.CutPrefix(line, "#"); ok && (setting[0] != ' ' || setting[1] == ' ') {
			line = setting
		}
		lines = append(lines, line)
	}
	example := config.DefaultRoute()
	example.Path, example.Upstream = "/api/", "http://127.0.0.1:9000"
	c.Routes, c.Frontends = []config.Route{example}, []config.Frontend{{PublicURL: "https://shop.example.com"}}
	l, err = config.LoadText(config.Source{}, "tokenjar.yaml", strings.Join(lines, ""))
	if err != nil || !reflect.DeepEqual(l.Config, c) {
		t.Errorf("uncommented: got %+v, %v\n%s", l.Config, err, strings.Join(lines, ""))
	}
}

// everyRouteSetting is a route in which nothing is as it is by default.
func everyRouteSetting() config.Route {
	return config.Route{
		Path: "/every/thing", Upstream: "http://127.0.0.1:9000", Auth: "optional",
		Methods: map[string]config.MethodRule{
			"GET": {Auth: "none"}, "HEAD": {Auth: "optional"}, "POST": {Auth: "required"},
			"PUT": {Auth: "required", OnlyCookie: true}, "DELETE": {Auth: "required", OnlyBearer: true},
		},
		CSRF: "none", SessionCheck: tokenjar.CheckDatabase, Token: "audience", Audience: "it's: #1", Scopes: []string{"a:b", "true"},
		StripPrefix: true, EncodedSlash: true, WebSocket: true, SSE: true, StripHeaders: []string{"X-A"}, PassHeaders: []string{"X-User"},
		ConnectTimeout: 1500 * time.Millisecond, HeaderTimeout: time.Minute, IdleTimeout: time.Hour, MaxBody: 1 << 40, MaxRequests: 1,
		MaxStreams: 2, MaxPerSession: 3,
	}
}
