package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	st "github.com/tokenjar/tokenjar/internal/servertest"
)

// A route at / has what is left. It must not get what is ours in another spelling, nor answer for our health.
func TestPathsAtTheRootAreOursWithASlashAtTheEnd(t *testing.T) {
	service := newRecorder(t)
	w := st.Start(t, st.Setup{Config: func(c *config.Config) {
		open := route("/", service.URL)
		open.Auth, open.Token = "none", "none"
		c.Routes = []config.Route{open}
	}})
	for _, path := range []string{"/healthz", "/readyz", "/.well-known/jwks.json", "/openapi.json", "/docs", "/docs/docs.js", "/docs/docs.css"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			with, without := w.Send(t, method, path+"/", ""), w.Send(t, method, path, "")
			if with.Status != without.Status || with.Header.Get("Content-Type") != without.Header.Get("Content-Type") || with.Header.Get("Allow") != without.Header.Get("Allow") {
				t.Errorf("%s %s: %d %v, without the slash %d %v", method, path+"/", with.Status, with.Header, without.Status, without.Header)
			}
			want := http.StatusMethodNotAllowed
			switch method {
			case "GET", "HEAD":
				want = http.StatusOK
			case "OPTIONS":
				want = http.StatusNoContent
			}
			if with.Status != want {
				t.Errorf("%s %s/: %d, want %d", method, path, with.Status, want)
			}
		}
		for _, odd := range []string{path + "//", path + "/;x", path + ";x/", strings.ToUpper(path) + "/", path + "%2F", path + "/%2e"} {
			if a := w.Send(t, "GET", "", "", func(r *http.Request) { r.URL.Opaque = odd }); a.Status != 400 {
				t.Errorf("%s: %d %.60s", odd, a.Status, a.Body)
			}
		}
	}
	if n := len(service.heads); n != 0 {
		t.Errorf("the service got %d requests that were ours", n)
	}
	for _, path := range []string{"/healthz/x", "/docs/nothing", "/healthzz/", "/openapi.json/x/"} { // those are its own
		if a := w.Send(t, "GET", path, ""); string(a.Body) != "service" {
			t.Errorf("%s: %d %.60s", path, a.Status, a.Body)
		}
	}
	// Who asks for health and keys may know us by an address.
	for path, status := range map[string]int{"/healthz/": 200, "/readyz/": 200, "/.well-known/jwks.json/": 200, "/docs/": 421, "/healthz/x": 421} {
		a := w.Send(t, "GET", "", "", func(r *http.Request) { r.Host, r.URL.Opaque = "10.0.0.7", path })
		if a.Status != status {
			t.Errorf("%s by another host: %d, want %d", path, a.Status, status)
		}
	}
}
