package doctor_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenjar/tokenjar/internal/doctor"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// Fronts that give no answer to some requests, or one in the server's place.

// A match says which requests.
type match func(r *http.Request) bool

func posts(r *http.Request) bool { return r.Method == http.MethodPost }

func to(path string) match {
	return func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, path) }
}

// signedIn are those that bear a session.
func signedIn(path string) match {
	return func(r *http.Request) bool {
		return r.URL.Path == path && strings.Contains(r.Header.Get("Cookie"), "eyJ")
	}
}

// A loss answers such a request, or does not.
type loss func(f *front, next http.Handler, w http.ResponseWriter, r *http.Request)

// reset ends the connection as a firewall does.
func reset(f *front, _ http.Handler, w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		f.t.Error(err)
		return
	}
	below := conn.(*tls.Conn).NetConn()
	below.(*net.TCPConn).SetLinger(0)
	below.Close()
}

// swallow says nothing until the client has given up.
func swallow(f *front, _ http.Handler, _ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // before that nobody looks whether the client is there
	select {
	case f.swallowed <- struct{}{}:
	case <-r.Context().Done():
	}
	<-r.Context().Done()
}

// says answers in the server's place.
func says(status int, problem, body string) loss {
	return func(_ *front, _ http.Handler, w http.ResponseWriter, _ *http.Request) {
		if problem != "" {
			w.Header().Set("X-Tokenjar-Problem", problem)
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// carriedOut has the server do what it is asked for, and loses its answer.
func carriedOut(then loss) loss {
	return func(f *front, next http.Handler, w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			f.t.Errorf("%s was not carried out: %d", r.URL.Path, answer.Code)
		}
		then(f, next, w, r)
	}
}

// cut passes on the head of an answer and breaks off in its body.
func cut(_ *front, next http.Handler, w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()+1))
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func losing(which match, how loss) func(*front, http.Handler) http.Handler {
	return func(f *front, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if which(r) {
				how(f, next, w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// An impatient transport gives up on a request as soon as the front has swallowed it, as a client does whose time is over.
type impatient struct {
	next      http.RoundTripper
	swallowed <-chan struct{}
}

func (i impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, giveUp := context.WithCancelCause(r.Context())
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-i.swallowed:
			giveUp(os.ErrDeadlineExceeded)
		case <-done:
		}
	}()
	return i.next.RoundTrip(r.WithContext(ctx))
}

// A server on which a POST, the sign-in or a step after it gets no answer is not well, however silently it fails; and a session
// that may have begun is ended, or told of.
func TestWhatGetsNoAnswerIsFound(t *testing.T) {
	const lost, refused = "session-lost", "post-refused"
	for _, tt := range []struct {
		name  string
		which match
		how   loss
		finds string
		seen  string
		left  bool
		live  int // sessions afterwards
	}{
		{"POST is reset", posts, reset, refused, "/auth/logout", false, 0},
		{"POST is swallowed", posts, swallow, refused, "/auth/logout", false, 0},
		{"POST breaks off", posts, cut, refused, "POST /auth/logout answered 200 and broke off", false, 0},

		{"the sign-in is reset", to("/auth/login"), reset, lost, "/auth/login", true, 0},
		{"the sign-in is swallowed", to("/auth/login"), swallow, lost, "/auth/login", true, 0},
		{"the sign-in is carried out and reset", to("/auth/login"), carriedOut(reset), lost, "/auth/login", true, 1},
		{"the sign-in is carried out and swallowed", to("/auth/login"), carriedOut(swallow), lost, "/auth/login", true, 1},
		{"the sign-in is carried out and answered 500", to("/auth/login"), carriedOut(says(500, "", "")), lost, "500", true, 1},
		{"the sign-in is carried out and answered 504", to("/auth/login"), carriedOut(says(504, "", "")), lost, "504", true, 1},
		{"the sign-in is carried out and tokenjar says 503", to("/auth/login"), carriedOut(says(503, "store_unavailable", "")), lost, "503", true, 1},
		{"the sign-in is refused by a firewall", to("/auth/login"), says(403, "", ""), lost, "403", true, 0},
		{"the sign-in is refused by tokenjar", to("/auth/login"), says(403, "origin_not_allowed", ""), lost, "403 origin_not_allowed", false, 0},
		{"the answer to the sign-in breaks off", to("/auth/login"), cut, lost, "POST /auth/login answered 200 and broke off", false, 0},

		{"who is signed in is reset", signedIn("/auth/session"), reset, lost, "/auth/session", false, 0},
		{"the user is swallowed", signedIn("/auth/user"), swallow, lost, "/auth/user", false, 0},
		{"the refresh is reset", to("/auth/token/refresh"), reset, lost, "/auth/token/refresh", false, 0},
		{"the refresh is swallowed", to("/auth/token/refresh"), swallow, lost, "/auth/token/refresh", false, 0},
		{"the refresh is carried out and reset", to("/auth/token/refresh"), carriedOut(reset), lost, "/auth/token/refresh", false, 0},
		{"the answer to the refresh breaks off", to("/auth/token/refresh"), cut, lost, "/auth/token/refresh answered 200 and broke off", false, 0},
		{"the refresh is reset, and so is the end", to("/auth/token/"), reset, lost, "/auth/token/refresh", true, 1},
		{"the sign-out is reset", signedIn("/auth/logout"), reset, lost, "/auth/logout", false, 0},
		{"the sign-out is answered by somebody else", signedIn("/auth/logout"), says(200, "", "bye"), "cookie-stays", "/auth/logout", false, 0},
		{"the sign-out and the end are answered by somebody else", func(r *http.Request) bool {
			return signedIn("/auth/logout")(r) || to("/auth/token/blacklist")(r)
		}, says(200, "", "bye"), "cookie-stays", "/auth/logout", true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, build{handler: losing(tt.which, tt.how)})
			cfg := f.settings()
			cfg.Transport = impatient{cfg.Transport, f.swallowed}
			report := f.examine(cfg)
			if got := names(report); !slices.Equal(got, []string{tt.finds}) {
				t.Errorf("got %q, want %s", got, tt.finds)
			}
			for _, o := range report.Outcomes {
				for _, finding := range o.Findings {
					if !strings.Contains(finding.Seen, tt.seen) {
						t.Errorf("seen: got %q, want it to tell of %s", finding.Seen, tt.seen)
					}
				}
			}
			if !report.Failed() || report.Left != tt.left {
				t.Errorf("failed: got %t, want true; left: got %t, want %t", report.Failed(), report.Left, tt.left)
			}
			if got := f.live(); got != tt.live {
				t.Errorf("got %d sessions, want %d", got, tt.live)
			}
		})
	}
}

// A check without an answer has found nothing, and is no reason to say that all is well.
func TestACheckThatIsBrokenOffFailsTheReport(t *testing.T) {
	f := open(t, build{handler: losing(to("/.well-known/jwks.json"), reset)})
	report := f.examine(f.settings())
	if got := names(report); len(got) > 0 || !report.Failed() || report.Left {
		t.Errorf("got %q, failed: %t, left: %t", got, report.Failed(), report.Left)
	}
	if o := outcome(t, report, "keys"); o.Result != doctor.BrokenOff || !strings.Contains(o.Why, "jwks.json") {
		t.Errorf("got %s (%s)", o.Result, o.Why)
	}
	if o := outcome(t, report, "session"); o.Result != doctor.Well {
		t.Errorf("the others are not made: %s (%s)", o.Result, o.Why)
	}
}

// A connection that ends may be chance, and silence may be a server that hangs: neither is taken for a proxy that hides health.
func TestHealthThatIsNotAnswered(t *testing.T) {
	var n atomic.Int64
	onlyOnce := func(r *http.Request) bool { return r.URL.Path == "/readyz" && n.Add(1) == 1 }
	for _, tt := range []struct {
		name  string
		which match
		how   loss
		want  doctor.Result
	}{
		{"once", onlyOnce, reset, doctor.Well},
		{"whenever it is asked for", to("/readyz"), reset, doctor.Noted},
		{"within its body", to("/readyz"), cut, doctor.Noted},
		{"in silence", to("/readyz"), swallow, doctor.BrokenOff},
		{"but by tokenjar, which is not ready", to("/readyz"), says(503, "store_unavailable", ""), doctor.Found},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, build{handler: losing(tt.which, tt.how)})
			cfg := f.settings()
			cfg.Transport = impatient{cfg.Transport, f.swallowed}
			report := f.examine(cfg)
			o := outcome(t, report, "ready")
			if o.Result != tt.want {
				t.Errorf("got %s (%s) %+v, want %s", o.Result, o.Why, o.Findings, tt.want)
			}
			if failed := tt.want == doctor.BrokenOff || tt.want == doctor.Found; report.Failed() != failed {
				t.Errorf("failed: got %t, want %t", report.Failed(), failed)
			}
		})
	}
}

// A session that cannot be ended fails a report in which there is nothing else.
func TestASessionThatMayBeLeftFailsTheReport(t *testing.T) {
	if report := (&doctor.Report{Left: true}); !report.Failed() {
		t.Error("it has not failed")
	}
	if report := (&doctor.Report{}); report.Failed() {
		t.Error("it has failed")
	}
}

// Who interrupts a sign-in is told that the server may have carried it out.
func TestAnInterruptedSignInIsToldOf(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	f := open(t, build{handler: losing(to("/auth/login"), carriedOut(
		func(_ *front, _ http.Handler, _ http.ResponseWriter, r *http.Request) {
			interrupt()
			<-r.Context().Done()
		}))})
	report, err := doctor.Run(ctx, f.settings())
	if report != nil || !errors.Is(err, context.Canceled) || !errors.Is(err, doctor.ErrLeft) {
		t.Errorf("got %v, %v", report, err)
	}
	if got := f.live(); got != 1 {
		t.Errorf("got %d sessions, want the one that is told of", got)
	}
}

// Before the sign-in there is none, and one that is refused begins none.
func TestWithoutASessionNoneIsToldOf(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	f := open(t, build{handler: losing(to("/readyz"), func(_ *front, _ http.Handler, _ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
	})})
	if _, err := doctor.Run(ctx, f.settings()); !errors.Is(err, context.Canceled) || errors.Is(err, doctor.ErrLeft) {
		t.Errorf("interrupted before: got %v", err)
	}
	cfg := open(t, build{}).settings()
	cfg.Password = servertest.Password + "x"
	if _, err := doctor.Run(t.Context(), cfg); err == nil || errors.Is(err, doctor.ErrLeft) {
		t.Errorf("refused: got %v", err)
	}
}
