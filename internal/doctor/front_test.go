package doctor_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/doctor"
	"github.com/tokenjar/tokenjar/internal/nginxtest"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

const (
	host   = "app.example.com"
	public = "https://" + host
)

// A front is what browsers meet: TLS, a proxy that may be broken in one place, and the real server behind.
type front struct {
	t     *testing.T
	world *servertest.World
	pool  *x509.CertPool
	addrs map[string]string // where a port of the host leads

	swallowed chan struct{} // a request that will get no answer

	mu    sync.Mutex
	asked []*http.Request // what has come in
}

// A build says what is behind, and what is broken. Each part may be nil.
type build struct {
	config  func(cfg *config.Config)
	request func(r *http.Request)                       // changes what the server gets
	answer  func(a *http.Response) error                // changes what the browser gets
	handler func(f *front, h http.Handler) http.Handler // stands in front of the proxy
	plain   http.HandlerFunc                            // listens for plain http; nil: redirects
	through bool                                        // the proxy listens for plain http as well
	loses   bool                                        // the answer to the sign-in, with the tokens in it
	setting func(f *front, cfg *doctor.Config)          // changes what is examined
}

// redirect is what a sound proxy does with plain http.
func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, public+r.URL.RequestURI(), http.StatusPermanentRedirect)
}

func open(t *testing.T, b build) *front {
	t.Helper()
	f := &front{t: t, swallowed: make(chan struct{})}
	f.world = servertest.Start(t, servertest.Setup{Config: func(cfg *config.Config) {
		cfg.PublicURL, cfg.TrustedProxies = public, []string{"127.0.0.1"}
		if b.config != nil {
			b.config(cfg)
		}
	}})
	var handler http.Handler = f.proxy(f.world.Addr(), b)
	if b.handler != nil {
		handler = b.handler(f, handler)
	}
	dir := t.TempDir()
	f.pool = nginxtest.Certificate(t, dir, host)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, host+".pem"), filepath.Join(dir, host+".key"))
	if err != nil {
		t.Fatal(err)
	}
	overTLS := httptest.NewUnstartedServer(f.watch(handler))
	overTLS.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	overTLS.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point of some
	overTLS.StartTLS()
	t.Cleanup(overTLS.Close)
	if b.through {
		b.plain = handler.ServeHTTP
	} else if b.plain == nil {
		b.plain = redirect
	}
	plain := httptest.NewServer(f.watch(b.plain))
	t.Cleanup(plain.Close)
	f.addrs = map[string]string{"443": overTLS.Listener.Addr().String(), "80": plain.Listener.Addr().String()}
	return f
}

// proxy leads to a server, with what a good proxy does: nothing but to say who asks.
func (f *front) proxy(addr string, b build) *httputil.ReverseProxy {
	transport := &http.Transport{}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Transport: transport, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addr})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			if b.request != nil {
				b.request(r.Out)
			}
		},
		ModifyResponse: func(a *http.Response) error {
			a.Header.Set("Date", f.world.Clock.Now().UTC().Format(http.TimeFormat)) // the clock is the world's
			if b.answer != nil {
				return b.answer(a)
			}
			return nil
		},
	}
}

// watch keeps what comes in, so that tests can say what must not.
func (f *front) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Clone(context.Background()))
		f.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// paths returns what has been asked for.
func (f *front) paths() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.asked {
		all = append(all, r.Method+" "+r.URL.Path)
	}
	return all
}

// transport reaches the front whatever host a URL names.
func (f *front) transport(roots *x509.CertPool) http.RoundTripper {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, f.addrs[port])
		},
	}
	f.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// settings examine the front with an account.
func (f *front) settings() doctor.Config {
	return doctor.Config{
		URL: public, Username: servertest.Ada, Password: servertest.Password,
		Transport: f.transport(f.pool), Now: f.world.Clock.Now,
	}
}

func (f *front) examine(cfg doctor.Config) *doctor.Report {
	f.t.Helper()
	report, err := doctor.Run(f.t.Context(), cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.nothingIsToldThatIsSecret(report)
	return report
}

// nothingIsToldThatIsSecret searches a report for what only the browser may have.
func (f *front) nothingIsToldThatIsSecret(report *doctor.Report) {
	f.t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, secret := range []string{servertest.Password, "eyJ"} {
		if strings.Contains(string(text), secret) {
			f.t.Errorf("the report tells %q:\n%s", secret, text)
		}
	}
}

// nothingIsLeft fails the test when a session of the account lives.
func (f *front) nothingIsLeft() {
	f.t.Helper()
	if n := f.live(); n > 0 {
		f.t.Errorf("%d sessions are left", n)
	}
}

// live returns how many sessions the account has.
func (f *front) live() int {
	f.t.Helper()
	list, err := f.world.Store.Store.UserSessions(f.t.Context(), "user-"+servertest.Ada)
	if err != nil {
		f.t.Error(err)
	}
	return len(list)
}

// names returns the names of what was found, notes included.
func names(report *doctor.Report) (all []string) {
	for _, o := range report.Outcomes {
		for _, finding := range o.Findings {
			all = append(all, finding.Name)
		}
	}
	slices.Sort(all)
	return all
}

func outcome(t *testing.T, report *doctor.Report, check string) doctor.Outcome {
	t.Helper()
	for _, o := range report.Outcomes {
		if o.Check == check {
			return o
		}
	}
	t.Fatalf("there is no check %s", check)
	return doctor.Outcome{}
}

// crossOrigin has the server allow the pages of an origin, and examines it as one of them does.
func crossOrigin(origin string) (func(*config.Config), func(*front, *doctor.Config)) {
	return func(cfg *config.Config) {
			cfg.CORS.AllowedOrigins, cfg.CSRF.TrustedOrigins = []string{origin}, []string{origin}
		}, func(_ *front, cfg *doctor.Config) {
			cfg.Origin = origin
		}
}

const day = 24 * time.Hour
