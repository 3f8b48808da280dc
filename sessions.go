package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Sessions returns the live sessions of a user, the most recently used first.
func (s *Service) Sessions(ctx context.Context, userID string) ([]Session, error) {
	list, err := s.store.UserSessions(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

const maxSessionName = 100 // characters

// RenameSession names a live session of the user; [ErrNotFound] for anybody else's. The name is one line of at most
// 100 characters; an empty one takes the name away.
func (s *Service) RenameSession(ctx context.Context, userID, sessionID, name string) error {
	if !validName(name) || utf8.RuneCountInString(name) > maxSessionName {
		return invalid("name", "invalid", "A name is one line of at most %d characters.", maxSessionName)
	}
	if err := s.store.RenameSession(ctx, userID, sessionID, name); err != nil {
		return fmt.Errorf("rename session: %w", err)
	}
	return nil
}

// EndSession ends a live session of the user; [ErrNotFound] for one that is over or anybody else's.
func (s *Service) EndSession(ctx context.Context, userID, sessionID string) error {
	ended, err := s.store.RevokeSessions(ctx, userID, []string{sessionID}, ReasonEndedByUser)
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	if len(ended) == 0 {
		return fmt.Errorf("end session: %w", ErrNotFound)
	}
	s.ended(ctx, userID, ReasonEndedByUser, ended)
	return nil
}

// EndOtherSessions ends all sessions of the user but the one named and returns how many there were.
func (s *Service) EndOtherSessions(ctx context.Context, userID, except string) (int, error) {
	if except == "" {
		return 0, errors.New("end other sessions: the session to keep is missing")
	}
	n, err := s.endUserSessions(ctx, userID, except, ReasonEndedByUser)
	if err != nil {
		return 0, fmt.Errorf("end other sessions: %w", err)
	}
	return n, nil
}

// LiveSession returns the session of an identity, if it is live and its user active; otherwise [ErrSessionEnded],
// [ErrSessionReused] or [ErrStoreUnavailable]. An identity alone says what was true when its token was issued; this
// says what is true now.
func (s *Service) LiveSession(ctx context.Context, id Identity) (Session, error) {
	sess, _, err := s.liveSession(ctx, id.SessionID, id.UserID)
	return sess, err
}

// OverForGood reports whether none of the sessions is live and none ended because the same browser signed in again: only
// then can nobody miss their cookies.
func (s *Service) OverForGood(ctx context.Context, sessions []SignedSession) (bool, error) {
	for _, each := range sessions {
		_, _, err := s.liveSession(ctx, each.SessionID, each.UserID)
		switch {
		case err == nil, errors.Is(err, ErrSessionReplaced):
			return false, nil
		case !errors.Is(err, ErrSessionEnded) && !errors.Is(err, ErrSessionReused):
			return false, err
		}
	}
	return true, nil
}

// LiveSessions returns those of the sessions that are live.
func (s *Service) LiveSessions(ctx context.Context, sessions []SignedSession) ([]SignedSession, error) {
	var live []SignedSession
	for _, each := range sessions {
		_, _, err := s.liveSession(ctx, each.SessionID, each.UserID)
		switch {
		case err == nil:
			live = append(live, each)
		case !errors.Is(err, ErrSessionEnded) && !errors.Is(err, ErrSessionReused):
			return nil, err
		}
	}
	return live, nil
}

// liveSession returns a live session of an active user.
func (s *Service) liveSession(ctx context.Context, sessionID, userID string) (Session, User, error) {
	if err := s.Ended(sessionID); err != nil {
		return Session{}, User{}, err
	}
	sess, err := s.store.Session(ctx, sessionID)
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, User{}, ErrSessionEnded
	case err != nil:
		return Session{}, User{}, fmt.Errorf("find session: %w", err)
	case !sess.RevokedAt.IsZero():
		s.learn(sess.RevokeReason, sess.ID) // whoever ended it
		return Session{}, User{}, endedFor(sess.RevokeReason)
	case !sess.Live(), sess.UserID != userID:
		return Session{}, User{}, ErrSessionEnded
	}
	user, err := s.users.User(ctx, userID)
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, User{}, ErrSessionEnded
	case err != nil:
		return Session{}, User{}, fmt.Errorf("find user: %w", err)
	case !user.Active, user.AuthEpoch != sess.AuthEpoch:
		return Session{}, User{}, ErrSessionEnded
	}
	return sess, user, nil
}

// endedFor is the error for a session that was revoked.
func endedFor(why Reason) error {
	switch why {
	case ReasonReuse:
		return ErrSessionReused
	case ReasonReplaced:
		return ErrSessionReplaced
	}
	return ErrSessionEnded
}
