package session

import (
	"context"
	"errors"
	"net/http"

	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// Authenticator lends a guard to package middleware, so that its rules for methods and routes, scopes, roles and the age of
// a sign-in hold for sessions as well. It authenticates as [Guard.Required] does, cookies and bearer alike, CSRF and
// renewal included, and then asks resolve for the program's own user. The Token of the identity is a tokenjar.Identity, which
// tokenjar.IdentityFromContext finds too.
//
// In a chain, a page of a foreign origin with a dead cookie is refused only if no later authenticator lets the request in.
//
// The answer must be one that package middleware wraps, which it is in a middleware.Access; otherwise a renewed session's
// cookies have nowhere to go, and the request fails with 500.
//
// It panics when one of the two is nil.
func Authenticator[U any](g *Guard, resolve middleware.Resolver[U]) middleware.Authenticator[U] {
	if g == nil || resolve == nil {
		panic("session: Authenticator needs a guard and a resolver")
	}
	return authenticator[U]{g, resolve}
}

type authenticator[U any] struct {
	guard   *Guard
	resolve middleware.Resolver[U]
}

// Authenticate implements [middleware.Authenticator].
func (a authenticator[U]) Authenticate(w http.ResponseWriter, r *http.Request) (middleware.Identity[U], error) {
	id, err := a.guard.recognize(r)
	byCookie := true
	if err == errNotPlain {
		id, byCookie, err = a.guard.authenticate(w, r)
	}
	if errors.Is(err, csrf.ErrOrigin) && !a.guard.anyCookieVerifies(r) {
		err = middleware.Defer(err) // a dead cookie authenticates nobody, and must not keep a good bearer out
	}
	if err != nil {
		return middleware.Identity[U]{}, err
	}
	return middleware.Resolve(r, a.resolve, id, byCookie)
}

// Peek implements [middleware.Peeker]: it tells of cookies of ours that are genuine, and of a bearer of ours.
func (a authenticator[U]) Peek(_ context.Context, r *http.Request) (all []middleware.Token) {
	shown, err := a.guard.Read(r)
	if err != nil {
		return nil
	}
	for _, raw := range append(shown.Access, shown.Bearer) {
		if id, err := a.guard.service.Authenticate(raw); err == nil {
			all = append(all, id)
		}
	}
	for _, raw := range shown.Refresh {
		if t, err := a.guard.service.DecodeRefresh(raw); err == nil && a.guard.service.Ended(t.SessionID) == nil {
			all = append(all, refreshOf{a.guard.service.Issuer(), t.UserID})
		}
	}
	return all
}

// refreshOf is who a refresh token speaks for.
type refreshOf struct{ issuer, user string }

// Claims implements [middleware.Token].
func (r refreshOf) Claims() token.Claims { return token.Claims{"iss": r.issuer, "sub": r.user} }

// anyCookieVerifies reports whether a request bears a cookie of ours that is genuine.
func (g *Guard) anyCookieVerifies(r *http.Request) bool {
	shown, err := g.Read(r)
	if err != nil {
		return true // among those not looked at may be one
	}
	w, err := g.weigh(shown)
	return err != nil || w.revoked || w.ByCookie()
}
