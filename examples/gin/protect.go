package main

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/tokenjar/tokenjar/examples/internal/notes"
	"github.com/tokenjar/tokenjar/middleware"
)

// protect makes a policy a middleware of gin, for a route, a group or the engine. Whom the policy does not let in has his
// answer, and no handler behind is run. The account is in gin's context, for as, and in the request's.
func protect(policy middleware.Policy) gin.HandlerFunc {
	let := policy.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.Context().Value(passageKey{}).(*passage)
		p.passed = true
		c, outer := p.Context, p.Writer
		c.Request = r
		if account, ok := middleware.UserFromContext[notes.Account](r.Context()); ok {
			c.Set(accountKey, account)
		}
		if w != http.ResponseWriter(outer) {
			c.Writer = &writer{outer, w}
			defer func() { c.Writer = outer }()
		}
		c.Next()
	}))
	return func(c *gin.Context) {
		p := &passage{Context: c}
		let.ServeHTTP(c.Writer, c.Request.WithContext(context.WithValue(c.Request.Context(), passageKey{}, p)))
		if !p.passed {
			c.Abort()
		}
	}
}

// A passage is gin's context on its way through a policy, which knows none but the request's.
type passage struct {
	*gin.Context
	passed bool
}

type passageKey struct{}

const accountKey = "account"

// as gives a handler the account that protect has let in.
func as(next func(*gin.Context, notes.Account)) gin.HandlerFunc {
	return func(c *gin.Context) { next(c, c.MustGet(accountKey).(notes.Account)) }
}

// A writer answers through the policy's writer, which sees to caches and cookies at the last moment: when the answer begins,
// which in gin is not WriteHeader but the first byte.
type writer struct {
	gin.ResponseWriter
	policy http.ResponseWriter // around the one above
}

func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeaderNow()
	return w.policy.Write(b)
}

func (w *writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *writer) WriteHeaderNow() {
	if !w.Written() {
		w.policy.WriteHeader(w.Status())
		w.ResponseWriter.WriteHeaderNow()
	}
}

func (w *writer) Flush() {
	w.WriteHeaderNow()
	http.NewResponseController(w.policy).Flush()
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.policy }
