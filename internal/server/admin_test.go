package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/store/memory"
)

var withAdmin = servertest.Setup{Config: func(c *config.Config) { c.Admin.Listen = "127.0.0.1:0" }}

// askAdmin sends a request to the admin listener.
func askAdmin(t *testing.T, w *servertest.World, method, path string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.Server.AdminAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestTheAdminListenerServesMetricsAndHealthAndNothingElse(t *testing.T) {
	w := servertest.Start(t, withAdmin)
	for _, row := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/metrics", 200, "tokenjar_build_info{go_version="}, {"HEAD", "/metrics", 200, ""}, {"POST", "/metrics", 405, "method_not_allowed"},
		{"GET", "/healthz", 200, `"ok"`}, {"GET", "/readyz", 200, `"ok"`}, {"DELETE", "/readyz", 405, "method_not_allowed"},
		{"GET", "/", 404, "not_found"}, {"GET", "/metrics/", 404, "not_found"}, {"GET", "/%6detrics", 200, "tokenjar_"}, {"GET", "/auth/session", 404, "not_found"},
		{"POST", "/auth/login", 404, "not_found"}, {"GET", "/debug/pprof/", 404, "not_found"}, {"GET", "/debug/pprof/heap", 404, "not_found"},
		{"GET", "/debug/vars", 404, "not_found"}, {"GET", "/openapi.json", 404, "not_found"}, {"GET", "/.well-known/jwks.json", 404, "not_found"}, {"GET", "/forward-auth", 404, "not_found"},
	} {
		res, body := askAdmin(t, w, row.method, row.path)
		if row.path == "/%6detrics" { // any spelling, or none: what counts is that it is no other thing
			if res.StatusCode != 200 && res.StatusCode != 404 {
				t.Errorf("%s: %d", row.path, res.StatusCode)
			}
			continue
		}
		if res.StatusCode != row.status || !strings.Contains(body, row.body) || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d %v %.200s", row.method, row.path, res.StatusCode, res.Header, body)
		}
		if res.Header.Get("Server") != "" || len(res.Cookies()) != 0 {
			t.Errorf("LG-11 %s: %v", row.path, res.Header)
		}
	}
	w.Store.SetDown(true)
	if res, body := askAdmin(t, w, "GET", "/readyz"); res.StatusCode != 503 || !strings.Contains(body, "store_unavailable") {
		t.Errorf("readyz with the store down: %d %s", res.StatusCode, body)
	}
	if res, _ := askAdmin(t, w, "GET", "/metrics"); res.StatusCode != 200 {
		t.Errorf("metrics with the store down: %d", res.StatusCode)
	}
	w.Store.SetDown(false)
}

func TestNothingForOperatorsIsPublic(t *testing.T) {
	w := servertest.Start(t, withAdmin)
	ada := w.SignIn(t, servertest.Ada)
	for _, path := range []string{
		"/metrics", "/metrics/", "/forward-auth", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/debug/requests",
		"/admin", "/status", "/auth/metrics", "/auth/debug/pprof/", "/server-status", "/.env", "/.git/config",
	} {
		for _, method := range []string{"GET", "POST"} {
			a := w.Send(t, method, path, "", ada.As)
			if a.Status != 404 || a.Code() != "not_found" || strings.Contains(string(a.Body), "tokenjar_") {
				t.Errorf("LG-09 %s %s: %d %s", method, path, a.Status, a.Body)
			}
		}
	}
	t.Run("LG-11 no answer names the program or its version", func(t *testing.T) {
		for _, path := range []string{"/", "/auth/session", "/nothing", "/healthz", "/auth/%2e%2e/x"} {
			for name, values := range w.Send(t, "GET", path, "").Header {
				text := strings.ToLower(name + ": " + strings.Join(values, ", "))
				for _, word := range []string{"server:", "x-powered-by", "via:", "go1.", "golang", "huma", "tokenjar/"} {
					if strings.Contains(text, word) {
						t.Errorf("%s: %s", path, text)
					}
				}
			}
		}
	})
}

func TestWithoutAnAddressThereIsNoAdminListener(t *testing.T) {
	if addr := servertest.Start(t).Server.AdminAddr(); addr != nil {
		t.Errorf("got %v", addr)
	}
}

func TestTheAdminListenerNeverMeetsThePublicOne(t *testing.T) {
	secret, err := tokenjar.ParseSecret([]byte(servertest.Secret))
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	for _, row := range []struct{ public, admin string }{
		{"127.0.0.1:%d", "127.0.0.1:%d"}, {"127.0.0.1:%d", ":%d"}, {":%d", "127.0.0.1:%d"}, {"127.0.0.1:%d", "0.0.0.0:%d"},
		{"127.0.0.1:%d", "[::]:%d"}, {"localhost:%d", "127.0.0.1:%d"}, {"127.0.0.1:%d", "nonsense"}, {"127.0.0.1:%d", "203.0.113.7:1"},
	} {
		cfg := config.Defaults()
		cfg.Listen, cfg.Admin.Listen = fmt.Sprintf(row.public, port), row.admin
		if strings.Contains(row.admin, "%d") {
			cfg.Admin.Listen = fmt.Sprintf(row.admin, port)
		}
		s, err := server.Open(t.Context(), cfg, secret, memory.New(memory.Config{}), server.Options{})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "admin.listen") {
			t.Errorf("%s and %s: got %v", cfg.Listen, cfg.Admin.Listen, err)
		}
		again, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) // nothing is left listening
		if err != nil {
			t.Fatalf("%s and %s: %v", cfg.Listen, cfg.Admin.Listen, err)
		}
		again.Close()
	}
}

func TestMetricsCanBeReadUntilTheDrainIsOver(t *testing.T) {
	w := servertest.Start(t, withAdmin)
	ada := w.SignIn(t, servertest.Ada)
	hold := w.Store.HoldNext()
	done := make(chan servertest.Answer, 1)
	go func() { done <- w.Send(t, "GET", "/auth/user", "", ada.As) }()
	<-hold.Entered
	w.Stop()
	for { // until nobody new is let in
		conn, err := net.Dial("tcp", w.Addr())
		if err != nil {
			break
		}
		conn.Close()
	}
	if _, body := askAdmin(t, w, "GET", "/metrics"); !strings.Contains(body, "\ntokenjar_http_requests_in_flight 1\n") {
		t.Errorf("the request under way is not shown:\n%s", body)
	}
	if res, _ := askAdmin(t, w, "GET", "/readyz"); res.StatusCode != 503 {
		t.Errorf("readyz on the admin listener: %d", res.StatusCode)
	}
	close(hold.Release)
	if a := <-done; a.Status != 200 {
		t.Errorf("the request under way: %d", a.Status)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", w.Server.AdminAddr().String())
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the admin listener stays open after the stop")
		}
	}
}

// counted waits until a line stands among the metrics: a request is counted after its answer.
func counted(t *testing.T, w *servertest.World, line string) {
	t.Helper()
	var body string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if body = w.Server.Scrape(); strings.Contains(body, "\n"+line+"\n") {
			return
		}
	}
	var near []string
	name, _, _ := strings.Cut(line, "{")
	for l := range strings.Lines(body) {
		if strings.HasPrefix(l, name) {
			near = append(near, l)
		}
	}
	t.Errorf("no line %q, but %q", line, near)
}

func TestRequestsAreCountedByRouteNotByPath(t *testing.T) {
	w := servertest.Start(t, servertest.Setup{Demo: true})
	ada := w.SignIn(t, servertest.Ada)
	w.Send(t, "GET", "/auth/user", "", ada.As)
	w.Send(t, "GET", "/auth/user/?canary-in-the-query", "", ada.As)
	w.Send(t, "GET", "/auth/%75ser", "", ada.As)
	for i := range 5 {
		w.Send(t, "DELETE", fmt.Sprintf("/auth/sessions/canary-id-%d", i), "", ada.As)
		w.Send(t, "GET", fmt.Sprintf("/canary-path-%d", i), "")
		w.Send(t, "GET", fmt.Sprintf("/auth/canary-path-%d/x/y", i), "")
		w.Send(t, fmt.Sprintf("CANARY%d", i), "/auth/user", "")
	}
	w.Send(t, "GET", "/auth/user", "", servertest.Header("Host", ""), func(r *http.Request) { r.Host = "canary.example" })
	w.Send(t, "GET", "/", "")
	w.Send(t, "GET", "/api/hello", "", ada.As)
	w.Browser(t).Login(t, servertest.Eve)
	counted(t, w, `tokenjar_http_requests_total{method="GET",route="/auth/user",status="200"} 3`)
	counted(t, w, `tokenjar_http_requests_total{method="DELETE",route="/auth/sessions/{id}",status="404"} 5`)
	counted(t, w, `tokenjar_http_requests_total{method="GET",route="other",status="404"} 10`)
	counted(t, w, `tokenjar_http_requests_total{method="other",route="other",status="405"} 5`)
	counted(t, w, `tokenjar_http_requests_total{method="GET",route="other",status="421"} 1`)
	counted(t, w, `tokenjar_http_requests_total{method="GET",route="/",status="200"} 1`)
	counted(t, w, `tokenjar_http_requests_total{method="GET",route="/api/hello",status="200"} 1`)
	counted(t, w, `tokenjar_problems_total{code="not_found"} 15`)
	counted(t, w, `tokenjar_problems_total{code="misdirected_host"} 1`)
	counted(t, w, `tokenjar_security_events_total{event="login.succeeded",reason=""} 1`)
	counted(t, w, `tokenjar_http_requests_in_flight 0`)
	if body := w.Server.Scrape(); strings.Contains(strings.ToLower(body), "canary") {
		t.Errorf("what a client sent became a label:\n%s", body)
	}
}

func TestUnknownClientAddressesAreCountedAndToldOnce(t *testing.T) {
	proxy := func(c *config.Config) { c.TrustedProxies = []string{"127.0.0.1"} }
	forwarded := []string{"X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7"}
	for _, row := range []struct {
		name   string
		config func(*config.Config)
		fields []string
		count  int
	}{
		{"no proxy", nil, []string{"", ""}, 0},
		{"a proxy that is not trusted", nil, forwarded, 2},
		{"a proxy that is trusted", proxy, forwarded[:1], 0},
		{"a trusted proxy that does not say for whom it asks", proxy, []string{"", "Forwarded: for=203.0.113.7"}, 2},
		{"another is trusted", func(c *config.Config) { c.TrustedProxies = []string{"10.0.0.0/8"} }, forwarded, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := servertest.Start(t, servertest.Setup{Config: row.config})
			for _, f := range row.fields {
				name, value, _ := strings.Cut(f, ": ")
				w.Send(t, "GET", "/auth/session", "", func(r *http.Request) {
					if name != "" {
						r.Header.Set(name, value)
					}
				})
			}
			counted(t, w, `tokenjar_http_requests_total{method="GET",route="/auth/session",status="200"} `+fmt.Sprint(len(row.fields)))
			counted(t, w, fmt.Sprintf("tokenjar_client_address_unknown_total %d", row.count))
			if got := strings.Count(w.Log.String(), "trusted_proxies"); got != min(row.count, 1) {
				t.Errorf("warned %d times", got)
			}
		})
	}
}
