package tokenjar

import "time"

// A SessionCheck is how far a request's session is checked beyond its signature.
type SessionCheck string

// The checks.
const (
	CheckCached    SessionCheck = "cached"    // against the revocations this node knows, in memory
	CheckDatabase  SessionCheck = "database"  // against the session's row, with a read on each request
	CheckStateless SessionCheck = "stateless" // not at all: a session that has ended works until its access token does
)

// MaxStaleness is how long a node accepts access tokens without having learned of revocations.
const MaxStaleness = 30 * time.Second
