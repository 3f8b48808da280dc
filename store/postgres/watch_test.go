package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// A listener is a node that watches.
type listener struct {
	mu    sync.Mutex
	told  []tokenjar.Revocation
	polls int
	ended chan error
}

func listen(t *testing.T, s *Store) *listener {
	t.Helper()
	l := &listener{ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.ended <- s.Watch(ctx, l.changed)
	}()
	t.Cleanup(func() { cancel(); <-done })
	until(t, "it is watched", func() bool { return l.asked() == 1 })
	return l
}

func (l *listener) changed(revoked []tokenjar.Revocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if revoked == nil {
		l.polls++
	}
	l.told = append(l.told, revoked...)
}

func (l *listener) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.polls
}

func (l *listener) heard(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.told, func(r tokenjar.Revocation) bool { return r.SessionID == id })
}

func (l *listener) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprint(l.told, l.polls)
}

func TestWhatEndsASessionIsToldToEveryNode(t *testing.T) {
	dsn, cfg := pgtest.Schema(t), quiet()
	a, b := openAt(t, dsn, cfg, tuning{}), openAt(t, dsn, cfg, tuning{})
	elsewhere := openAt(t, pgtest.Schema(t), cfg, tuning{})
	node, own, foreign := listen(t, b), listen(t, a), listen(t, elsewhere)

	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.CreateUser(ctx, tokenjar.User{ID: "ada", Username: "ada", Active: true}))
	for _, way := range []struct {
		name string
		why  tokenjar.Reason
		end  func(id string) error
	}{
		{"by id", tokenjar.ReasonLogout, func(id string) error {
			_, err := a.RevokeSessions(ctx, "", []string{id}, tokenjar.ReasonLogout)
			return err
		}},
		{"all of a user", tokenjar.ReasonRevoked, func(string) error {
			_, err := a.RevokeUserSessions(ctx, "user", "", tokenjar.ReasonRevoked)
			return err
		}},
		{"reuse", tokenjar.ReasonReuse, func(id string) error { _, err := a.Rotate(ctx, show(id, 7)); return err }},
		{"replaced", tokenjar.ReasonReplaced, func(id string) error {
			n := newSession()
			n.Replaces = []string{id}
			_, _, err := a.CreateSession(ctx, n)
			return err
		}},
		{"cap", tokenjar.ReasonSessionLimit, func(string) error {
			n := newSession()
			n.MaxPerUser = 1
			_, _, err := a.CreateSession(ctx, n)
			return err
		}},
		{"password", tokenjar.ReasonPasswordChanged, func(string) error {
			_, err := a.SetPassword(ctx, tokenjar.PasswordChange{UserID: "ada", NewHash: "new"})
			return err
		}},
	} {
		n := newSession()
		if way.name == "password" {
			n.UserID, n.OwnUserStore = "ada", false
		}
		_, _, err := a.CreateSession(ctx, n)
		must(err)
		must(way.end(n.ID))
		for _, l := range []*listener{node, own} {
			until(t, way.name+" is told", func() bool { return l.heard(n.ID) })
		}
		row, err := b.Session(ctx, n.ID)
		must(err)
		want := tokenjar.Revocation{SessionID: n.ID, Reason: way.why, At: row.RevokedAt}
		node.mu.Lock()
		i := slices.IndexFunc(node.told, func(r tokenjar.Revocation) bool { return r.SessionID == n.ID })
		if got := node.told[i]; got != want {
			t.Errorf("%s: got %+v, want %+v", way.name, got, want)
		}
		node.mu.Unlock()
	}

	// What the nodes have to ask for.
	for i, change := range []func() error{
		func() error { return a.SaveKeyRing(ctx, []byte("box"), 0) },
		func() error { return a.RaiseClaims(ctx, "somebody", 3) },
		func() error { return a.SetUserRoles(ctx, "ada", tokenjar.Roles{Staff: true}) },
	} {
		before := node.asked()
		must(change())
		until(t, fmt.Sprintf("change %d is told", i), func() bool { return node.asked() > before })
	}

	// What was undone, or changed nothing, is not told.
	node.mu.Lock()
	before, polls := len(node.told), node.polls
	node.mu.Unlock()
	if err := a.SaveKeyRing(ctx, []byte("box"), 7); !errors.Is(err, tokenjar.ErrConflict) {
		t.Fatal(err)
	}
	taken := newSession()
	_, _, err := a.CreateSession(ctx, taken)
	must(err)
	again := newSession()
	again.ID, again.Replaces = taken.ID, []string{taken.ID}
	if _, _, err := a.CreateSession(ctx, again); !errors.Is(err, tokenjar.ErrConflict) {
		t.Fatal(err)
	}
	must(a.RaiseClaims(ctx, "somebody", 2))
	wantOutcome(t, a, taken.ID, 1, tokenjar.OutcomeRotated)
	_, err = a.RevokeSessions(ctx, "", []string{"unknown"}, tokenjar.ReasonLogout)
	must(err)
	last := login(t, a)
	_, err = a.RevokeSessions(ctx, "", []string{last}, tokenjar.ReasonLogout)
	must(err)
	until(t, "the last is told", func() bool { return node.heard(last) }) // in order: all others have been
	node.mu.Lock()
	if more := len(node.told) - before; more != 1 || node.polls != polls {
		t.Errorf("%d revocations and %d polls were told, want one and none", more, node.polls-polls)
	}
	node.mu.Unlock()
	if foreign.all() != "[] 1" {
		t.Errorf("another schema was told: %s", foreign.all())
	}
}

func TestManyRevocationsAreToldInPartsAndTooManyAreAskedFor(t *testing.T) {
	s := openAt(t, pgtest.Schema(t), quiet(), tuning{})
	node := listen(t, s)
	var ids []string
	for range 500 { // more than one notification takes
		ids = append(ids, login(t, s))
	}
	if _, err := s.RevokeSessions(t.Context(), "", ids, tokenjar.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	until(t, "all are told", func() bool { return !slices.ContainsFunc(ids, func(id string) bool { return !node.heard(id) }) })
	if n := node.asked(); n != 1 {
		t.Errorf("polls: got %d, want that of the beginning alone", n)
	}
	list := make([]string, 10_000)
	for i := range list {
		list[i] = strings.Repeat("x", 100)
	}
	for _, ids := range [][]string{list, {strings.Repeat("y", 20_000)}} {
		notes := &tx{store: s, now: 1}
		notes.ended(tokenjar.ReasonLogout, ids...)
		for _, payload := range notes.news {
			if len(payload) > 7999 {
				t.Fatalf("a notification of %d bytes", len(payload))
			}
		}
		if len(ids) == 1 && (len(notes.news) != 1 || notes.news[0] != "") {
			t.Errorf("an id longer than any notification: got %q", notes.news)
		}
		before := node.asked()
		_, err := write(t.Context(), s, "tell", func(t *tx) (struct{}, error) { t.news = notes.news; return struct{}{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		until(t, "it is asked", func() bool { return node.asked() == before+1 })
	}
}

func TestWatchEndsWithItsContextAndWithTheServer(t *testing.T) {
	server := pgtest.Start(t)
	s := openAt(t, server.DSN(), quiet(), tuning{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func([]tokenjar.Revocation) { cancel() }) }()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("when its context ended: got %v", err)
	}
	node := listen(t, s)
	server.Kill(t)
	wantUnavailable(t, <-node.ended)
	wantUnavailable(t, s.Watch(t.Context(), func([]tokenjar.Revocation) { t.Error("told without a server") }))
}

// A server that is cut off keeps silent: no connection is reset.
func TestAServerThatIsCutOffIsNoticed(t *testing.T) {
	server := pgtest.Start(t)
	line := newLine(t, server.Addr())
	cfg := quiet()
	cfg.Timeout = 3 * time.Second
	dsn := strings.Replace(server.TCP(), server.Addr(), line.addr, 1)
	s := openAt(t, dsn, cfg, tuning{})
	id := login(t, s)
	node := listen(t, s)

	line.cut()
	begin := time.Now()
	_, err := s.Rotate(t.Context(), show(id, 1))
	wantUnavailable(t, err)
	wantUnavailable(t, <-node.ended)
	if waited := time.Since(begin); waited > 40*time.Second { // 5 seconds, on a machine that is not busy
		t.Errorf("it was noticed after %v", waited)
	}
	t.Logf("noticed after %v", time.Since(begin))
	line.mend()
	begin = time.Now()
	until(t, "the store is back", func() bool {
		v, err := s.Rotate(t.Context(), show(id, 1))
		return err == nil && v.Outcome.Successful()
	})
	t.Logf("back after %v", time.Since(begin))
	listen(t, s)
}

// A line carries connections to a server until it is cut: what is sent then is lost, and no connection ends.
type line struct {
	addr string
	mu   sync.Mutex
	dead chan struct{} // closed when it is cut
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l := &line{dead: make(chan struct{})}
	accept, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.addr = accept.Addr().String()
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			from, err := accept.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			mu.Lock()
			open = append(open, from, server)
			mu.Unlock()
			dead := l.state()
			all.Go(func() { carry(server, from, dead) })
			all.Go(func() { carry(from, server, dead) })
		}
	})
	t.Cleanup(func() {
		accept.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l
}

func (l *line) state() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *line) cut() { close(l.state()) }

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = make(chan struct{})
}

func carry(to io.WriteCloser, from io.Reader, dead chan struct{}) {
	part := make([]byte, 64<<10)
	for {
		n, err := from.Read(part)
		select {
		case <-dead:
			if err != nil {
				return
			}
			continue
		default:
		}
		if n > 0 {
			to.Write(part[:n])
		}
		if err != nil {
			to.Close()
			return
		}
	}
}
