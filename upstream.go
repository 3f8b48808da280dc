package tokenjar

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
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
// The audience must not be that of our own tokens nor the issuer, however spelt: what a service was sent could be used on us.
func (s *Service) UpstreamIssuer(audience string, scopes ...string) (*UpstreamIssuer, error) {
	switch {
	case audience == "" || len(audience) > 255 || strings.ContainsFunc(audience, isControl):
		return nil, fmt.Errorf("upstream token: audience %q is empty, longer than 255 bytes or has control characters", audience)
	case sameName(audience, s.cfg.Audience) || sameName(audience, s.cfg.Issuer):
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

// sameName reports whether somebody may take one audience for the other: we compare them byte by byte, others as addresses
// are compared (RFC 3986, section 6.2).
func sameName(a, b string) bool { return plainName(a) == plainName(b) }

func plainName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	scheme, rest, isAddress := strings.Cut(s, "://")
	if !isAddress {
		return strings.TrimRight(s, "/.")
	}
	rest = strings.TrimRight(rest, "/")
	rest = strings.TrimSuffix(rest, map[string]string{"https": ":443", "http": ":80"}[scheme])
	return scheme + "://" + strings.TrimRight(rest, ".:")
}

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
// The same token is returned for half its life, and not after its session has ended, the key ring or the claims have
// changed. The caller has verified id for this very request.
//
// It returns [ErrTokenExpired] when the access token lives for less than a second or the claims of its user have changed,
// [ErrTokenRevoked] when its session has been revoked meanwhile, [ErrClaimsTooLarge], and otherwise an error that is a fault.
func (u *UpstreamIssuer) Token(id Identity) (string, error) {
	s := u.service
	if id.token == "" {
		return "", errNoClaims
	}
	now, keys, source := s.now(), s.keys.Load(), maphash.String(s.seed, id.token)
	text, found := u.cache.find(id.SessionID, source, keys.epoch, now)
	if !found {
		claims, issued, expires := u.claims(id, now)
		if expires <= issued {
			return "", ErrTokenExpired
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			return "", fmt.Errorf("upstream token: %w", err)
		}
		if text, err = keys.ring.Sign(typeAccess, payload); err != nil {
			return "", fmt.Errorf("upstream token: %w", err)
		}
		if len(text) > token.MaxSize {
			return "", ErrClaimsTooLarge
		}
		half := time.Duration(max((expires-issued)/2, 1)) * time.Second
		u.cache.keep(id.SessionID, upstreamToken{
			text: text, source: source, epoch: keys.epoch,
			made: now.UnixNano(), until: time.Unix(issued, 0).Add(half).UnixNano(),
		}, now)
	}
	// It may have ended after it was judged, and if the token was kept only then, nobody else drops it.
	if err := s.overtaken(id); err != nil {
		u.cache.drop(id.SessionID)
		return "", err
	}
	return text, nil
}

// overtaken returns why an identity that was good does not count any more, as far as this node knows.
func (s *Service) overtaken(id Identity) error {
	switch {
	case s.cfg.SessionCheck == CheckStateless:
		return nil
	case s.Ended(id.SessionID) != nil:
		return ErrTokenRevoked
	case s.claims.stale(func() string { return id.UserID }, id.claimsGen):
		return ErrTokenExpired
	}
	return nil
}

// claims are those of the access token that a service may know, as they were verified, and those that are the token's own.
func (u *UpstreamIssuer) claims(id Identity, now time.Time) (claims token.Claims, issued, expires int64) {
	claims = id.Claims()
	issued = now.Unix()
	if end, ok := claims.Time("exp"); ok { // rounded down, as is what it is compared with
		expires = min(issued+int64(UpstreamLifetime/time.Second), end.Unix())
	}
	scopes := u.scopes
	if had, limited := claims["scope"]; limited {
		allowed := scopesOf(had)
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(allowed, s) })
	}
	for _, ours := range []string{"nbf", "gen", "cgen", "scope"} {
		delete(claims, ours)
	}
	claims["iss"], claims["aud"], claims["jti"] = u.service.cfg.Issuer, u.audience, rand.Text()
	claims["iat"], claims["exp"] = issued-int64(upstreamSkew/time.Second), expires
	if len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	return claims, issued, expires
}

// scopesOf reads a claim "scope": a text with blanks between (RFC 8693, section 4.2), or a list, as some write it. Anything
// else allows nothing.
func scopesOf(claim any) (scopes []string) {
	switch claim := claim.(type) {
	case string:
		return strings.Fields(claim)
	case []any:
		for _, each := range claim {
			if s, ok := each.(string); ok {
				scopes = append(scopes, s)
			}
		}
	}
	return scopes
}

// errNoClaims is of an Identity that no token was verified for.
var errNoClaims = errors.New("upstream token: the identity is not that of a verified token")
