package tokenjar_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// How long a revocation must be known, and to whom: no longer than an access token may live, and never less.

// lateStore tells of what was revoked only once that is committed, which may be later than its time says.
type lateStore struct {
	*memory.Store
	committing atomic.Bool
}

func (s *lateStore) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	news, err := s.Store.News(ctx, since)
	if s.committing.Load() {
		news.Revocations = nil
	}
	return news, err
}

func TestS02ARevocationThatIsCommittedLateIsLearnedAllTheSame(t *testing.T) {
	store := &lateStore{}
	w := newWorld(t, func(c *tokenjar.Config) {
		store.Store = c.Store.(*memory.Store)
		c.Store = store
	})
	first := w.login(t)
	here, elsewhere := w, w.second(t)
	store.committing.Store(true)
	if err := elsewhere.Logout(t.Context(), elsewhere.SignedSessions([]string{first.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	for range 28 { // polls that see nothing of it
		w.clock.advance(time.Second)
		if err := here.PollRevocations(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := here.Authenticate(first.AccessToken); err != nil {
		t.Fatalf("before the commit: %v", err)
	}
	store.committing.Store(false)
	w.clock.advance(time.Second)
	if err := here.PollRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := here.Authenticate(first.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
}

func TestARevocationIsKnownForAsLongAsAnAccessTokenMayLive(t *testing.T) {
	w := newWorld(t)
	first := w.login(t)
	here, elsewhere := w, w.second(t)
	if err := here.Logout(t.Context(), here.SignedSessions([]string{first.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.PollRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(first.AccessExpires.Sub(w.clock.Now()) - time.Second)
	for name, s := range map[string]*world{"the node that revoked": here, "another node": elsewhere} {
		s.Prune()
		if _, err := s.Authenticate(first.AccessToken); !errors.Is(err, tokenjar.ErrTokenRevoked) {
			t.Errorf("%s, in the last second of the token: got %v", name, err)
		}
	}
	w.clock.advance(time.Minute)
	here.Prune()
	if n := here.Stats().Revocations; n != 0 {
		t.Errorf("%d revocations are known although no access token needs them", n)
	}
}

// What a node deletes from the store, another one that starts a moment later cannot learn of.
func TestNoRevocationIsDeletedThatALivingAccessTokenIsUpAgainst(t *testing.T) {
	w := newWorld(t)
	first := w.login(t)
	if err := w.Logout(t.Context(), w.SignedSessions([]string{first.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(first.AccessExpires.Sub(w.clock.Now()) - time.Second)
	if _, err := w.PruneStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.restart(t)
	_, err := w.Authenticate(first.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
	w.clock.advance(time.Hour)
	if _, err := w.PruneStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.store.Session(t.Context(), first.SessionID)
	wantErr(t, err, tokenjar.ErrNotFound)
}

// C-15: when the clock is set back, what was kept for the grace lies within it again.
func TestAKeptAnswerNeverOutlivesSignOut(t *testing.T) {
	w := newWorld(t)
	first := w.login(t)
	w.mustRefresh(t, first)
	if err := w.Logout(t.Context(), w.SignedSessions([]string{first.AccessToken}, nil)); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Hour)
	w.Prune() // the revocation is not needed any more
	w.clock.advance(-time.Hour)
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionEnded)
}

// Another node ended the session, and this one has not heard of it: whoever signs out here is told that it is over here.
func TestSignOutHoldsHereAlthoughAnotherNodeWasFaster(t *testing.T) {
	w := newWorld(t)
	first := w.login(t)
	here, elsewhere := w, w.second(t)
	for _, s := range []*world{elsewhere, here} {
		if err := s.Logout(t.Context(), s.SignedSessions([]string{first.AccessToken}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := here.Authenticate(first.AccessToken)
	wantErr(t, err, tokenjar.ErrTokenRevoked)
}

func TestT01ReuseEndsAccessTokensAtOnce(t *testing.T) {
	w := newWorld(t)
	first := w.login(t)
	third := w.mustRefresh(t, w.mustRefresh(t, first))
	if _, err := w.Authenticate(third.AccessToken); err != nil {
		t.Fatal(err)
	}
	_, err := w.refresh(t, first)
	wantErr(t, err, tokenjar.ErrSessionReused)
	for _, g := range []tokenjar.Grant{first, third} {
		_, err := w.Authenticate(g.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenRevoked)
	}
}

// An earlier change may be told after a later one: by another part of the program, or by a try that was repeated.
func TestS06AnEarlierChangeOfClaimsLowersNothing(t *testing.T) {
	w := newWorld(t)
	w.user.ClaimsGen = 4
	g := w.login(t)
	for _, generation := range []int64{5, 3} {
		if err := w.ClaimsChanged(t.Context(), w.user.ID, generation); err != nil {
			t.Fatal(err)
		}
		_, err := w.Authenticate(g.AccessToken)
		wantErr(t, err, tokenjar.ErrTokenExpired)
	}
}
