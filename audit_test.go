package tokenjar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// trail keeps events, or fails.
type trail struct {
	mu     sync.Mutex
	down   bool
	calls  int
	events []tokenjar.AuditEvent
	during func() // what happens while a batch is written
}

func (a *trail) AppendAudit(_ context.Context, events []tokenjar.AuditEvent) error {
	a.mu.Lock()
	a.calls++
	during := a.during
	a.mu.Unlock()
	if during != nil {
		during()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	for _, e := range events {
		if !slices.ContainsFunc(a.events, func(have tokenjar.AuditEvent) bool { return e.ID != "" && have.ID == e.ID }) {
			a.events = append(a.events, e)
		}
	}
	return nil
}

func (a *trail) AuditTrail(context.Context, tokenjar.AuditFilter) ([]tokenjar.AuditEvent, error) {
	return nil, nil
}

func (a *trail) PruneAudit(context.Context, time.Duration, int) (int, error) { return 0, nil }

func (a *trail) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *trail) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, e := range a.events {
		name := e.Name
		if e.Reason != "" {
			name += " " + e.Reason
		}
		names = append(names, name)
	}
	return names
}

// closed turns every try away.
type closed struct{}

func (closed) AllowAddress(context.Context, string) error {
	return &tokenjar.RateLimitError{Limit: "address", RetryAfter: time.Second}
}
func (closed) AllowAccount(context.Context, string) error { return nil }

// tooMany is one of many decisions of which each is kept.
func tooMany(w *world, request int) {
	ctx := tokenjar.ContextWithRequestID(context.Background(), fmt.Sprint(request))
	w.Raise(ctx, tokenjar.AuditEvent{Name: "login.failed", Reason: "unknown_user", IP: "192.0.2.1"})
}

// refused is a try that the limit turns away, which costs its sender next to nothing.
func refused(w *world, from tokenjar.Client) {
	w.Login(context.Background(), tokenjar.Credentials{Username: "ada", Password: "x"}, from)
}

func TestWhatAnybodyCanCauseAtWillIsOneRowAMinute(t *testing.T) { // L-05, R-14
	a := &trail{}
	told := 0
	w := newWorld(t, func(c *tokenjar.Config) {
		c.Audit, c.Limits, c.OnEvent = a, closed{}, func(tokenjar.AuditEvent) { told++ }
	})
	flush := func() {
		t.Helper()
		if err := w.FlushAudit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	a.events, told = nil, 0
	for range 5000 {
		refused(w, tokenjar.Client{IP: "192.0.2.1"})
	}
	refused(w, tokenjar.Client{IP: "192.0.2.2"})
	flush()
	if told != 5001 || len(a.events) != 2 {
		t.Fatalf("%d told, %d kept, want all and the first of each address", told, len(a.events))
	}
	w.clock.advance(time.Minute)
	flush()
	if len(a.events) != 3 || a.events[2].Detail["further"] != "4999" || a.events[2].IP != "192.0.2.1" {
		t.Errorf("after a minute: %+v", a.events[2:])
	}

	// From however many addresses: a thousand of them, and one row for all others.
	a.events = nil
	for i := range 20000 {
		refused(w, tokenjar.Client{IP: fmt.Sprintf("2001:db8:%x::1", i)})
	}
	w.clock.advance(time.Minute)
	flush()
	if n := len(a.events); n < 1001 || n > 1002 || a.events[n-1].Detail["further"] != "18999" || a.events[n-1].IP != "" {
		t.Errorf("%d rows, the last one %+v", n, a.events[n-1])
	}

	// One token shown again and again.
	g := w.login(t)
	for range 1000 {
		if _, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Renewal: true}); err != nil {
			t.Fatal(err)
		}
	}
	a.events = nil
	flush()
	if n := len(a.events); n > 4 {
		t.Errorf("a thousand replays are %d rows", n)
	}
}

func TestWaitingEventsKeepNoWholeHeaderInMemory(t *testing.T) {
	a := &trail{}
	a.setDown(true)
	w := newWorld(t, func(c *tokenjar.Config) { c.Audit = a })
	memory := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	for i := range 2000 {
		agent := strings.Repeat(string(rune('a'+i%26)), 50<<10)
		w.Raise(t.Context(), tokenjar.AuditEvent{Name: "login.failed", Reason: "unknown_user", UserAgent: agent})
	}
	if got := memory() - before; got > 8<<20 {
		t.Errorf("2000 events that wait hold %d MiB", got>>20)
	}
	runtime.KeepAlive(w)
}

func TestEveryDecisionStandsInTheTrailOnce(t *testing.T) {
	a := &trail{}
	w := newWorld(t, func(c *tokenjar.Config) { c.Audit = a })
	ctx := tokenjar.ContextWithRequestID(t.Context(), "request-1")
	from := tokenjar.Client{IP: "192.0.2.7", UserAgent: "agent"}
	disabled := w.user
	disabled.ID, disabled.Username, disabled.Email, disabled.Active = "user-off", "off", "off@example.com", false
	if err := w.store.CreateUser(ctx, disabled); err != nil {
		t.Fatal(err)
	}
	login := func(name, password string) tokenjar.Grant {
		g, _ := w.Login(ctx, tokenjar.Credentials{Username: name, Password: tokenjar.Password(password)}, from)
		return g
	}
	if err := w.FlushAudit(ctx); err != nil {
		t.Fatal(err)
	}
	a.events = nil // the start

	g := login("ada", testPassword)
	login("ada", "canary-password")
	login("canary-password", testPassword) // typed into the wrong field
	login("canary-password@example.com", testPassword)
	login("off", testPassword)
	next, err := w.Refresh(ctx, tokenjar.RefreshRequest{Token: g.RefreshToken, Client: from})
	if err != nil {
		t.Fatal(err)
	}
	w.Refresh(ctx, tokenjar.RefreshRequest{Token: g.RefreshToken, Client: from})
	last, err := w.Refresh(ctx, tokenjar.RefreshRequest{Token: next.RefreshToken, Client: from})
	if err != nil {
		t.Fatal(err)
	}
	w.Refresh(ctx, tokenjar.RefreshRequest{Token: g.RefreshToken, Client: from}) // reuse
	w.Refresh(ctx, tokenjar.RefreshRequest{Token: last.RefreshToken, Client: from})
	out := login("ada", testPassword)
	if err := w.Logout(ctx, []tokenjar.SignedSession{{SessionID: out.SessionID, UserID: out.User.ID}}); err != nil {
		t.Fatal(err)
	}
	w.Logout(ctx, []tokenjar.SignedSession{{SessionID: out.SessionID, UserID: out.User.ID}}) // again: nothing to decide
	login("ada", testPassword)
	if _, err := w.LogoutAll(ctx, w.user.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.FlushAudit(ctx); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"login.succeeded", "login.failed wrong_password", "login.failed unknown_user", "login.failed unknown_user", "login.failed disabled",
		"refresh.rotated", "refresh.grace_replay", "refresh.rotated", "session.revoked reuse", "refresh.session_reused",
		"login.succeeded", "session.revoked logout", "login.succeeded", "session.revoked logout",
	}
	if got := a.names(); !slices.Equal(got, want) {
		t.Errorf("LG-10: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, e := range a.events {
		if e.RequestID != "request-1" || e.At.Location() != time.UTC || e.At.IsZero() || e.UserID == "" && e.Reason != "unknown_user" ||
			e.Name != "session.revoked" && (e.IP != "192.0.2.7" || e.UserAgent != "agent") || e.SessionID == "" && e.Name != "login.failed" {
			t.Errorf("LG-10: incomplete: %+v", e)
		}
		if strings.Contains(fmt.Sprintf("%+v", e), "canary") {
			t.Errorf("LG-01, LG-03: %+v", e)
		}
	}
}

func TestAnEventWhoseCommitIsInDoubtStandsInTheTrailOnce(t *testing.T) {
	onEveryStore(t, func(t *testing.T, w *world) {
		inDoubt := true
		w.cfg.Store = storehook.Wrap(w.store, func(ctx context.Context, call string, do func(context.Context) error) error {
			err := do(ctx)
			if call == "AppendAudit" && inDoubt {
				inDoubt = false
				return fmt.Errorf("injected: commit: %w", tokenjar.ErrStoreUnavailable)
			}
			return err
		})
		w.restart(t)
		g := w.login(t)
		w.mustRefresh(t, g)
		wantErr(t, w.FlushAudit(t.Context()), tokenjar.ErrStoreUnavailable)
		if err := w.Logout(t.Context(), w.SignedSessions([]string{g.AccessToken}, nil)); err != nil {
			t.Fatal(err)
		}
		if err := w.FlushAudit(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := w.store.AuditTrail(t.Context(), tokenjar.AuditFilter{UserID: w.user.ID})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range list {
			names = append(names, e.Name)
		}
		if want := []string{"session.revoked", "refresh.rotated"}; !slices.Equal(names, want) {
			t.Errorf("the trail holds %q, want %q", names, want)
		}
	})
}

func TestEventsWaitWhileTheTrailFailsAndArriveInOrder(t *testing.T) {
	a := &trail{}
	a.setDown(true)
	w := newWorld(t, func(c *tokenjar.Config) { c.Audit, c.Limits = a, closed{} })
	const n = 1234 // more than two batches
	for i := range n {
		tooMany(w, i)
		if i%100 == 0 {
			if err := w.FlushAudit(t.Context()); !errors.Is(err, tokenjar.ErrStoreUnavailable) {
				t.Fatalf("got %v", err)
			}
		}
	}
	before := w.Stats().AuditPending
	if before < n {
		t.Fatalf("R-14: %d events wait of %d", before, n)
	}
	a.setDown(false)
	if err := w.FlushAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := w.Stats(); st.AuditPending != 0 || st.AuditDropped != 0 || len(a.events) != before {
		t.Errorf("got %d stored of %d, %d waiting, %d dropped", len(a.events), before, st.AuditPending, st.AuditDropped)
	}
	for i, e := range a.events[len(a.events)-n:] {
		if e.RequestID != fmt.Sprint(i) {
			t.Fatalf("LG-10: event %d is of request %s", i, e.RequestID)
		}
	}
}

func TestAFloodOfEventsIsDroppedAndCountedAndRequestsGoOn(t *testing.T) {
	a := &trail{}
	a.setDown(true)
	told := 0
	var log bytes.Buffer
	w := newWorld(t, func(c *tokenjar.Config) {
		c.Audit, c.Limits, c.OnEvent = a, closed{}, func(tokenjar.AuditEvent) { told++ }
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	const most, more = 10000, 345
	for i := told; i < most+more; i++ {
		tooMany(w, i)
	}
	if st := w.Stats(); st.AuditPending != most || st.AuditDropped != more {
		t.Errorf("R-14: %d waiting, %d dropped", st.AuditPending, st.AuditDropped)
	}
	if lines := strings.Count(log.String(), "security event"); told != most+more || lines != told {
		t.Errorf("R-14: %d told, %d logged, want %d of both: the log has what the trail has not", told, lines, most+more)
	}
	g := w.login(t)
	if _, err := w.refresh(t, g); err != nil {
		t.Errorf("R-14: a session is not renewed meanwhile: %v", err)
	}
	a.setDown(false)
	if err := w.FlushAudit(t.Context()); err != nil || len(a.events) != most {
		t.Errorf("got %v, %d stored", err, len(a.events))
	}
}

func TestAFloodDuringTheWriteKeepsNothingElseWaiting(t *testing.T) {
	a := &trail{}
	w := newWorld(t, func(c *tokenjar.Config) { c.Audit, c.Limits = a, closed{} })
	tooMany(w, 0)
	a.during = func() {
		if a.calls < 100 { // a writer that runs after them would never come to an end
			tooMany(w, a.calls)
		}
	}
	if err := w.FlushAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.calls != 1 || w.Stats().AuditPending != 1 {
		t.Errorf("R-14: %d writes in one turn, %d left for the next", a.calls, w.Stats().AuditPending)
	}
}

func TestWaitingEventsAreWrittenAtTheStop(t *testing.T) {
	a := &trail{}
	w := newWorld(t, func(c *tokenjar.Config) { c.Audit, c.Limits = a, closed{} })
	for i := range 2000 {
		tooMany(w, i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := len(a.events); got < 2000 || w.Stats().AuditPending != 0 {
		t.Errorf("got %d of 2000, %d waiting", got, w.Stats().AuditPending)
	}
}

func TestNoTextKeepsAnEventFromBeingStored(t *testing.T) {
	a := &trail{}
	w := newWorld(t, func(c *tokenjar.Config) { c.Audit, c.Limits = a, closed{} })
	for _, text := range []string{"a\x00b", "\xff\xfe", "a\r\nforged", "\x1b[31m", strings.Repeat("é", 5000), "\u0085"} {
		ctx := tokenjar.ContextWithRequestID(t.Context(), text)
		w.Login(ctx, tokenjar.Credentials{Username: "ada", Password: "x"}, tokenjar.Client{IP: text, UserAgent: text})
	}
	if err := w.FlushAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range a.events {
		for _, text := range []string{e.IP, e.UserAgent, e.RequestID} {
			if !utf8.ValidString(text) || len(text) > 256 || strings.ContainsAny(text, "\x00\r\n\x1b\u0085") {
				t.Errorf("LG-05: %q", text)
			}
		}
	}
}
