package session

import (
	"net/http"

	"github.com/tokenjar/tokenjar/middleware"
)

// Authenticator lends a guard to package middleware, so that its rules for methods and routes, scopes, roles and the age of
// a sign-in hold for sessions as well. It authenticates as [Guard.Required] does, cookies and bearer alike, CSRF and
// renewal included, and then asks resolve for the program's own user. The Token of the identity is a tokenjar.Identity.
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
	if err != nil {
		return middleware.Identity[U]{}, err
	}
	return middleware.Resolve(r, a.resolve, id, byCookie)
}
