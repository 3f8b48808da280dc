package tokenjar

import (
	"context"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// An Identity is who a verified access token speaks for.
type Identity struct {
	UserID     string
	SessionID  string
	Generation int64
	AuthTime   time.Time
	ExpiresAt  time.Time
	Claims     token.Claims // all of them; not to be changed
}

// Authenticate verifies an access token: signature, type, issuer, audience, times, and that its session has not been
// revoked as far as this node knows. It asks no store.
//
// It returns [ErrTokenInvalid], [ErrWrongTokenType], [ErrTokenExpired] or [ErrTokenRevoked].
func (s *Service) Authenticate(raw string) (Identity, error) {
	id, err := identity(s.accessDecoder, raw)
	if err != nil {
		return Identity{}, err
	}
	if _, revoked := s.revoked.reason(id.SessionID); revoked {
		return Identity{}, ErrTokenRevoked
	}
	s.seen.note(id.SessionID, id.Generation)
	return id, nil
}

func identity(decoder *token.Decoder, raw string) (Identity, error) {
	claims, err := decoder.Decode(raw)
	if err != nil {
		return Identity{}, tokenError(err)
	}
	id := Identity{UserID: claims.String("sub"), SessionID: claims.String("sid"), Claims: claims}
	var isNumber, isDate, isTime bool
	id.Generation, isNumber = claims.Int("gen")
	id.AuthTime, isDate = claims.Time("auth_time")
	id.ExpiresAt, isTime = claims.Time("exp")
	if id.UserID == "" || id.SessionID == "" || !isNumber || !isDate || !isTime {
		return Identity{}, ErrTokenInvalid
	}
	return id, nil
}

// A RefreshState is what a refresh token stands for at this moment, found without spending it.
type RefreshState struct {
	User    User
	Session Session
	Token   RefreshToken
}

// Inspect tells what a refresh token stands for, changing nothing. It counts only while it is the newest token of a
// live session or one whose answer would be given again.
//
// It returns [ErrTokenInvalid], [ErrWrongTokenType], [ErrTokenExpired], [ErrSessionEnded], [ErrSessionReused] (only
// when the session has been ended for that; a replayed token is not judged here) or [ErrStoreUnavailable].
func (s *Service) Inspect(ctx context.Context, raw string) (RefreshState, error) {
	t, err := s.DecodeRefresh(raw)
	if err != nil {
		return RefreshState{}, err
	}
	sess, user, err := s.liveSession(ctx, t.SessionID, t.UserID)
	if err != nil {
		return RefreshState{}, err
	}
	presented, successor := t.hashes()
	if !sess.Replayable(presented, successor, s.timing.Grace) {
		return RefreshState{}, ErrSessionEnded
	}
	if sess.CurrentHash == presented {
		s.seen.note(t.SessionID, t.Generation)
	}
	return RefreshState{User: user, Session: sess, Token: t}, nil
}
