// Package contextkey holds the keys under which a request's context carries what package tokenjar puts there. Programs
// use that package's accessors; middleware that makes a context of its own needs the keys.
package contextkey

// A Key is the type of the keys, so that nobody else's can equal them.
type Key int

// The keys.
const (
	Identity  Key = iota // *tokenjar.Identity
	RequestID            // string
	Logger               // *slog.Logger
	Client               // tokenjar.Client
)
