package tokenjar

import (
	"context"
	"encoding/base64"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/internal/strictjson"
	"github.com/tokenjar/tokenjar/internal/tokencache"
	"github.com/tokenjar/tokenjar/token"
)

// An Identity is who a verified access token speaks for.
type Identity struct {
	UserID     string
	SessionID  string
	Generation int64
	AuthTime   time.Time
	ExpiresAt  time.Time

	claimsGen int64  // of the user, when the token was issued
	token     string // that was verified
}

// claimsDepth is more than any token nests that was verified.
const claimsDepth = 64

// Claims returns all claims of the token, read anew at each call: the caller may keep and change them. Of an Identity
// that no token was verified for there are none.
func (id Identity) Claims() token.Claims {
	payload, err := base64.RawURLEncoding.DecodeString(payloadOf(id.token))
	claims := map[string]any{}
	if err != nil || len(payload) == 0 || strictjson.Unmarshal(payload, &claims, claimsDepth) != nil {
		return token.Claims{}
	}
	return claims
}

// AccessToken returns the token that was verified, for a service that is to act with the user's own. Of an Identity that no
// token was verified for it is empty. It is a credential: it does not belong into a log.
func (id Identity) AccessToken() string { return id.token }

// LogValue keeps the token out of logs.
func (id Identity) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user_id", id.UserID), slog.String("session_id", id.SessionID),
		slog.Int64("generation", id.Generation))
}

// String keeps the token out of what is printed.
func (id Identity) String() string { return id.LogValue().String() }

// Format does so for every verb of package fmt. It cannot help a struct that has an Identity in an unexported field: fmt asks
// no method there.
func (id Identity) Format(f fmt.State, _ rune) { io.WriteString(f, id.String()) }

// payloadOf returns the payload of a compact token as it stands there, in base64url.
func payloadOf(text string) string {
	begin, end := strings.IndexByte(text, '.')+1, strings.LastIndexByte(text, '.')
	return text[begin:max(begin, end)]
}

// Authenticate verifies an access token: signature, type, issuer, audience, times, and that its session has not been
// revoked, nor its user's claims changed, as far as this node knows. It asks no store: [Service.CheckSession] does, where
// the configuration says so.
//
// A token that was verified before costs no signature, and no allocation. With [CheckStateless] neither revocations nor
// changes of claims are asked for.
//
// It returns [ErrTokenInvalid], [ErrWrongTokenType], [ErrTokenExpired] or [ErrTokenRevoked].
func (s *Service) Authenticate(raw string) (Identity, error) {
	ring := s.keys.Load()
	if e := s.verified.Find(ring.epoch, raw); e.Found() && e.ValidAt(s.now()) {
		s.verified.Hit()
		if err := s.accept(memo(e.Memo())); err != nil {
			return Identity{}, err
		}
		return identityOf(e), nil
	}
	s.verified.Miss()
	id, r, err := s.verify(s.accessDecoder, raw)
	if err != nil {
		return Identity{}, err
	}
	if r.Token != "" {
		s.verified.Add(ring.epoch, r)
	}
	if err := s.accept(memo(r.Memo)); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// accept asks whether the session of a genuine token has been revoked or the claims of its user changed, and notes that
// one of its generation was used.
func (s *Service) accept(m memo) error {
	session, sessionID := m.session(), m.sessionID()
	if s.cfg.SessionCheck != CheckStateless {
		if _, revoked := s.revoked.reason(session, sessionID); revoked {
			return ErrTokenRevoked
		}
		if s.claims.stale(m.userID, m.claimsGen()) {
			return ErrTokenExpired
		}
	}
	s.seen.note(session, sessionID, m.generation())
	return nil
}

// Recognize returns who a request speaks for, from an access token that was verified before, if that can be told at
// once: the token is good now, its session has not been revoked, the refresh token beside it (none: "") is known to be
// of the same user or nobody's, and [Service.CheckSession] has no objection and no store to ask. Otherwise it reports
// false, which says nothing: then the tokens are to be judged one by one.
func (s *Service) Recognize(access, refresh string) (Identity, bool) {
	e := s.verified.Find(s.keys.Load().epoch, access)
	if !e.Found() {
		return Identity{}, false
	}
	now, m := s.now(), memo(e.Memo())
	switch {
	case !e.ValidAt(now), s.cfg.SessionCheck == CheckDatabase:
		return Identity{}, false
	case s.cfg.SessionCheck == CheckCached && !s.upToDate(now):
		return Identity{}, false
	case refresh != "" && !s.owners.known(refresh, m.userID()):
		return Identity{}, false
	case s.accept(m) != nil:
		return Identity{}, false
	}
	s.verified.Hit()
	return identityOf(e), true
}

// verify returns who a token speaks for and the record to remember it by, which has no Token when it cannot be remembered:
// only times of whole seconds are, which all of ours have.
func (s *Service) verify(decoder *token.Decoder, raw string) (Identity, tokencache.Record, error) {
	claims, err := decoder.Decode(raw)
	if err != nil {
		return Identity{}, tokencache.Record{}, tokenError(err)
	}
	id := Identity{UserID: claims.String("sub"), SessionID: claims.String("sid"), token: raw}
	var isNumber, isDate, isTime bool
	id.Generation, isNumber = claims.Int("gen")
	id.AuthTime, isDate = claims.Time("auth_time")
	id.ExpiresAt, isTime = claims.Time("exp")
	if _, raised := claims["cgen"]; raised && isNumber {
		id.claimsGen, isNumber = claims.Int("cgen")
	}
	if id.UserID == "" || id.SessionID == "" || !isNumber || !isDate || !isTime {
		return Identity{}, tokencache.Record{}, ErrTokenInvalid
	}
	r := tokencache.Record{
		Token: raw, Expires: id.ExpiresAt.Unix(), NotBefore: math.MinInt64,
		Memo: string(newMemo(maphash.String(s.seed, id.SessionID), id)),
	}
	whole := id.AuthTime.Nanosecond() == 0 && id.ExpiresAt.Nanosecond() == 0
	for _, name := range []string{"nbf", "iat"} {
		if starts, ok := claims.Time(name); ok {
			r.NotBefore = max(r.NotBefore, starts.Add(-early).Unix())
			whole = whole && starts.Nanosecond() == 0
		}
	}
	if !whole {
		r.Token = ""
	}
	return id, r, nil
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
		s.seen.note(maphash.String(s.seed, t.SessionID), t.SessionID, t.Generation)
	}
	return RefreshState{User: user, Session: sess, Token: t}, nil
}
