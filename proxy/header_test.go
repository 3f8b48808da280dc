package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

func TestARouteSaysWhichFieldsPass(t *testing.T) {
	s := newService(t)
	app, _ := newApp(t,
		proxy.Route{Path: "/api", Upstream: s.URL, PassHeaders: []string{"x-user-id", "X-CSRFToken"}, StripHeaders: []string{"x-secret", "Origin"}},
		proxy.Route{Path: "/basic", Upstream: s.URL, Auth: proxy.None, Token: proxy.NoToken, PassHeaders: []string{"Authorization"}},
	)
	fields := func(r *http.Request) {
		for _, name := range []string{"X-User-Id", "X_user_id", "X-User-Name", "X-Secret", "x_secret", "X-App"} {
			r.Header[name] = []string{"given"}
		}
		r.Header.Set("Authorization", "Basic given")
	}
	app.SignIn("ada").Post("/api/x", nil, fields).Want(200)
	got, _ := s.last(t)
	for name, want := range map[string]bool{"X-User-Id": true, "X_user_id": false, "X-User-Name": false, "X-Secret": false, "X-App": true, "Origin": false, "X-Csrftoken": true} {
		if has := len(got.Header[name]) == 1; has != want {
			t.Errorf("%s: got %q", name, got.Header[name])
		}
	}
	if v := got.Header["Authorization"]; len(v) != 1 || !strings.HasPrefix(v[0], "Bearer ") {
		t.Errorf("Authorization: got %q", v)
	}
	app.Anonymous().Get("/basic/x", fields).Want(200)
	got, _ = s.last(t)
	if v := got.Header["Authorization"]; !slices.Equal(v, []string{"Basic given"}) {
		t.Errorf("Authorization: got %q", v)
	}
	if len(got.Header["X-User-Id"]) > 0 {
		t.Error("a field passes that another route lets pass")
	}
}

// What a route may say is judged when the proxy is made: all of it, each with its route.
func TestMistakesInRoutes(t *testing.T) {
	app := tokenjartest.New(t, tokenjartest.Config{})
	good := proxy.Route{Path: "/api", Upstream: "http://127.0.0.1:9000"}
	for want, change := range map[string]func(*proxy.Route){
		"Path: \"api\"":                                   func(r *proxy.Route) { r.Path = "api" },
		"Path: \"/a/../b\"":                               func(r *proxy.Route) { r.Path = "/a/../b" },
		"Path: \"/a%2fb\"":                                func(r *proxy.Route) { r.Path = "/a%2fb" },
		"Path: \"/a;b\"":                                  func(r *proxy.Route) { r.Path = "/a;b" },
		"Path: \"//a\"":                                   func(r *proxy.Route) { r.Path = "//a" },
		"Path: \"/Api\"":                                  func(r *proxy.Route) { r.Path = "/Api" },
		"Path: \"/api./\"":                                func(r *proxy.Route) { r.Path = "/api./" },
		"Path: \"/\uff21\"":                               func(r *proxy.Route) { r.Path = "/\uff21" },
		"PassHeaders: Cookie":                             func(r *proxy.Route) { r.PassHeaders = []string{"cookie"} },
		"PassHeaders: \"X_User\"":                         func(r *proxy.Route) { r.PassHeaders = []string{"X_User"} },
		"PassHeaders: X-Forwarded-For":                    func(r *proxy.Route) { r.PassHeaders = []string{"x-forwarded-for"} },
		"PassHeaders: X-Request-Id":                       func(r *proxy.Route) { r.PassHeaders = []string{"X-REQUEST-ID"} },
		"PassHeaders: Transfer-Encoding":                  func(r *proxy.Route) { r.PassHeaders = []string{"transfer-encoding"} },
		"PassHeaders: Connection":                         func(r *proxy.Route) { r.PassHeaders = []string{"connection"} },
		"PassHeaders: Authorization":                      func(r *proxy.Route) { r.PassHeaders = []string{"authorization"} },
		"StripHeaders: \"X User\"":                        func(r *proxy.Route) { r.StripHeaders = []string{"X User"} },
		"StripHeaders: Cookie":                            func(r *proxy.Route) { r.StripHeaders = []string{"cookie"} },
		"Methods: \"get\"":                                func(r *proxy.Route) { r.Methods = map[string]proxy.Rule{"get": {Auth: proxy.None}} },
		"Auth: \"anybody\"":                               func(r *proxy.Route) { r.Auth = "anybody" },
		"Token: \"mine\"":                                 func(r *proxy.Route) { r.Token = "mine" },
		"Audience: has no effect":                         func(r *proxy.Route) { r.Token, r.Audience = proxy.NoToken, "x" },
		"Upstream: must not have a user":                  func(r *proxy.Route) { r.Upstream = "http://ada:canary@127.0.0.1" },
		"MaxBody, MaxRequests":                            func(r *proxy.Route) { r.MaxStreams = -1 },
		"MaxBody, MaxRequests, MaxStreams, MaxPerSession": func(r *proxy.Route) { r.MaxPerSession = -1 },
		"ConnectTimeout: -1ns":                            func(r *proxy.Route) { r.ConnectTimeout = -1 },
	} {
		r := good
		change(&r)
		_, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: []proxy.Route{good, r}})
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower("proxy: Config.Routes[1]."+want)) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", want, err)
		}
	}
	for _, page := range []string{"//evil.example", `/\evil.example`, "https://evil.example", "sign-in", "/sign in", "/a\tb", "/sign-in#x", "javascript:alert(1)"} {
		if _, err := proxy.New(proxy.Config{Guard: app.Guard, PublicURL: app.URL, Routes: []proxy.Route{good}, LoginPage: page}); err == nil {
			t.Errorf("the sign-in page %q is taken", page)
		}
	}
}
