package ninja

import (
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/session"
)

// Both lets in who has a session, and until the last of its tokens is over, whom Django signed in. Account is the resolver
// of both. Drop django, and this function, a token's life after Django has stopped issuing.
func Both[U any](guard *session.Guard, django *middleware.Cookie[U], account middleware.Resolver[U]) middleware.Access[U] {
	return middleware.Required(session.Authenticator(guard, account), django)
}
