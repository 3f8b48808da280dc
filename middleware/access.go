package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"

	"github.com/tokenjar/tokenjar/internal/answer"
	"github.com/tokenjar/tokenjar/internal/contextkey"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// Access says who may send a request. It is made by [Required], [Optional] or [Public] and cannot be changed; its zero
// value lets nobody in. It is safe for concurrent use.
type Access[U any] struct {
	chain      []Authenticator[U]
	kind       kind
	conditions []Condition
	users      []func(U) bool
}

type kind int

const (
	required kind = iota + 1
	optional
	public
)

// Required lets a request in that speaks for somebody. The authenticators are asked in order and the first that succeeds
// counts: a bad credential of one kind never hides a good one of another, but a failed CSRF check, a fault, and anything
// else than 401 ends the matter. Tokens of two users in one request are 401.
//
// It panics when an authenticator is nil, as do all functions here that are given what cannot work.
func Required[U any](first Authenticator[U], more ...Authenticator[U]) Access[U] {
	return Access[U]{chain: chainOf(first, more), kind: required}
}

// Optional lets a request in also when it speaks for nobody: with a bad credential it is anonymous. An unsafe request that
// a cookie authenticates still passes the CSRF rules, and a fault is still 503, since nobody can be told to be anonymous
// on its account.
func Optional[U any](first Authenticator[U], more ...Authenticator[U]) Access[U] {
	return Access[U]{chain: chainOf(first, more), kind: optional}
}

// Public lets every request in, and looks at no credential.
func Public[U any]() Access[U] { return Access[U]{kind: public} }

func chainOf[U any](first Authenticator[U], more []Authenticator[U]) []Authenticator[U] {
	chain := append([]Authenticator[U]{first}, more...)
	for _, member := range chain {
		if isNil(member) {
			panic("middleware: an authenticator is nil")
		}
	}
	return chain
}

// isNil reports whether an interface is nil or holds a nil pointer or function.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	value := reflect.ValueOf(v)
	return (value.Kind() == reflect.Pointer || value.Kind() == reflect.Func) && value.IsNil()
}

// With returns the same access with further conditions, all of which the token must meet: see [Scope], [Role] and
// [MaxAuthAge]. It is for required access: of nobody, nothing can be asked.
func (a Access[U]) With(conditions ...Condition) Access[U] {
	a.mustBeRequired()
	if slices.ContainsFunc(conditions, func(c Condition) bool { return c == nil }) {
		panic("middleware: a condition is nil")
	}
	a.conditions = slices.Concat(a.conditions, conditions)
	return a
}

// Where returns the same access for those users alone whom allowed approves; the others get 403 permission_denied. It is
// for required access.
func (a Access[U]) Where(allowed func(U) bool) Access[U] {
	a.mustBeRequired()
	if allowed == nil {
		panic("middleware: Where needs a function")
	}
	a.users = slices.Concat(a.users, []func(U) bool{allowed})
	return a
}

func (a Access[U]) mustBeRequired() {
	if a.kind != required {
		panic("middleware: conditions need a user: they go with Required")
	}
}

// Protect returns a handler that lets those requests through to next which have access. [UserFromContext] and
// [IdentityFromContext] then tell who it is; the others get a problem document (RFC 9457) with 401, 403 or 503, with
// nothing changed and no cookie set. Answers are private to their user, whatever next says about caches.
//
// The innermost Protect of a user type decides who it is: behind Optional an anonymous request has no user, whoever an
// outer one found. Public leaves all as it is.
func (a Access[U]) Protect(next http.Handler) http.Handler {
	switch {
	case isNil(next):
		panic("middleware: Protect needs a handler")
	case a.kind == 0:
		panic("middleware: this Access is the zero value: use Required, Optional or Public")
	case a.kind == public:
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := &guarded[U]{Writer: answer.Writer{ResponseWriter: w}}
		defer g.Finish()
		id, err := a.judge(g, r)
		switch {
		case err == nil:
			next.ServeHTTP(g, g.introduce(r, &id))
		case a.kind == optional && !isDeferred(err) && (err == ErrNoCredential || isUnauthorized(err)):
			next.ServeHTTP(g, g.introduce(r, nil))
		default:
			refuse(g, r, err)
		}
	})
}

// refuse answers with a problem. Why a credential was not accepted is logged at debug level, in more words than the client
// is told; what is our own fault, package problem logs as an error.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if log := logger(r.Context()); log.Enabled(r.Context(), slog.LevelDebug) {
		log.LogAttrs(r.Context(), slog.LevelDebug, "request refused", slog.String("code", string(problem.From(err).Code)),
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("err", err))
	}
	problem.Write(w, r, err)
}

// logger returns that of the request, if a server around us has given it one.
func logger(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(contextkey.Logger).(*slog.Logger); ok {
		return log
	}
	return slog.Default()
}

// Func is [Access.Protect] for a function that is given the user. It is for required access: otherwise there may be none.
func (a Access[U]) Func(next func(w http.ResponseWriter, r *http.Request, user U)) http.Handler {
	a.mustBeRequired()
	return a.Protect(WithUser(next))
}

// WithUser makes a handler of a function that is given the user whom something in front has let in, such as [Routes]. Where
// nobody has been, the answer is 401.
func WithUser[U any](next func(w http.ResponseWriter, r *http.Request, user U)) http.Handler {
	if next == nil {
		panic("middleware: WithUser needs a function")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, ok := UserFromContext[U](r.Context())
		if !ok {
			refuse(w, r, ErrNoCredential)
			return
		}
		next(w, r, user)
	})
}

// judge finds out who sends a request, and whether it may.
func (a Access[U]) judge(w http.ResponseWriter, r *http.Request) (Identity[U], error) {
	id, err := authenticate(a.chain, w, r)
	if err != nil {
		return Identity[U]{}, err
	}
	var claims token.Claims
	if len(a.conditions) > 0 {
		claims = id.Claims()
	}
	for _, condition := range a.conditions {
		if err := condition(claims); err != nil {
			return Identity[U]{}, err
		}
	}
	for _, allowed := range a.users {
		if !allowed(id.User) {
			return Identity[U]{}, problem.New(problem.PermissionDenied)
		}
	}
	return id, nil
}

// A guarded is the answer to a request, with the context that tells who sent it: one allocation for both.
type guarded[U any] struct {
	answer.Writer
	context identityContext[U]
}

// introduce puts who a request speaks for into its context; nil: nobody.
func (g *guarded[U]) introduce(r *http.Request, id *Identity[U]) *http.Request {
	g.context = identityContext[U]{Context: r.Context(), known: id != nil}
	if id != nil {
		g.context.identity = *id
	}
	return r.WithContext(&g.context)
}

type identityContext[U any] struct {
	context.Context
	identity Identity[U]
	known    bool
}

// String keeps the token and the user out of what is printed: package fmt would show the fields.
func (c *identityContext[U]) String() string { return fmt.Sprint(c.Context, ".WithIdentity") }

// Value implements [context.Context].
func (c *identityContext[U]) Value(key any) any {
	if key == contextkey.Identity {
		// A session that package session let in is found by the root's accessor as well.
		if _, own := c.identity.Token.(token.Verified); c.identity.Token != nil && !own {
			return c.identity.Token
		}
	}
	if key != (identityKey[U]{}) {
		return c.Context.Value(key)
	}
	if !c.known {
		return nil
	}
	return &c.identity
}
