package servertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/storehook"
)

// A Store keeps everything.
type Store = storehook.All

// FaultyStore is a store that can be told to fail.
type FaultyStore struct {
	Store
	mu     sync.Mutex
	down   bool
	panics bool
	calls  int
	hold   *Hold

	beforePassword func(tokenjar.PasswordChange) error
	afterPassword  func()
}

// BeforePassword makes every password change ask first whether it may be made; nil is everyday life.
func (s *FaultyStore) BeforePassword(ask func(tokenjar.PasswordChange) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beforePassword = ask
}

// AfterPassword makes something happen right after the next password change has committed.
func (s *FaultyStore) AfterPassword(happen func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.afterPassword = happen
}

// SetDown makes every call that a request needs fail, or work again.
func (s *FaultyStore) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// SetPanic makes every look-up of a user panic, or work again.
func (s *FaultyStore) SetPanic(panics bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panics = panics
}

func (s *FaultyStore) panicking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.panics
}

// Calls returns how many calls requests have made so far.
func (s *FaultyStore) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// A Hold keeps the next look-up of a user waiting.
type Hold struct {
	Entered chan struct{} // closed when the call has arrived
	Release chan struct{} // to be closed for it to go on
}

// HoldNext makes the next look-up of a user wait.
func (s *FaultyStore) HoldNext() *Hold {
	h := &Hold{Entered: make(chan struct{}), Release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = h
	return h
}

func (s *FaultyStore) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.down {
		return fmt.Errorf("injected: %w", tokenjar.ErrStoreUnavailable)
	}
	return nil
}

func (s *FaultyStore) CreateSession(ctx context.Context, n tokenjar.NewSession) (tokenjar.Session, []string, error) {
	if err := s.fault(); err != nil {
		return tokenjar.Session{}, nil, err
	}
	return s.Store.CreateSession(ctx, n)
}

func (s *FaultyStore) Session(ctx context.Context, id string) (tokenjar.Session, error) {
	if err := s.fault(); err != nil {
		return tokenjar.Session{}, err
	}
	return s.Store.Session(ctx, id)
}

func (s *FaultyStore) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	if err := s.fault(); err != nil {
		return tokenjar.Verdict{}, err
	}
	return s.Store.Rotate(ctx, r)
}

func (s *FaultyStore) RevokeSessions(ctx context.Context, userID string, ids []string, why tokenjar.Reason) ([]string, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.RevokeSessions(ctx, userID, ids, why)
}

func (s *FaultyStore) RevokeUserSessions(ctx context.Context, userID, except string, why tokenjar.Reason) ([]string, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.RevokeUserSessions(ctx, userID, except, why)
}

func (s *FaultyStore) UserSessions(ctx context.Context, userID string) ([]tokenjar.Session, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.Store.UserSessions(ctx, userID)
}

func (s *FaultyStore) FindUser(ctx context.Context, id tokenjar.Identifier) (tokenjar.User, error) {
	if err := s.fault(); err != nil {
		return tokenjar.User{}, err
	}
	return s.Store.FindUser(ctx, id)
}

func (s *FaultyStore) User(ctx context.Context, id string) (tokenjar.User, error) {
	if err := s.fault(); err != nil {
		return tokenjar.User{}, err
	}
	s.mu.Lock()
	hold := s.hold
	s.hold = nil
	panics := s.panics
	s.mu.Unlock()
	if hold != nil {
		close(hold.Entered)
		<-hold.Release
	}
	if panics {
		panic(errors.New("injected panic"))
	}
	return s.Store.User(ctx, id)
}

func (s *FaultyStore) KeyRing(ctx context.Context) ([]byte, int64, error) {
	if err := s.fault(); err != nil {
		return nil, 0, err
	}
	return s.Store.KeyRing(ctx)
}

func (s *FaultyStore) RecordLogin(ctx context.Context, id string, rec tokenjar.LoginRecord) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.RecordLogin(ctx, id, rec)
}

func (s *FaultyStore) UpdateProfile(ctx context.Context, id string, p tokenjar.Profile) (tokenjar.User, error) {
	if err := s.fault(); err != nil {
		return tokenjar.User{}, err
	}
	return s.Store.UpdateProfile(ctx, id, p)
}

func (s *FaultyStore) RenameSession(ctx context.Context, userID, id, name string) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.RenameSession(ctx, userID, id, name)
}

func (s *FaultyStore) SetPassword(ctx context.Context, p tokenjar.PasswordChange) ([]string, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	before, after := s.beforePassword, s.afterPassword
	s.afterPassword = nil
	s.mu.Unlock()
	if before != nil {
		if err := before(p); err != nil {
			return nil, err
		}
	}
	ended, err := s.Store.SetPassword(ctx, p)
	if err == nil && after != nil {
		after()
	}
	return ended, err
}
