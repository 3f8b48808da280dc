package tokenjartest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/session"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// A standIn is a testing.TB for what has none: examples, and helpers that are to fail.
type standIn struct {
	testing.TB // nil: what is not below is not used
	ctx        context.Context
	stop       func()
	output     io.Writer
	panics     bool // to fail is a fault of the test

	mu       sync.Mutex
	cleanups []func()
	failure  string
}

func newStandIn(output io.Writer) *standIn {
	s := &standIn{output: output}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

func (s *standIn) Helper()                  {}
func (s *standIn) Context() context.Context { return s.ctx }
func (s *standIn) Output() io.Writer        { return s.output }

func (s *standIn) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

func (s *standIn) Fatal(args ...any) { s.fail(fmt.Sprint(args...)) }

func (s *standIn) Fatalf(format string, args ...any) { s.fail(fmt.Sprintf(format, args...)) }

func (s *standIn) fail(message string) {
	if s.panics {
		panic(message)
	}
	s.mu.Lock()
	s.failure = message
	s.mu.Unlock()
	runtime.Goexit()
}

// finish does what the testing package does when a test is over.
func (s *standIn) finish() {
	s.stop()
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

// failure runs a piece of a test that is to fail and returns what it says.
func failure(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	s := newStandIn(t.Output())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.finish()
		f(s)
	}()
	<-done
	return s.failure
}

// wantFailure fails the test unless a piece of a test fails and says all of these.
func wantFailure(t *testing.T, f func(t testing.TB), says ...string) {
	t.Helper()
	got := failure(t, f)
	if got == "" {
		t.Errorf("it did not fail, and should have said %q", says)
		return
	}
	for _, want := range says {
		if !strings.Contains(got, want) {
			t.Errorf("it failed with %q, which does not say %q", got, want)
		}
	}
}

// newExampleT is the t of an example, which has none of its own.
func newExampleT() *standIn {
	t := newStandIn(io.Discard)
	t.panics = true
	return t
}

// whoami is the handler of a program: it says whom the guard let through.
func whoami(w http.ResponseWriter, r *http.Request) {
	id, ok := tokenjar.IdentityFromContext(r.Context())
	if !ok {
		io.WriteString(w, "nobody")
		return
	}
	io.WriteString(w, id.UserID)
}

// routes is a program as its tests see it.
func routes(guard *session.Guard) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/me", guard.Required(http.HandlerFunc(whoami)))
	mux.Handle("/", guard.Optional(http.HandlerFunc(whoami)))
	return mux
}
