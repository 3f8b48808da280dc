package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Config is what a Store may be told. The zero Config is good.
type Config struct {
	// Now is the store's clock. Default [time.Now].
	Now func() time.Time
}

// A Store is a [tokenjar.Store] that also keeps the users and the audit trail. It is safe for concurrent use; one mutex makes every method
// atomic. Times are kept in milliseconds, as the stores on disk do, so that programs do not come to rely on more.
type Store struct {
	now func() time.Time

	mu       sync.Mutex
	sessions map[string]*tokenjar.Session
	byUser   map[string]map[string]*tokenjar.Session // all rows of a user, by session id
	users    map[string]*tokenjar.User
	byName   map[string]string                // user id by tokenjar.UsernameKey
	byEmail  map[string]string                // user id by tokenjar.EmailKey
	deleted  map[string]bool                  // ids of users there were
	claims   map[string]tokenjar.ClaimsChange // by user id; as long as a living token could need it
	audit    []tokenjar.AuditEvent            // by time; of one time as they were added
	auditIDs map[string]bool                  // of those events that have one
	box      []byte
	version  int64 // of box; 0: none yet
}

var (
	_ tokenjar.Store      = (*Store)(nil)
	_ tokenjar.UserStore  = (*Store)(nil)
	_ tokenjar.UserAdmin  = (*Store)(nil)
	_ tokenjar.AuditStore = (*Store)(nil)
)

// New returns an empty store.
func New(cfg Config) *Store {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store{
		now:      cfg.Now,
		sessions: make(map[string]*tokenjar.Session),
		byUser:   make(map[string]map[string]*tokenjar.Session),
		users:    make(map[string]*tokenjar.User),
		byName:   make(map[string]string),
		byEmail:  make(map[string]string),
		deleted:  make(map[string]bool),
		claims:   make(map[string]tokenjar.ClaimsChange),
		auditIDs: make(map[string]bool),
	}
}

// enter takes the mutex and returns the store's time. A context that is done is refused before anything is touched;
// then the mutex is not held.
func (s *Store) enter(ctx context.Context, op string) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w: %w", op, tokenjar.ErrStoreUnavailable, err)
	}
	s.mu.Lock()
	return millis(s.now()), nil
}

// millis is a time as it is kept: UTC, whole milliseconds, no monotonic part.
func millis(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
