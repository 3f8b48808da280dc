package tokenjar

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// A service behind a proxy of ours gets a token of its own: signed by the key ring, for that audience alone, and short. So
// one service cannot act on another with what it was sent, and nothing that leaves us is good for us.

// UpstreamLifetime is how long an upstream token lives at most. It never outlives the access token it was made from.
const UpstreamLifetime = time.Minute

// upstreamSkew is how far back an upstream token says it was issued: the clock of a service may be behind.
const upstreamSkew = 5 * time.Second

// An UpstreamIssuer makes access tokens for one audience behind us, from identities that were verified here. It is safe for
// concurrent use.
type UpstreamIssuer struct {
	service  *Service
	audience string
	scopes   []string
	cache    upstreamCache
}

// UpstreamIssuer returns an issuer of tokens for one audience, which a service checks against its own name, as
// "https://orders.internal" or "orders". scopes become the claim "scope" (RFC 8693, section 4.2); where the access token has
// such a claim itself, only what is in both. None: no claim.
//
// The audience must not be that of our own tokens nor the issuer: what a service was sent could be used on us.
func (s *Service) UpstreamIssuer(audience string, scopes ...string) (*UpstreamIssuer, error) {
	switch {
	case audience == "" || len(audience) > 255 || strings.ContainsFunc(audience, isControl):
		return nil, fmt.Errorf("upstream token: audience %q is empty, longer than 255 bytes or has control characters", audience)
	case audience == s.cfg.Audience || audience == s.cfg.Issuer:
		return nil, fmt.Errorf("upstream token: audience %q is our own: a service could use its tokens on us", audience)
	}
	for _, scope := range scopes {
		if !isScope(scope) {
			return nil, fmt.Errorf("upstream token: scope %q is no scope-token (RFC 6749, section 3.3)", scope)
		}
	}
	u := &UpstreamIssuer{service: s, audience: audience, scopes: slices.Clone(scopes)}
	s.upstream.add(u)
	return u, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isScope reports whether a text is a scope-token (RFC 6749, section 3.3).
func isScope(s string) bool {
	odd := func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }
	return s != "" && !strings.ContainsFunc(s, odd)
}

// Audience returns the audience of the tokens.
func (u *UpstreamIssuer) Audience() string { return u.audience }

// Token returns an access token (RFC 9068) for the issuer's audience that speaks for id: "typ" at+jwt, claims iss, aud, sub,
// iat, exp, jti, sid, auth_time, client_id, token_type, scope where there is one, and those of the program's claims hook. It
// has no nbf, and iat lies 5 s back. Its life is [UpstreamLifetime] or what is left of the access token.
//
// The same token is returned for a while, and not after its session has ended, the key ring or the claims have changed. The
// caller has verified id for this very request.
//
// It returns [ErrTokenExpired] when the access token lives for less than a second, and otherwise an error that is a fault.
func (u *UpstreamIssuer) Token(id Identity) (string, error) {
	s := u.service
	if id.token == "" {
		return "", errNoClaims
	}
	now, epoch := s.now(), s.keys.Load().epoch
	if text, ok := u.cache.find(id, epoch, now); ok {
		return text, nil
	}
	// Rounded down, as is the exp of what it was made from.
	issued := now.Unix()
	expires := min(issued+int64(UpstreamLifetime/time.Second), id.ExpiresAt.Unix())
	if expires <= issued {
		return "", ErrTokenExpired
	}
	payload, err := json.Marshal(u.claims(id, issued, expires))
	if err != nil {
		return "", fmt.Errorf("upstream token: %w", err)
	}
	text, err := currentRing{s}.Sign(typeAccess, payload)
	if err != nil {
		return "", fmt.Errorf("upstream token: %w", err)
	}
	if len(text) > token.MaxSize {
		return "", ErrClaimsTooLarge
	}
	u.cache.keep(id, upstreamToken{
		text: text, source: strings.Clone(id.token), epoch: epoch,
		made: now, until: time.Unix(issued+max((expires-issued)/2, 1), 0),
	})
	if s.Ended(id.SessionID) != nil { // it ended before the token was kept, and nobody drops it any more
		u.cache.drop(id.SessionID)
	}
	return text, nil
}

// claims are those of the access token that a service may know, and those that are the token's own.
func (u *UpstreamIssuer) claims(id Identity, issued, expires int64) token.Claims {
	claims := id.Claims()
	had, hasScope := claims["scope"].(string)
	for _, ours := range []string{"nbf", "gen", "cgen", "scope"} {
		delete(claims, ours)
	}
	claims["iss"], claims["aud"], claims["sub"], claims["sid"] = u.service.cfg.Issuer, u.audience, id.UserID, id.SessionID
	claims["iat"], claims["exp"], claims["jti"] = issued-int64(upstreamSkew/time.Second), expires, rand.Text()
	scopes := u.scopes
	if hasScope {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(strings.Fields(had), s) })
	}
	if len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	return claims
}

// errNoClaims is of an Identity that no token was verified for.
var errNoClaims = errors.New("upstream token: the identity is not that of a verified token")

// An upstreamCache keeps the newest token of each session, half its life long.
type upstreamCache struct {
	shards [16]struct {
		mu     sync.Mutex
		tokens map[string]upstreamToken // by session
	}
}

type upstreamToken struct {
	text        string
	source      string // the access token it was made from
	epoch       uint64 // of the key ring
	made, until time.Time
}

// maxUpstreamTokens is how many tokens a shard keeps; beyond them those that are over go, and if none is, all.
const maxUpstreamTokens = 1 << 13

func (c *upstreamCache) shard(sessionID string) int {
	h := 0
	for i := max(len(sessionID)-4, 0); i < len(sessionID); i++ { // its end is random
		h = h*31 + int(sessionID[i])
	}
	return h & (len(c.shards) - 1)
}

func (c *upstreamCache) find(id Identity, epoch uint64, now time.Time) (string, bool) {
	s := &c.shards[c.shard(id.SessionID)]
	s.mu.Lock()
	t, ok := s.tokens[id.SessionID]
	s.mu.Unlock()
	good := ok && t.epoch == epoch && t.source == id.token && now.Before(t.until) && !now.Before(t.made)
	return t.text, good
}

func (c *upstreamCache) keep(id Identity, t upstreamToken) {
	s := &c.shards[c.shard(id.SessionID)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = make(map[string]upstreamToken)
	}
	if len(s.tokens) >= maxUpstreamTokens {
		for session, old := range s.tokens {
			if !t.made.Before(old.until) {
				delete(s.tokens, session)
			}
		}
		if len(s.tokens) >= maxUpstreamTokens {
			clear(s.tokens)
		}
	}
	s.tokens[strings.Clone(id.SessionID)] = t
}

func (c *upstreamCache) drop(sessionID string) {
	s := &c.shards[c.shard(sessionID)]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, sessionID)
}

// upstreamIssuers are those of a service.
type upstreamIssuers struct {
	mu   sync.RWMutex
	list []*UpstreamIssuer
}

func (l *upstreamIssuers) add(u *UpstreamIssuer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, u)
}

// drop forgets the tokens of a session that has ended.
func (l *upstreamIssuers) drop(sessionID string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, u := range l.list {
		u.cache.drop(sessionID)
	}
}
