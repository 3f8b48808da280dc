package doctor_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/doctor"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// A sound deployment has no finding, whoever asks and however its cookies are named.
func TestASoundDeploymentIsWell(t *testing.T) {
	allow, examine := crossOrigin(sibling)
	for _, tt := range []struct {
		name  string
		build build
		tried bool // everything that an account makes possible
	}{
		{"as it comes", build{}, true},
		{"without an account", build{setting: anonymous}, false},
		{"called by a page of another origin", build{config: allow, setting: examine}, true},
		{"without prefix", build{config: prefix("none")}, true},
		{"with a domain", build{config: func(cfg *config.Config) { cfg.Cookies.Domain = "example.com" }}, true},
		{"Strict", build{config: sameSite("Strict")}, true},
		{"https on localhost, without a promise", build{
			config: publicURL("https://localhost"), setting: byLocalhost, answer: without("Strict-Transport-Security"),
		}, true},
		{"with scopes of old", build{config: func(cfg *config.Config) {
			cfg.Cookies.LegacyScopes = []cookie.Scope{{Path: "/auth"}, {Domain: "example.com"}}
		}}, true},
		{"with names of its own", build{config: func(cfg *config.Config) {
			cfg.Cookies.Access, cfg.Cookies.Refresh, cfg.Cookies.CSRF = "a", "r", "c"
		}}, true},
		{"with another path", build{config: func(cfg *config.Config) { cfg.Auth.Path = "/api/session" }, setting: func(_ *front, cfg *doctor.Config) {
			cfg.Path = "/api/session"
		}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, tt.build)
			cfg := f.settings()
			if tt.build.setting != nil {
				tt.build.setting(f, &cfg)
			}
			report := f.examine(cfg)
			if got := names(report); report.Failed() || len(got) > 0 {
				t.Errorf("got %q", got)
			}
			for _, o := range report.Outcomes {
				want := doctor.Well
				switch o.Check {
				case "site", "cors":
					if cfg.Origin == "" {
						want = doctor.NotTried
					}
				case "session":
					if !tt.tried {
						want = doctor.NotTried
					}
				}
				if o.Result != want {
					t.Errorf("%s: got %s (%s) %+v, want %s", o.Check, o.Result, o.Why, o.Findings, want)
				}
			}
			f.mu.Lock()
			asked := len(f.asked)
			f.mu.Unlock()
			if report.Left || report.Requests != asked || asked > 40 {
				t.Errorf("%d requests came, %d are reported; left: %t", asked, report.Requests, report.Left)
			}
			f.nothingIsLeft()
		})
	}
}

func anonymous(_ *front, cfg *doctor.Config) { cfg.Username, cfg.Password = "", "" }

// On one's own machine there is no TLS, and the cookies have no prefix.
func TestASoundServerOnLoopbackIsWell(t *testing.T) {
	w := servertest.Start(t)
	report, err := doctor.Run(t.Context(), doctor.Config{
		URL: w.URL, Username: servertest.Ada, Password: servertest.Password, Transport: dating{w.Transport(t), w.Clock}, Now: w.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(report); report.Failed() || len(got) > 0 {
		t.Errorf("got %q", got)
	}
	if o := outcome(t, report, "session"); o.Result != doctor.Well {
		t.Errorf("got %+v", o)
	}
}

// A dating transport has answers tell the time of the world that they come from.
type dating struct {
	next  http.RoundTripper
	clock *tokenjartest.Clock
}

func (d dating) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := d.next.RoundTrip(r)
	if err == nil {
		a.Header.Set("Date", d.clock.Now().UTC().Format(http.TimeFormat))
	}
	return a, err
}

// Without an account nobody tries a password, and what is asked changes nothing.
func TestWithoutAnAccountNothingIsTriedAndNothingChanged(t *testing.T) {
	f := open(t, build{})
	own := f.world.SignIn(t, servertest.Ada)
	before := f.world.Digest(t)
	cfg := f.settings()
	anonymous(f, &cfg)
	f.examine(cfg)
	if after := f.world.Digest(t); after != before {
		t.Error("the sessions are not what they were")
	}
	for _, asked := range f.paths() {
		if strings.Contains(asked, "/login") || strings.Contains(asked, "/token") || strings.Contains(asked, "/password") {
			t.Errorf("it asked for %s", asked)
		}
	}
	if !own.Live(t) {
		t.Error("a session was ended")
	}
}

// A password is for tokenjar alone, and for an encrypted way to it.
func TestThePasswordGoesNowhereElse(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build build
	}{
		{"plain http", build{through: true, setting: byHTTP, config: func(cfg *config.Config) { cfg.TrustedProxies = nil }}},
		{"plain http that says yes to everything", build{plain: yes, setting: byHTTP}},
		{"a redirect to https", build{setting: byHTTP}},
		{"a certificate of nobody", build{setting: untrusted}},
		{"a server that is not tokenjar", build{handler: instead("/", page)}},
		{"a server that answers questions alone", build{handler: refusing(http.MethodPost, http.StatusOK)}},
		{"a page of another site", build{setting: calledBy("https://app.example.net")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, tt.build)
			cfg := f.settings()
			if tt.build.setting != nil {
				tt.build.setting(f, &cfg)
			}
			if !f.examine(cfg).Failed() {
				t.Error("nothing was found")
			}
			for _, asked := range f.paths() {
				if strings.Contains(asked, "login") && !strings.HasPrefix(asked, http.MethodOptions) {
					t.Errorf("it asked for %s", asked)
				}
			}
		})
	}
}

// yes is a server that answers as tokenjar does before a sign-in.
func yes(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	http.SetCookie(w, &http.Cookie{Name: "access_token", Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	io.WriteString(w, `{"authenticated":false,"status":"ok","keys":[{}]}`)
}

// The sign-in follows no redirect: the password would go along.
func TestARedirectedSignInIsNotFollowed(t *testing.T) {
	elsewhere := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere <- r.URL.Path }))
	t.Cleanup(other.Close)
	f := open(t, build{handler: instead("/auth/login", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})})
	addr := other.Listener.Addr().(*net.TCPAddr)
	f.addrs[strconv.Itoa(addr.Port)] = addr.String()
	report := f.examine(f.settings())
	if got := names(report); !slices.Equal(got, []string{"session-lost"}) {
		t.Errorf("got %q", got)
	}
	if len(elsewhere) > 0 {
		t.Errorf("it went on to %s", <-elsewhere)
	}
}

// Whatever a server says back is not passed on.
func TestAReportTellsNoPasswordThatAServerRepeats(t *testing.T) {
	f := open(t, build{handler: instead("/auth/login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/?p="+servertest.Password+"&t=eyJhbGciOiJub25lIn0.e30.")
		w.Header().Set("X-Tokenjar-Problem", "eyJhbGciOiJub25lIn0.e30.")
		w.WriteHeader(http.StatusFound)
	})})
	report := f.examine(f.settings()) // which searches it
	if got := names(report); !slices.Equal(got, []string{"session-lost"}) {
		t.Errorf("got %q", got)
	}
}

// An account that cannot sign in is no finding about the server.
func TestASignInThatIsRefusedIsNoFinding(t *testing.T) {
	f := open(t, build{config: func(cfg *config.Config) { cfg.Limits.LoginPerAccount = "1/m" }})
	cfg := f.settings()
	cfg.Password = "not the password"
	for _, want := range []string{"401 invalid_credentials", "429 rate_limited"} {
		report, err := doctor.Run(t.Context(), cfg)
		if err == nil || report != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "not the password") {
			t.Errorf("got %v, %v, want %s", report, err, want)
		}
	}
}

func TestAnInterruptedExaminationEndsItsSession(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	f := open(t, build{handler: func(_ *front, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/auth/csrf" {
				interrupt()
			}
			next.ServeHTTP(w, r)
		})
	}})
	if report, err := doctor.Run(ctx, f.settings()); !errors.Is(err, context.Canceled) || report != nil {
		t.Errorf("got %v, %v", report, err)
	}
	f.nothingIsLeft()
}

func TestNobodyThereIsAnError(t *testing.T) {
	away := httptest.NewServer(nil)
	away.Close()
	plain := httptest.NewServer(http.HandlerFunc(page))
	t.Cleanup(plain.Close)
	for url, want := range map[string]string{
		away.URL: "does not answer", strings.Replace(plain.URL, "http:", "https:", 1): "speaks plain HTTP: write it as http://",
	} {
		if report, err := doctor.Run(t.Context(), doctor.Config{URL: url}); err == nil || report != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want %q", report, err, want)
		}
	}
}

func TestWhatCannotBeExaminedIsSaidBeforeAnythingIsSent(t *testing.T) {
	for name, cfg := range map[string]doctor.Config{
		"no scheme":                 {URL: host},
		"another scheme":            {URL: "ftp://" + host},
		"no host":                   {URL: "https://:443"},
		"a path":                    {URL: public + "/auth"},
		"a user":                    {URL: "https://ada:secret@" + host},
		"a query":                   {URL: public + "?x"},
		"an auth path without root": {URL: public, Path: "auth"},
		"an auth path with a slash": {URL: public, Path: "/auth/"},
		"an origin with a path":     {URL: public, Origin: public + "/"},
		"the null origin":           {URL: public, Origin: "null"},
		"a password of nobody":      {URL: public, Password: servertest.Password},
	} {
		report, err := doctor.Run(t.Context(), cfg)
		var wrong *doctor.ConfigError
		if !errors.As(err, &wrong) || report != nil {
			t.Errorf("%s: got %v, %v", name, report, err)
		}
	}
}
