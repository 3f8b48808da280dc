package tokenjar

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// The tokens we issue. Their rules are mutually exclusive (RFC 8725, section 3.12): another "typ", another audience,
// another key, another token_type.
const (
	typeAccess  = "at+jwt" // RFC 9068, section 2.1
	typeRefresh = "rt+jwt"

	tokenTypeAccess  = "access"
	tokenTypeRefresh = "refresh"

	// early is how far "nbf" and "iat" may lie ahead: the clocks of our own nodes differ. "exp" gets nothing.
	early = 10 * time.Second
)

// reservedClaims are set by us alone; a claims hook that returns one of them is a fault.
var reservedClaims = []string{
	"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "gen", "auth_time", "client_id", "token_type", "cgen",
}

func (s *Service) newAccessCodec() (err error) {
	keys := currentRing{s}
	cfg := token.DecoderConfig{
		Keys: keys, Type: typeAccess, Issuer: s.cfg.Issuer, Audience: s.cfg.Audience,
		Rules: map[string]token.Rule{
			"sub": {Essential: true}, "sid": {Essential: true}, "jti": {Essential: true},
			"gen": {Essential: true}, "iat": {Essential: true}, "auth_time": {Essential: true},
			"token_type": {Essential: true, Value: tokenTypeAccess},
		},
		EarlyLeeway: early, Now: s.now,
	}
	if s.accessDecoder, err = token.NewDecoder(cfg); err != nil {
		return err
	}
	cfg.InsecureIgnoreTimes = true
	if s.signedAccess, err = token.NewDecoder(cfg); err != nil {
		return err
	}
	s.accessEncoder, err = token.NewEncoder(token.EncoderConfig{
		Keys: keys, Type: typeAccess, Issuer: s.cfg.Issuer, Audience: s.cfg.Audience, Now: s.now,
	})
	return err
}

// An accessToken is one as issued.
type accessToken struct {
	text    string
	expires time.Time
}

// extraClaims asks the program's hook for its claims and checks that a token with them can be issued. It is asked before
// anything is committed.
func (s *Service) extraClaims(ctx context.Context, u User, sessionID string) (token.Claims, error) {
	if s.cfg.Claims == nil {
		return nil, nil
	}
	extra, err := s.cfg.Claims(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("claims hook: %w", err)
	}
	for _, name := range reservedClaims {
		if _, taken := extra[name]; taken {
			return nil, fmt.Errorf("claims hook: %q is reserved", name)
		}
	}
	trial := Session{
		ID: sessionID, UserID: u.ID, Generation: 1 << 40, AuthTime: s.now(), IdleExpiresAt: s.now().Add(s.cfg.AccessLifetime),
	}
	if _, err := s.issueAccess(u, extra, trial, s.now()); err != nil {
		return nil, err
	}
	return extra, nil
}

// maxAccessToken is what a cookie holds beside its name (RFC 6265, section 6.1).
const maxAccessToken = 4096 - 96

// issueAccess signs an access token for a session as the store has it. It never outlives the session.
//
// Its life counts from asOf, a time of this node's clock from before the user and the row were read, and not from the
// signing: this process may be frozen in between (a paused machine, SIGSTOP) while the session is revoked elsewhere, and
// the other nodes forget a revocation once no access token of before it can live. A token that would be dead by now is
// [ErrStoreUnavailable]: whoever asks again gets the same successor.
func (s *Service) issueAccess(u User, extra token.Claims, sess Session, asOf time.Time) (accessToken, error) {
	claims := make(token.Claims, len(extra)+len(reservedClaims))
	maps.Copy(claims, extra)
	claims["sub"] = u.ID
	claims["sid"] = sess.ID
	claims["gen"] = sess.Generation
	claims["auth_time"] = sess.AuthTime.Unix()
	claims["client_id"] = s.cfg.ClientID
	claims["token_type"] = tokenTypeAccess
	if u.ClaimsGen > 0 {
		claims["cgen"] = u.ClaimsGen
	}
	now, expires := s.now(), asOf.UTC().Truncate(time.Second).Add(jitter(s.cfg.AccessLifetime))
	switch {
	case !now.Before(expires):
		return accessToken{}, fmt.Errorf("%w: its answer is %s old", ErrStoreUnavailable, now.Sub(asOf).Round(time.Second))
	case sess.IdleExpiresAt.Sub(now) < time.Second:
		return accessToken{}, ErrSessionEnded // in its last second
	case expires.After(sess.IdleExpiresAt):
		expires = sess.IdleExpiresAt
	}
	claims, err := s.accessEncoder.Complete(claims, time.Second)
	if err != nil {
		return accessToken{}, fmt.Errorf("access token: %w", err)
	}
	// Times, which no wait from here on moves; all of them, so that "exp" less "iat" is the life.
	claims["iat"] = json.Number(strconv.FormatInt(asOf.Unix(), 10))
	claims["nbf"], claims["exp"] = claims["iat"], json.Number(strconv.FormatInt(expires.Unix(), 10))
	text, err := s.accessEncoder.Sign(claims)
	if errors.Is(err, token.ErrTooLarge) || len(text) > maxAccessToken {
		return accessToken{}, ErrClaimsTooLarge
	}
	if err != nil {
		return accessToken{}, fmt.Errorf("access token: %w", err)
	}
	return accessToken{text: text, expires: expires}, nil
}

// jitter shortens a life by up to 5 %, in whole seconds.
func jitter(life time.Duration) time.Duration {
	most := int64(life / 20 / time.Second)
	if most == 0 {
		return life
	}
	n, err := rand.Int(rand.Reader, big.NewInt(most+1))
	if err != nil {
		return life
	}
	return life - time.Duration(n.Int64())*time.Second
}

// refreshKeys are what signs refresh tokens and derives their successors, for each line of the secret. The first one
// begins sessions. A session stays with its line: two nodes that hold the lines in another order must give the same
// successor, down to what its own successor will be.
type refreshKeys []*refreshLine

// A refreshLine is what one line of the secret makes of itself for refresh tokens.
type refreshLine struct {
	id        string // "kid" of its tokens
	issuer    string
	ring      *token.Ring
	decoder   *token.Decoder
	successor []byte
}

func newRefreshKeys(cfg Config, secret Secret) (refreshKeys, error) {
	var k refreshKeys
	ids, successors := secret.lineIDs(), secret.keys(labelSuccessor)
	for i, line := range secret.keys(labelRefresh) {
		key, err := token.NewKey(ids[i], token.HS256, line)
		if err != nil {
			return nil, fmt.Errorf("refresh token key: %w", err)
		}
		ring, err := token.NewRing(key)
		if err != nil {
			return nil, fmt.Errorf("refresh token key: %w", err)
		}
		decoder, err := token.NewDecoder(token.DecoderConfig{
			Keys: ring, Type: typeRefresh, Issuer: cfg.Issuer, Audience: cfg.Issuer,
			Rules: map[string]token.Rule{
				"sub": {Essential: true}, "sid": {Essential: true}, "jti": {Essential: true},
				"gen": {Essential: true}, "iat": {Essential: true},
				"token_type": {Essential: true, Value: tokenTypeRefresh},
			},
			EarlyLeeway: early,
			// DecodeRefresh judges them: sign-out wants the session of an expired token as well.
			InsecureIgnoreTimes: true,
			Now:                 cfg.Now,
		})
		if err != nil {
			return nil, fmt.Errorf("refresh token decoder: %w", err)
		}
		k = append(k, &refreshLine{id: ids[i], issuer: cfg.Issuer, ring: ring, decoder: decoder, successor: successors[i]})
	}
	return k, nil
}

// A RefreshToken is a refresh token whose signature, type and audience hold. It says nothing about the session yet.
type RefreshToken struct {
	SessionID  string
	UserID     string
	Generation int64
	ExpiresAt  time.Time

	id   string       // jti
	line *refreshLine // that signed it
}

// DecodeRefresh verifies a refresh token's signature, type, audience and time, and asks no store.
//
// It returns [ErrTokenInvalid], [ErrWrongTokenType] or [ErrTokenExpired]; with the last one the token is filled in.
func (s *Service) DecodeRefresh(raw string) (RefreshToken, error) {
	t, err := s.refreshKeys().decode(raw)
	if err != nil {
		return t, err
	}
	s.owners.note(raw, t.UserID)
	if !s.now().Before(t.ExpiresAt) {
		return t, ErrTokenExpired
	}
	return t, nil
}

func (k refreshKeys) decode(raw string) (RefreshToken, error) {
	for i, line := range k {
		claims, err := line.decoder.Decode(raw)
		if errors.Is(err, token.ErrSignature) && i < len(k)-1 {
			continue
		}
		if err != nil {
			return RefreshToken{}, tokenError(err)
		}
		t := RefreshToken{
			SessionID: claims.String("sid"), UserID: claims.String("sub"), id: claims.String("jti"), line: line,
		}
		var isNumber, isDate bool
		t.Generation, isNumber = claims.Int("gen")
		t.ExpiresAt, isDate = claims.Time("exp")
		if t.SessionID == "" || t.UserID == "" || t.id == "" || !isNumber || !isDate {
			return RefreshToken{}, ErrTokenInvalid
		}
		return t, nil
	}
	return RefreshToken{}, ErrTokenInvalid
}

// OfUnknownLine reports whether a text looks like a refresh token of ours that a line of the secret signed which this
// node does not have. Nobody can tell here whether it is genuine: a node that lacks a line for a moment must not take it
// for dead.
func (s *Service) OfUnknownLine(raw string) bool {
	head, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var h struct {
		Type  string `json:"typ"`
		KeyID string `json:"kid"`
	}
	if err != nil || len(raw) > token.MaxSize || json.Unmarshal(text, &h) != nil || h.Type != typeRefresh {
		return false
	}
	return !slices.ContainsFunc(s.refreshKeys(), func(l *refreshLine) bool { return l.id == h.KeyID })
}

// hashes returns what the store compares: the hash of the token's id and of its successor's.
func (t RefreshToken) hashes() (presented, successor Hash) {
	return hashID(t.id), hashID(t.successor())
}

// successor derives the id of the token that replaces t, with the line of the secret that signed t. Whoever shows t again
// gets the same id again, so a replay can never make a second branch, and the store holds nothing from which an id could
// be made.
func (t RefreshToken) successor() string {
	mac := hmac.New(sha256.New, t.line.successor)
	mac.Write([]byte(t.id)) // of our own making: fixed length, one spelling
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:24])
}

// firstID returns a random id for the first refresh token of a session: 192 bits.
func firstID() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// issue signs the refresh token that is newest in the session. All its times come from the row, so that giving it
// again gives the same claims.
func (l *refreshLine) issue(sess Session, id string) (string, error) {
	payload, err := json.Marshal(map[string]any{
		"iss": l.issuer, "aud": l.issuer, "sub": sess.UserID,
		"iat": sess.RotatedAt.Unix(), "exp": sess.IdleExpiresAt.Unix(),
		"jti": id, "sid": sess.ID, "gen": sess.Generation, "token_type": tokenTypeRefresh,
	})
	if err != nil {
		return "", err
	}
	text, err := l.ring.Sign(typeRefresh, payload)
	if err != nil {
		return "", fmt.Errorf("sign refresh token: %w", err)
	}
	return text, nil
}

// tokenError turns package token's errors into ours.
func tokenError(err error) error {
	switch {
	case errors.Is(err, token.ErrExpired):
		return ErrTokenExpired
	case errors.Is(err, token.ErrType):
		return ErrWrongTokenType
	default:
		return ErrTokenInvalid
	}
}
