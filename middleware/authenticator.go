package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// An Authenticator finds out who a request speaks for. [Bearer] and [Cookie] are two, session.Authenticator makes a third,
// and a program may have more. It is used for many requests at once and keeps nothing of any of them.
type Authenticator[U any] interface {
	// Authenticate returns who the request speaks for, or why it does not say. Of the request it changes nothing; to the
	// answer it may add, where it succeeds, header fields and nothing else.
	//
	// What happens with an error depends on what package problem makes of it. With 401 the request has no credential of
	// this kind ([ErrNoCredential]), or a bad one, and the next authenticator of a chain is asked. With any other status
	// the request is refused at once: it may not be let in some other way. See also [Defer].
	Authenticate(w http.ResponseWriter, r *http.Request) (Identity[U], error)
}

// A Resolver turns the claims of a verified token into a user of the program's own type.
//
// It returns [ErrNotFound] (or another error with that meaning, such as tokenjar.ErrNotFound) for a user who does not
// exist or may not come in: the answer is 401. A nil user counts as not found. A [*problem.Problem] is answered as it is,
// but problem.NotFound means nobody, so it is 401 session_ended; behind [Optional] any 401 is an anonymous request. Any
// other error says that the program cannot tell, as when its database does not answer or the time of a
// [context.WithTimeout] is over: 503 store_unavailable, and nobody is taken for anonymous on its account.
//
// The context is the request's, and [RequestFromContext] returns the request itself, for programs that tell users apart by
// host or address.
type Resolver[U any] func(ctx context.Context, claims token.Claims) (U, error)

// Claims is a [Resolver] for programs that need no user beyond what the token says. Such a user is as old as the token:
// until it expires nothing that happens to the account is seen.
func Claims(_ context.Context, claims token.Claims) (token.Claims, error) { return claims, nil }

// ErrNotFound is for a [Resolver]: there is no such user.
var ErrNotFound error = &coded{"not_found", "middleware: user not found"}

// ErrNoCredential says that a request bears no credential of the kind that an authenticator looks for.
var ErrNoCredential error = &coded{"not_authenticated", "middleware: no credential"}

// ErrUnavailable says that the program cannot tell, because its database does not answer: 503 in package problem. What a
// [Resolver] returns is taken for it by itself; handlers that sign in wrap it, as in
//
//	problem.Write(w, r, fmt.Errorf("%w: %w", middleware.ErrUnavailable, err))
var ErrUnavailable error = &coded{"store_unavailable", "middleware: store unavailable"}

// errUserGone is [ErrNotFound] as a client is told of it: the token was genuine, and renewing it would not help.
var errUserGone = problem.New(problem.SessionEnded)

// ErrTwoUsers refuses a request that bears tokens of two users: whoever built it mixed two identities, and nobody can tell
// which of them was meant. It is a 401 that ends a chain.
var ErrTwoUsers = problem.New(problem.TokenInvalid).
	WithDetail("The request bears tokens of two users. Delete this site's cookies and sign in again.")

// coded is an error with a code of package problem.
type coded struct{ code, text string }

func (e *coded) Error() string       { return e.text }
func (e *coded) ProblemCode() string { return e.code }

// Defer makes a refusal wait for the rest of a chain, whatever its status: it stands if no later authenticator lets the
// request in. [Cookie] uses it where a page of a foreign origin sent a cookie that is no good, which authenticates nobody
// and must not keep a good bearer out.
func Defer(err error) error { return &deferred{err} }

type deferred struct{ err error }

func (e *deferred) Error() string { return e.err.Error() }
func (e *deferred) Unwrap() error { return e.err }

// passesOn reports whether the next authenticator of a chain is asked.
func passesOn(err error) bool {
	return err == ErrNoCredential || isDeferred(err) || isUnauthorized(err) && !errors.Is(err, ErrTwoUsers)
}

func isUnauthorized(err error) bool { return problem.From(err).Status == http.StatusUnauthorized }

func isDeferred(err error) bool {
	_, ok := errors.AsType[*deferred](err)
	return ok
}

// A Peeker is an [Authenticator] that can tell which tokens of its kind a request bears, without asking whose they are. A
// chain asks those that come after the one that succeeded, to find out whether the request names two users. [Bearer], [Cookie]
// and session.Authenticator are peekers; one of a program's own may be.
type Peeker interface {
	// Peek returns the tokens that verify. It waits for nothing: ctx has ended.
	Peek(ctx context.Context, r *http.Request) []Token
}

// authenticate asks the members of a chain in order: the first that succeeds counts. Of the reasons why none did, the one
// that tells most is returned.
func authenticate[U any](chain []Authenticator[U], w http.ResponseWriter, r *http.Request) (Identity[U], error) {
	var reason error
	for i, member := range chain {
		id, err := member.Authenticate(w, r)
		if err == nil {
			err = checkBeside(chain[i+1:], r, id.Token)
		}
		switch {
		case err == nil:
			return id, nil
		case !passesOn(err):
			return Identity[U]{}, err
		}
		reason = better(reason, err)
	}
	return Identity[U]{}, reason
}

// checkBeside looks at what else a request bears that an authenticator let in. It cannot win any more, but it must not
// name another user of the same issuer.
func checkBeside[U any](others []Authenticator[U], r *http.Request, winner Token) error {
	if winner == nil || len(others) == 0 {
		return nil
	}
	for _, other := range others {
		other, ok := other.(Peeker)
		if !ok {
			continue
		}
		for _, beside := range other.Peek(ended, r) {
			if anotherUser(winner.Claims(), beside.Claims()) {
				return ErrTwoUsers
			}
		}
	}
	return nil
}

// ended is a context that has ended: a request that has been let in waits for nobody's keys.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// anotherUser reports whether two tokens of one issuer speak for two users, or may: without a subject, only a token that
// says the same is for the same user. Of two issuers, nothing can be compared.
func anotherUser(a, b token.Claims) bool {
	sub := a.String("sub")
	return a.String("iss") == b.String("iss") && (sub != b.String("sub") || sub == "" && !reflect.DeepEqual(a, b))
}

// better returns the error that tells more. A refusal that waited for the others comes before all of them: no other
// credential was any good.
func better(a, b error) error {
	if a == nil || b != ErrNoCredential && rank(b) > rank(a) {
		return b
	}
	return a
}

func rank(err error) int {
	if isDeferred(err) {
		return 100
	}
	switch problem.From(err).Code {
	case problem.NotAuthenticated:
		return 0
	case problem.TokenInvalid:
		return 1
	case problem.WrongTokenType:
		return 2
	case problem.TokenExpired:
		return 3
	}
	return 4 // the token was good, its session or its user is not
}

// Resolve asks a [Resolver] for the user of a token that a request bears and that has been verified, and takes its errors as
// described there. It is for authenticators of a program's own; those of this package use it. ByCookie says that the browser
// sent the token by itself.
func Resolve[U any](r *http.Request, resolve Resolver[U], verified Token, byCookie bool) (Identity[U], error) {
	user, err := resolve(&resolving{r.Context(), r}, verified.Claims())
	if err == nil && isNilUser(&user) {
		err = ErrNotFound
	}
	switch {
	case err != nil && r.Context().Err() != nil:
		return Identity[U]{}, fmt.Errorf("resolve user: %w: %v", r.Context().Err(), err) // nobody waits for the answer
	case err != nil:
		return Identity[U]{}, resolveError(err)
	}
	return Identity[U]{User: user, Token: verified, ByCookie: byCookie}, nil
}

// resolving is the context of a [Resolver].
type resolving struct {
	context.Context
	request *http.Request
}

type requestKey struct{}

// Value implements [context.Context].
func (c *resolving) Value(key any) any {
	if key == (requestKey{}) {
		return c.request
	}
	return c.Context.Value(key)
}

// RequestFromContext returns the request whose user a [Resolver] is asked for; it reports false for any other context. The
// request is to be read, not changed, and its body belongs to the handler.
func RequestFromContext(ctx context.Context) (*http.Request, bool) {
	r, ok := ctx.Value(requestKey{}).(*http.Request)
	return r, ok
}

func isNilUser[U any](user *U) bool {
	switch reflect.TypeFor[U]().Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return reflect.ValueOf(user).Elem().IsNil()
	}
	return false
}

// resolveError tells a user who is not there from a program that cannot tell.
func resolveError(err error) error {
	switch code, known := meaning(err); {
	case !known:
		return fmt.Errorf("%w: resolve user: %w", ErrUnavailable, err)
	case code == problem.NotFound:
		return errUserGone
	}
	return fmt.Errorf("resolve user: %w", err)
}

// meaning returns the code that an error of a resolver stands for. Only what says so itself counts: an expired token that
// the program used against another service, or a fault beside "not found", are the program's and not the request's.
func meaning(err error) (code problem.Code, known bool) {
	switch e := err.(type) {
	case *problem.Problem:
		if e == nil {
			return "", false
		}
		return e.Code, true
	case interface{ ProblemCode() string }:
		return problem.Code(e.ProblemCode()), true
	case interface{ Unwrap() error }:
		return meaning(e.Unwrap())
	case interface{ Unwrap() []error }:
		for i, one := range e.Unwrap() {
			switch next, known := meaning(one); {
			case !known || i > 0 && next != code:
				return "", false
			default:
				code = next
			}
		}
		return code, code != ""
	}
	return "", false
}
