package tokenjar_test

import (
	"context"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// freezer is a store whose process is frozen, once, right after a call was answered.
type freezer struct {
	call      string // "" for none
	meanwhile func()
}

func (f *freezer) around(ctx context.Context, call string, do func(context.Context) error) error {
	err := do(ctx)
	if call == f.call {
		f.call = ""
		f.meanwhile()
	}
	return err
}

// frozenNode returns a node of a world that can be frozen.
func (w *world) frozenNode(t *testing.T) (*world, *freezer) {
	t.Helper()
	f, node := &freezer{}, *w
	node.cfg.Store = storehook.Wrap(w.store, f.around)
	node.restart(t)
	return &node, f
}

// The other nodes forget a revocation when no access token of before it can live any more. A process that is frozen between
// the store's answer and the signing must not make one that does.
func TestATokenOfAFrozenNodeDoesNotOutliveTheRevocation(t *testing.T) {
	const life = 5 * time.Minute
	for _, row := range []struct {
		name, call string
		first      func(t *testing.T, other *world, g tokenjar.Grant) // comes before
		get        func(t *testing.T, node *world, g tokenjar.Grant) (tokenjar.Grant, error)
	}{
		{"sign-in", "CreateSession", nil, func(t *testing.T, node *world, _ tokenjar.Grant) (tokenjar.Grant, error) {
			return node.signIn(t, testPassword)
		}},
		{"refresh", "Rotate", nil, func(t *testing.T, node *world, g tokenjar.Grant) (tokenjar.Grant, error) {
			return node.refresh(t, g)
		}},
		{"the same answer again", "Rotate", func(t *testing.T, other *world, g tokenjar.Grant) { other.mustRefresh(t, g) },
			func(t *testing.T, node *world, g tokenjar.Grant) (tokenjar.Grant, error) { return node.refresh(t, g) }},
		{"new password", "Rotate", func(t *testing.T, other *world, g tokenjar.Grant) {
			if err := other.change(t, g, testPassword, newPassword); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T, node *world, g tokenjar.Grant) (tokenjar.Grant, error) { return node.refresh(t, g) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, func(c *tokenjar.Config) { c.AccessLifetime = life })
			first := w.login(t)
			if row.first != nil {
				row.first(t, w, first)
			}
			node, f := w.frozenNode(t)
			f.call, f.meanwhile = row.call, func() {
				if _, err := w.LogoutAll(t.Context(), w.user.ID); err != nil {
					t.Error(err)
				}
				w.clock.advance(2 * time.Minute)
			}
			late, err := row.get(t, node, first)
			if err != nil {
				t.Fatal(err) // it knows nothing of the revocation yet
			}
			wantErr(t, authenticated(w, late), tokenjar.ErrTokenRevoked)
			w.clock.advance(life - 2*time.Minute + 31*time.Second)
			w.Prune() // the revocation
			w.ForgetVerified()
			wantErr(t, authenticated(w, late), tokenjar.ErrTokenExpired)
		})
	}
}

// Nor one whose claims had changed by then: those changes are forgotten in the same way.
func TestATokenOfAFrozenNodeDoesNotOutliveAChangeOfClaims(t *testing.T) {
	const life = 5 * time.Minute
	for _, row := range []struct {
		name, call string
		get        func(t *testing.T, node *world, g tokenjar.Grant) (tokenjar.Grant, error)
	}{
		{"sign-in", "FindUser", func(t *testing.T, node *world, _ tokenjar.Grant) (tokenjar.Grant, error) {
			return node.signIn(t, testPassword)
		}},
		{"refresh", "User", func(t *testing.T, node *world, g tokenjar.Grant) (tokenjar.Grant, error) {
			return node.refresh(t, g)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, func(c *tokenjar.Config) { c.AccessLifetime = life })
			first := w.login(t)
			node, f := w.frozenNode(t)
			f.call, f.meanwhile = row.call, func() {
				if err := w.SetUserRoles(t.Context(), w.user.ID, tokenjar.Roles{Staff: true}); err != nil {
					t.Error(err)
				}
				w.clock.advance(2 * time.Minute)
			}
			late, err := row.get(t, node, first)
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, authenticated(w, late), tokenjar.ErrTokenExpired) // its claims are
			w.clock.advance(life - 2*time.Minute + 31*time.Second)
			w.Prune()
			if n := w.ClaimsRaised(); n != 0 {
				t.Fatalf("%d changes are remembered, want none", n)
			}
			wantErr(t, authenticated(w, late), tokenjar.ErrTokenExpired)
		})
	}
}

func authenticated(w *world, g tokenjar.Grant) error {
	_, err := w.Authenticate(g.AccessToken)
	return err
}

func TestAfterALongFreezeTheClientAsksAgainAndGetsTheSuccessor(t *testing.T) {
	w := newWorld(t)
	node, f := w.frozenNode(t)
	first := w.login(t)
	for _, frozen := range []time.Duration{tokenjar.DefaultAccessLifetime, tokenjar.DefaultIdle + time.Hour} {
		f.call, f.meanwhile = "Rotate", func() { w.clock.advance(frozen) }
		_, err := node.refresh(t, first)
		wantErr(t, err, tokenjar.ErrStoreUnavailable) // even if the session is over by now: the store says so
		w.clock.advance(-frozen)
	}
	next, err := node.refresh(t, first)
	if err != nil || next.Generation != 2 {
		t.Fatalf("got generation %d and %v, want 2", next.Generation, err)
	}
	wantErr(t, authenticated(w, next), nil)
}

func TestAFrozenNodeDoesNotLengthenTheGrace(t *testing.T) {
	w := newWorld(t)
	node, f := w.frozenNode(t)
	first := w.login(t)
	f.call, f.meanwhile = "Rotate", func() { w.clock.advance(tokenjar.DefaultGrace + time.Second) }
	next := node.mustRefresh(t, first)
	if err := authenticated(node, next); err != nil { // used: whoever shows the old one now has a copy
		t.Fatal(err)
	}
	if err := node.FlushSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := node.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionReused)
}

func TestASignInThatTookTooLongLeavesNoSession(t *testing.T) {
	w := newWorld(t)
	node, f := w.frozenNode(t)
	f.call, f.meanwhile = "CreateSession", func() { w.clock.advance(tokenjar.DefaultAccessLifetime) }
	_, err := node.signIn(t, testPassword)
	wantErr(t, err, tokenjar.ErrStoreUnavailable)
	list, err := w.Sessions(t.Context(), w.user.ID)
	if err != nil || len(list) != 0 {
		t.Fatalf("sessions %+v and %v, want none", list, err)
	}
}
