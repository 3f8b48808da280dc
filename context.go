package tokenjar

import (
	"context"
	"log/slog"

	"github.com/tokenjar/tokenjar/internal/contextkey"
)

// ContextWithIdentity returns a context that carries who the request speaks for.
func ContextWithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextkey.Identity, &id)
}

// IdentityFromContext returns who the request speaks for. It reports false for an anonymous request.
func IdentityFromContext(ctx context.Context) (Identity, bool) {
	switch id := ctx.Value(contextkey.Identity).(type) {
	case *Identity:
		return *id, true
	case Identity: // as package middleware has it
		return id, true
	}
	return Identity{}, false
}

// ContextWithRequestID returns a context that carries the id under which the request is logged.
func ContextWithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextkey.RequestID, id)
}

// RequestIDFromContext returns the id under which the request is logged; empty when it has none.
func RequestIDFromContext(ctx context.Context) string {
	id, _ := ctx.Value(contextkey.RequestID).(string)
	return id
}

// ContextWithClient returns a context that carries who sends the request, for the audit events of what it does.
func ContextWithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, contextkey.Client, c.clean())
}

func clientFromContext(ctx context.Context) Client {
	c, _ := ctx.Value(contextkey.Client).(Client)
	return c
}

// ContextWithLogger returns a context that carries the logger for faults of this request.
func ContextWithLogger(ctx context.Context, l *slog.Logger) context.Context {
	return context.WithValue(ctx, contextkey.Logger, l)
}

// LoggerFromContext returns the logger for faults of this request; slog.Default() when it has none.
func LoggerFromContext(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(contextkey.Logger).(*slog.Logger); ok {
		return l
	}
	return slog.Default()
}

// HasLogger reports whether the context carries a logger for faults of this request.
func HasLogger(ctx context.Context) bool {
	_, ok := ctx.Value(contextkey.Logger).(*slog.Logger)
	return ok
}
