package tokenjartest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/tokenjartest"
)

// Cookies that the program under test sets go the way of ours.
func TestTheProgramsOwnCookies(t *testing.T) {
	t.Parallel()
	app := tokenjartest.New(t, tokenjartest.Config{})
	now := app.Clock.Now()
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		name string
		set  []string // in turn, by one answer each
		at   string   // who sets them
		kept string   // the names and values that the client has at once, on all paths
		sent string   // what /a/b gets at once
		late string   // and after a minute
	}{
		{"a session cookie stays", []string{"a=1; Path=/"}, "/", "a=1", "a=1", "a=1"},
		{"Max-Age ends", []string{"a=1; Path=/; Max-Age=60"}, "/", "a=1", "a=1", ""},
		{"Expires ends, by the clock", []string{"a=1; Path=/; Expires=" + date(time.Minute)}, "/", "a=1", "a=1", ""},
		{"Max-Age counts more than Expires", []string{"a=1; Path=/; Max-Age=61; Expires=" + date(-time.Minute)}, "/", "a=1", "a=1", "a=1"},
		{"a date in the past deletes", []string{"a=1; Path=/", "a=; Path=/; Expires=" + date(-time.Second)}, "/", "", "", ""},
		{"Max-Age=0 deletes", []string{"a=1; Path=/", "a=; Path=/; Max-Age=0"}, "/", "", "", ""},
		{"a later one replaces, life and all", []string{"a=1; Path=/; Max-Age=10", "a=2; Path=/; Max-Age=100"}, "/", "a=2", "a=2", "a=2"},
		{"also by another spelling of one path", []string{"a=1; Max-Age=10", "a=2; Path=/a; Max-Age=100"}, "/a/set", "a=2", "a=2", "a=2"},
		{"paths keep cookies apart", []string{"a=1; Path=/; Max-Age=10", "a=2; Path=/a; Max-Age=100"}, "/", "a=1 a=2", "a=2 a=1", "a=2"},
		{"a path elsewhere", []string{"a=1; Path=/elsewhere"}, "/", "a=1", "", ""},
		{"a foreign domain", []string{"a=1; Path=/; Domain=example.org"}, "/", "", "", ""},
		{"a good __Host- cookie", []string{"__Host-a=1; Path=/; Secure"}, "/", "__Host-a=1", "__Host-a=1", "__Host-a=1"},
		{"a __Host- cookie that is not secure", []string{"__Host-a=1; Path=/"}, "/", "", "", ""},
		{"a __Host- cookie with a path", []string{"__Host-a=1; Path=/a; Secure"}, "/", "", "", ""},
		{"a __Secure- cookie that is not secure", []string{"__secure-a=1; Path=/"}, "/", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := app.With(t)
			app.Clock.Set(now)
			var line string
			app.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == tt.at {
					w.Header().Set("Set-Cookie", line)
				}
				w.Header().Set("Sent", strings.ReplaceAll(r.Header.Get("Cookie"), ";", ""))
			}))
			c := app.Anonymous()
			for _, line = range tt.set {
				c.Get(tt.at).Want(200)
			}
			var kept []string
			for _, each := range c.Cookies() {
				kept = append(kept, each.Name+"="+each.Value)
			}
			if got := strings.Join(kept, " "); got != tt.kept {
				t.Errorf("kept: got %q, want %q", got, tt.kept)
			}
			if got := c.Get("/a/b").Header.Get("Sent"); got != tt.sent {
				t.Errorf("sent: got %q, want %q", got, tt.sent)
			}
			app.Clock.Advance(time.Minute)
			if got := c.Get("/a/b").Header.Get("Sent"); got != tt.late {
				t.Errorf("sent a minute later: got %q, want %q", got, tt.late)
			}
		})
	}
}
