package session

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/answer"
	"github.com/tokenjar/tokenjar/problem"
)

// A guarded is the answer to a guarded request, with the context of one that speaks for somebody: one allocation for both.
type guarded struct {
	answer.Writer
	context requestContext
}

func newGuarded(w http.ResponseWriter) *guarded {
	return &guarded{Writer: answer.Writer{ResponseWriter: w}}
}

// ProtectCaches makes the headers of an answer safe for caches: no-store when it sets a cookie of ours, otherwise at
// least private. What overrules Cache-Control in some caches is removed.
func ProtectCaches(h http.Header, setsCookie bool) { answer.ProtectCaches(h, setsCookie) }

// GrantCookies builds the cookies that carry a grant.
func (g *Guard) GrantCookies(grant tokenjar.Grant) ([]*http.Cookie, error) {
	now := g.now()
	access, err := g.cookies.Access(grant.AccessToken, max(grant.AccessExpires.Sub(now), time.Second))
	if err != nil {
		return nil, fmt.Errorf("access cookie: %w", err)
	}
	life := grant.RefreshExpires.Sub(now)
	if life <= 0 {
		return nil, tokenjar.ErrSessionEnded
	}
	if !grant.Remember {
		life = 0 // a session cookie; the server's limits hold all the same
	}
	refresh, err := g.cookies.Refresh(grant.RefreshToken, life)
	if err != nil {
		return nil, fmt.Errorf("refresh cookie: %w", err)
	}
	token, err := g.cookies.CSRF(g.csrfTokens().Issue(grant.SessionID), life)
	if err != nil {
		return nil, fmt.Errorf("csrf cookie: %w", err)
	}
	return append(g.cookies.Expired(), access, refresh, token), nil
}

// ClearCookies builds the deletions of all our cookies.
func (g *Guard) ClearCookies() []*http.Cookie { return g.cookies.Clear() }

// CSRFCookie builds the CSRF cookie of a session, which lives as long as its refresh cookie.
func (g *Guard) CSRFCookie(sess tokenjar.Session) (*http.Cookie, error) {
	life := sess.IdleExpiresAt.Sub(g.now())
	if life <= 0 {
		return nil, tokenjar.ErrSessionEnded // by this node's clock; the store's may differ a little
	}
	if !sess.Remember {
		life = 0
	}
	return g.cookies.CSRF(g.csrfTokens().Issue(sess.ID), life)
}

// SetGrant puts a grant's cookies on an answer that [Guard.Required] or package middleware wraps, whatever its handler does
// from here on.
func (g *Guard) SetGrant(w http.ResponseWriter, grant tokenjar.Grant) error {
	cookies, err := g.GrantCookies(grant)
	if err != nil {
		return err
	}
	a, ok := w.(interface {
		Carry(cookies []*http.Cookie, overtaken func() bool, delivered func())
	})
	if !ok {
		return problem.New(problem.Internal)
	}
	// The answer is given although its request was given up on: the request's context must not decide on its cookies.
	overtaken := func() bool { return g.service.Overtaken(context.Background(), grant) }
	a.Carry(cookies, overtaken, g.service.Undelivered(grant))
	return nil
}
