package torture_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/torture"
)

// hello runs a trial that cannot begin, and returns why.
func hello(t *testing.T, cfg torture.Config) string {
	t.Helper()
	cfg.Username, cfg.Password = servertest.Ada, servertest.Password
	report, err := torture.Run(t.Context(), cfg)
	if err == nil || report != nil {
		t.Fatalf("got %v, %v", report, err)
	}
	return err.Error()
}

func TestANodeThatIsCalledInTheWrongWayIsToldFromOneThatIsAway(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	plain, overTLS := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	overTLS.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	overTLS.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(overTLS.Close)
	away := httptest.NewServer(handler)
	away.Close()
	swap := func(url, from, to string) string { return strings.Replace(url, from+"://", to+"://", 1) }
	for _, tt := range []struct {
		name, node, public, want string
	}{
		{"a CA of one's own", overTLS.URL, "", "is not trusted"},
		{"a CA of one's own", overTLS.URL, "", "SSL_CERT_FILE"},
		{"a certificate for another host", overTLS.URL, "https://app.elsewhere.test", "--public-url names the one it must be for"},
		{"plain HTTP under https", swap(plain.URL, "http", "https"), "", "speaks plain HTTP: write it as http://"},
		{"TLS under http", swap(overTLS.URL, "https", "http"), "", "write it as https://"},
		{"nobody", away.URL, "", "does not answer"},
	} {
		got := hello(t, torture.Config{Nodes: []string{tt.node}, PublicURL: tt.public})
		if !strings.Contains(got, tt.want) || strings.Contains(got, "does not answer") != (tt.name == "nobody") {
			t.Errorf("%s: got %q, want it to say %q", tt.name, got, tt.want)
		}
	}
}

func TestMetricsOfAListenerForBrowsers(t *testing.T) {
	d := deploy(t, build{})
	for _, status := range []int{http.StatusNotFound, http.StatusMisdirectedRequest} {
		public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(public.Close)
		cfg := d.settings()
		cfg.Metrics = []string{public.URL, public.URL}
		if got := hello(t, cfg); !strings.Contains(got, "admin.listen") {
			t.Errorf("%d: got %q", status, got)
		}
	}
}

// A silent transport takes a request and says nothing until the client has had enough.
type silent struct{}

func (silent) RoundTrip(q *http.Request) (*http.Response, error) {
	select {
	case <-q.Cancel: // this is how http.Client tells a transport that is not its own
	case <-q.Context().Done():
	}
	return nil, os.ErrDeadlineExceeded
}

func TestASilentNodeIsGivenUpSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		got := hello(t, torture.Config{Nodes: []string{"http://127.0.0.1:1"}, Transport: silent{}})
		if took := time.Since(begun); took > 10*time.Second || !strings.Contains(got, "does not answer in time") {
			t.Errorf("got %q after %s", got, took)
		}
	})
}
