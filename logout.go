package tokenjar

import (
	"context"
	"fmt"
)

// SignedSessions returns the sessions that genuine tokens name, expired or not: what a sign-out ends, and what a new
// sign-in of the same browser replaces. Access and refresh tokens are taken alike; what does not verify is passed over.
func (s *Service) SignedSessions(access, refresh []string) []SignedSession {
	var found []SignedSession
	add := func(sessionID, userID string) {
		for _, f := range found {
			if f.SessionID == sessionID {
				return
			}
		}
		found = append(found, SignedSession{SessionID: sessionID, UserID: userID})
	}
	for _, raw := range access {
		if id, _, err := s.verify(s.signedAccess, raw); err == nil {
			add(id.SessionID, id.UserID)
		}
	}
	for _, raw := range refresh {
		if t, err := s.refreshKeys().decode(raw); err == nil {
			add(t.SessionID, t.UserID)
		}
	}
	return found
}

// A SignedSession is a session that a genuine token names.
type SignedSession struct {
	SessionID string
	UserID    string
}

// Logout ends sessions. When it returns nil they are over: on this node at once, for good, and whatever refresh was in
// flight. A session that is over already is no error. With [ErrStoreUnavailable] nothing is promised, and the caller
// must not tell the user that they are signed out.
func (s *Service) Logout(ctx context.Context, sessions []SignedSession) error {
	for _, each := range sessions {
		if err := s.endSessions(ctx, each.UserID, []string{each.SessionID}, ReasonLogout); err != nil {
			return fmt.Errorf("logout: %w", err)
		}
	}
	return nil
}

// LogoutAll ends all sessions of a user, as [Service.Logout] does, and returns how many there were.
func (s *Service) LogoutAll(ctx context.Context, userID string) (int, error) {
	n, err := s.endUserSessions(ctx, userID, "", ReasonLogout)
	if err != nil {
		return 0, fmt.Errorf("logout all: %w", err)
	}
	return n, nil
}

// endSessions revokes sessions in the store and then on this node. The node learns of all that were asked for: what
// another process ended a moment ago may not have reached it yet.
func (s *Service) endSessions(ctx context.Context, userID string, ids []string, why Reason) error {
	ended, err := s.store.RevokeSessions(ctx, userID, ids, why)
	if err != nil {
		return err
	}
	s.ended(ctx, userID, why, ended)
	s.learn(why, ids...)
	return nil
}

func (s *Service) endUserSessions(ctx context.Context, userID, except string, why Reason) (int, error) {
	ended, err := s.store.RevokeUserSessions(ctx, userID, except, why)
	if err != nil {
		return 0, err
	}
	s.ended(ctx, userID, why, ended)
	if err := s.pollNews(ctx); err != nil { // what somebody else ended a moment ago is not among them
		return 0, err
	}
	return len(ended), nil
}

// ended makes revocations known to this node and to the audit: one event a session.
func (s *Service) ended(ctx context.Context, userID string, why Reason, ids []string) {
	s.learn(why, ids...)
	for _, id := range ids {
		s.event(ctx, AuditEvent{Name: "session.revoked", Reason: string(why), UserID: userID, SessionID: id})
	}
}
