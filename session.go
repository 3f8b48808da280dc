package tokenjar

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"time"
)

// The session machine.
//
// A session is one row, however often it is refreshed. The row never holds a refresh token: it holds the hash of the
// newest one's id (jti), and each id is derived from the one before it with a keyed function. From a token that was
// shown, the caller computes two hashes, its own and its successor's, and the row tells which token it is:
//
//	hash(jti) == current            the newest: rotate
//	hash(derive(jti)) == current    the one before the newest: its holder may have lost the answer
//	neither                         older: a copy
//
// [Session.Judge] holds the whole table. It is a pure function, so that every store decides alike.

// A Hash is the SHA-256 of a refresh token's id, which is what is kept at rest.
type Hash [sha256.Size]byte

// hashID returns the form in which a refresh token's id is stored.
func hashID(jti string) Hash { return sha256.Sum256([]byte(jti)) }

// A Session is one sign-in on one device. Times are UTC; IdleExpiresAt and ExpiresAt are whole seconds, so that they
// equal the tokens' claims.
type Session struct {
	ID        string
	UserID    string
	AuthEpoch int64 // the user's at sign-in
	Remember  bool
	UserAgent string // at sign-in and last rotation
	IP        string
	Name      string // given by the user

	CreatedAt     time.Time
	AuthTime      time.Time // when the password was last shown
	LastSeenAt    time.Time // moves at rotation only
	IdleExpiresAt time.Time // moves at rotation only; never past ExpiresAt
	ExpiresAt     time.Time // never moves

	Generation    int64 // 1 at sign-in, one more at each rotation
	CurrentHash   Hash
	RotatedAt     time.Time
	SuccessorSeen bool // the newest token, or an access token of its generation, has been used
	ReplayCount   int

	LateRetryGen       int64     // generation at which an answer was last given again after the grace; 0: never
	LateRetryAt        time.Time // when, and to whom; a grace of its own begins there
	LateRetryIP        string
	LateRetryUserAgent string

	UndeliveredGen int64     // generation whose answer was last known not to have begun; 0: never
	UndeliveredAt  time.Time // when that was; for the client that the answer is for, a grace begins there as well

	SharedGen       int64     // generation whose answer was last given to another client as well; 0: never
	SharedAt        time.Time // when, and to whom
	SharedIP        string
	SharedUserAgent string

	RevokedAt    time.Time // zero: not revoked
	RevokeReason Reason

	ReadAt time.Time // the store's clock when the row was read; not stored
}

// Live reports whether the session is neither revoked nor over at the time of reading.
func (s *Session) Live() bool { return s.RevokedAt.IsZero() && !s.overAt(s.ReadAt) }

func (s *Session) overAt(now time.Time) bool {
	return !now.Before(s.IdleExpiresAt) || !now.Before(s.ExpiresAt)
}

// A Reason says why a session was revoked. The words are stored, logged and counted.
type Reason string

// The reasons.
const (
	ReasonLogout          Reason = "logout"
	ReasonReplaced        Reason = "replaced"         // the same browser signed in again
	ReasonEndedByUser     Reason = "ended_by_user"    // from the list of sessions
	ReasonRevoked         Reason = "revoked"          // by an administrator
	ReasonSessionLimit    Reason = "session_limit"    // the oldest made room
	ReasonReuse           Reason = "reuse"            // a copied refresh token was used
	ReasonExpired         Reason = "expired"          // shown after its end, which is final from then on
	ReasonUserDisabled    Reason = "user_disabled"    // the account was disabled or deleted
	ReasonPasswordChanged Reason = "password_changed" // or anything else that moved the epoch
)

// Timing is what a rotation needs to know of the configuration.
type Timing struct {
	Idle         time.Duration // how long an unused session lives
	RememberIdle time.Duration // the same, for sessions that are remembered
	Absolute     time.Duration // how long any session lives, from sign-in
	Grace        time.Duration // how long the answer of a rotation may be asked for again; 0: never
}

// idle returns the idle limit of a session.
func (t Timing) idle(remember bool) time.Duration {
	if remember {
		return t.RememberIdle
	}
	return t.Idle
}

// MaxReplays is how often the answer of one rotation is given again to who asks for it by name. The next one is turned
// away, and nothing ends: more than this many parallel requests of one page are a fault, not a theft. A store counts to
// one more than this and then stops writing.
const MaxReplays = 64

// A Rotation asks a store to spend a refresh token.
type Rotation struct {
	SessionID string
	UserID    string // the token's subject; must be the row's
	Presented Hash   // of the token's id
	Successor Hash   // of the id derived from it
	AuthEpoch int64  // the user's now
	UserGone  bool   // the user does not exist or is disabled
	Passive   bool   // rotate without moving the idle limit
	Timing    Timing
	UserAgent string
	IP        string
}

// An Outcome is what became of a refresh token that was shown.
type Outcome string

// The outcomes. The first three give a successor; the words are logged and counted.
const (
	OutcomeRotated     Outcome = "rotated"
	OutcomeGraceReplay Outcome = "grace_replay"
	OutcomeLateRetry   Outcome = "late_retry"
	OutcomeEnded       Outcome = "session_ended"  // the session was over, or is now
	OutcomeReused      Outcome = "session_reused" // the session was ended for reuse, before or now
	OutcomeStaleUser   Outcome = "stale_user"     // the caller's AuthEpoch is older than the row's: read the user again
)

// Successful reports whether the outcome gives the caller a successor.
func (o Outcome) Successful() bool {
	return o == OutcomeRotated || o == OutcomeGraceReplay || o == OutcomeLateRetry
}

// A Verdict is the judgement on a rotation: what to answer, and the row as it must be afterwards.
type Verdict struct {
	Outcome Outcome
	Session Session // after the outcome
	Changed bool    // Session differs from the stored row and must be written
	Shared  bool    // the answer goes to another client than the rotation's, for the first time in this generation
	Revoked bool    // this very verdict ended the session
}

// Judge decides on a rotation of the session at a time of the store's clock. It changes nothing; the store writes
// Verdict.Session, in the same transaction in which it read s.
//
// The order is: over, revoked, user, then the token itself. A token of a revoked session is reported as reused to
// everybody when reuse was the reason, so that the honest holder learns of the theft as well.
func (s Session) Judge(r Rotation, now time.Time) Verdict {
	s.ReadAt = now
	switch {
	case s.UserID != r.UserID, s.overAt(now):
		return Verdict{Outcome: OutcomeEnded, Session: s}
	case !s.RevokedAt.IsZero() && s.RevokeReason == ReasonReuse:
		return Verdict{Outcome: OutcomeReused, Session: s}
	case !s.RevokedAt.IsZero():
		return Verdict{Outcome: OutcomeEnded, Session: s}
	case r.UserGone:
		return s.revoked(OutcomeEnded, ReasonUserDisabled, now)
	case s.AuthEpoch > r.AuthEpoch:
		// The password was changed by this very session after the caller had read the user.
		return Verdict{Outcome: OutcomeStaleUser, Session: s}
	case s.AuthEpoch != r.AuthEpoch:
		return s.revoked(OutcomeEnded, ReasonPasswordChanged, now)
	case s.CurrentHash == r.Presented:
		return s.rotated(r, now)
	case s.CurrentHash == r.Successor && (s.inGrace(r.Timing.Grace, now) || s.keptOpen(r, now)):
		shared := s.share(r, now)
		if s.ReplayCount > MaxReplays { // counted far enough
			return Verdict{Outcome: OutcomeGraceReplay, Session: s, Changed: shared, Shared: shared}
		}
		s.ReplayCount++
		return Verdict{Outcome: OutcomeGraceReplay, Session: s, Changed: true, Shared: shared}
	case s.CurrentHash == r.Successor && r.Timing.Grace > 0 && s.answerLost():
		s.LateRetryGen, s.LateRetryAt, s.LateRetryIP, s.LateRetryUserAgent = s.Generation, now, r.IP, r.UserAgent
		shared := s.share(r, now)
		return Verdict{Outcome: OutcomeLateRetry, Session: s, Changed: true, Shared: shared}
	default:
		return s.revoked(OutcomeReused, ReasonReuse, now)
	}
}

// Replayable reports, without judging, whether the token whose hashes are given is the newest of a live session or
// would be answered again now. Of an answer that has not begun it is not asked who shows the token: that is judged when it
// is spent.
func (s *Session) Replayable(presented, successor Hash, grace time.Duration) bool {
	if !s.Live() {
		return false
	}
	return s.CurrentHash == presented || s.CurrentHash == successor &&
		(s.inGrace(grace, s.ReadAt) || s.undelivered(grace, s.ReadAt) || grace > 0 && s.answerLost())
}

// inGrace reports whether the last rotation, or the late retry of its answer, is so recent that its answer may be given
// again. A clock that stepped back must not lengthen the grace, so a time before the rotation is outside it as well,
// but for the step that two nodes' rounding can make.
func (s *Session) inGrace(grace time.Duration, now time.Time) bool {
	return grace > 0 && (within(grace, s.RotatedAt, now) || s.LateRetryGen == s.Generation && within(grace, s.LateRetryAt, now))
}

func within(grace time.Duration, from, now time.Time) bool {
	age := now.Sub(from)
	return age <= grace && age >= -time.Second
}

// slowAnswer is how long an answer may take to begin after its renewal: a long poll lasts for half a minute to a minute.
// For so long, at most, the grace of the renewal is kept open for it, and what this process knows of the generation is kept.
// It is short, since it is also the time that whoever shows a copied token first may gain with a request that he keeps slow.
const slowAnswer = time.Minute

// undelivered reports whether an answer of the last rotation, or of its late retry, had not begun a moment ago.
func (s *Session) undelivered(grace time.Duration, now time.Time) bool {
	return grace > 0 && s.UndeliveredGen == s.Generation && within(grace, s.UndeliveredAt, now) &&
		within(slowAnswer, s.answeredAt(), now)
}

// keptOpen reports whether a token may be shown again because the answer to it has not begun yet. It is one browser that
// waits and shows it again: the one that rotated, or that was given the answer late. Somebody elsewhere who shows a copy gets
// nothing out of another's slow request, and nobody gets the owner's answer by keeping a request of his own slow.
func (s *Session) keptOpen(r Rotation, now time.Time) bool {
	ip, userAgent := s.IP, s.UserAgent
	if s.LateRetryGen == s.Generation {
		ip, userAgent = s.LateRetryIP, s.LateRetryUserAgent
	}
	return s.undelivered(r.Timing.Grace, now) && !elsewhere(ip, userAgent, r.IP, r.UserAgent)
}

// answeredAt is when the successor of the last token was first given, or given late: the grace in force began then.
func (s *Session) answeredAt() time.Time {
	if s.LateRetryGen == s.Generation && s.LateRetryAt.After(s.RotatedAt) {
		return s.LateRetryAt
	}
	return s.RotatedAt
}

// answerLost reports whether the answer of the last rotation seems never to have arrived: nobody has used it, and no
// answer was given late in the last two rotations. Without the second condition a thief who is always first could make
// the owner live on late retries for the life of the session.
func (s *Session) answerLost() bool {
	return !s.SuccessorSeen && s.Generation > 1 && (s.LateRetryGen == 0 || s.Generation >= s.LateRetryGen+3)
}

// share notes that the answer of the last rotation is given to another client than the one that rotated, once in each
// generation. It may be a telephone that changed its network between two tries, or a thief: the user is shown it.
func (s *Session) share(r Rotation, now time.Time) bool {
	if s.SharedGen == s.Generation || !elsewhere(s.IP, s.UserAgent, r.IP, r.UserAgent) {
		return false
	}
	s.SharedGen, s.SharedAt, s.SharedIP, s.SharedUserAgent = s.Generation, now, r.IP, r.UserAgent
	return true
}

// elsewhere reports whether two requests come from different user agents or networks. Addresses are of one network when
// they share the first 24 bits of IPv4, or the first 64 of IPv6, within which a host changes its address as it likes (RFC
// 8981).
func elsewhere(ip, userAgent, otherIP, otherUserAgent string) bool {
	return userAgent != otherUserAgent || ip != otherIP && network(ip) != network(otherIP)
}

func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	bits := 64
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		bits = 24
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ip
	}
	return prefix.String()
}

func (s Session) rotated(r Rotation, now time.Time) Verdict {
	s.Generation++
	s.CurrentHash = r.Successor
	s.RotatedAt = now
	s.SuccessorSeen = false
	s.ReplayCount = 0
	s.UserAgent, s.IP = r.UserAgent, r.IP
	if !r.Passive {
		s.LastSeenAt = now
		s.IdleExpiresAt = idleEnd(now, r.Timing.idle(s.Remember), s.ExpiresAt)
	}
	return Verdict{Outcome: OutcomeRotated, Session: s, Changed: true}
}

func (s Session) revoked(o Outcome, why Reason, now time.Time) Verdict {
	s.RevokedAt, s.RevokeReason = now, why
	return Verdict{Outcome: o, Session: s, Changed: true, Revoked: true}
}

// idleEnd returns when an idle session ends: whole seconds, never past the absolute end.
func idleEnd(now time.Time, idle time.Duration, end time.Time) time.Time {
	t := now.Add(idle).Truncate(time.Second)
	if t.After(end) {
		return end
	}
	return t
}

// A NewSession asks a store to open a session.
type NewSession struct {
	ID           string
	UserID       string
	AuthEpoch    int64 // as read together with the password hash
	Remember     bool
	First        Hash // of the first refresh token's id
	Timing       Timing
	MaxPerUser   int // with this one; the least recently used make room
	Replaces     []string
	UserAgent    string
	IP           string
	OwnUserStore bool // users live elsewhere: the store cannot check the epoch
}

// Open returns the session as it begins at a time of the store's clock.
func (n NewSession) Open(now time.Time) Session {
	end := now.Add(n.Timing.Absolute).Truncate(time.Second)
	return Session{
		ID: n.ID, UserID: n.UserID, AuthEpoch: n.AuthEpoch, Remember: n.Remember,
		UserAgent: n.UserAgent, IP: n.IP,
		CreatedAt: now, AuthTime: now, LastSeenAt: now, RotatedAt: now,
		IdleExpiresAt: idleEnd(now, n.Timing.idle(n.Remember), end), ExpiresAt: end,
		Generation: 1, CurrentHash: n.First,
		ReadAt: now,
	}
}

// A Revocation is one ended session, as the nodes tell each other.
type Revocation struct {
	SessionID string
	Reason    Reason
	At        time.Time
}

// A ClaimsChange says that what the claims of a user's tokens are built from has changed: access tokens of an older
// generation of the user's claims count as expired.
type ClaimsChange struct {
	UserID     string
	Generation int64 // [User.ClaimsGen] from then on
	At         time.Time
}

// News is what nodes must learn of each other.
type News struct {
	At            time.Time // the store's clock
	Revocations   []Revocation
	ClaimsChanges []ClaimsChange
}

// Seen says that a token of a session's generation has been accepted.
type Seen struct {
	SessionID  string
	Generation int64
}

// Undelivered says that an answer with the newest token of a session's generation has not begun yet.
type Undelivered struct {
	SessionID  string
	Generation int64
}

// Shared says that the answer of a session's last rotation was given to another client as well.
type Shared struct {
	SessionID  string
	Generation int64
	IP         string
	UserAgent  string
}

// A SessionStore keeps sessions. Each method is atomic and has committed when it returns nil: what it reported is not
// lost in a crash. Methods return an error wrapping [ErrStoreUnavailable] when the store cannot be asked or the commit
// is in doubt. They are safe for concurrent use, by several processes where the store allows them.
//
// A store has a clock of its own and judges by it alone; package store/storetest holds the contract as tests.
type SessionStore interface {
	// CreateSession opens a session, ends those it replaces (if they are of anybody who held their token) and the
	// user's least recently used ones beyond MaxPerUser. It returns the session and the ids it ended. Unless
	// OwnUserStore is set it returns [ErrInvalidCredentials], and opens nothing, when the user is gone, disabled or of
	// another epoch by now.
	CreateSession(ctx context.Context, n NewSession) (Session, []string, error)
	// Session returns one session, live or not; [ErrNotFound].
	Session(ctx context.Context, id string) (Session, error)
	// Rotate judges a refresh token by [Session.Judge] and writes what the verdict says. A session that does not exist
	// is [OutcomeEnded].
	Rotate(ctx context.Context, r Rotation) (Verdict, error)
	// MarkSeen notes that tokens of these generations were accepted. Older generations and unknown sessions are
	// passed over.
	MarkSeen(ctx context.Context, seen []Seen) error
	// MarkUndelivered notes that answers of these generations have not begun at this moment, where that is still the
	// session's generation, the session is live, and no token of the generation has been used. Others are passed over.
	MarkUndelivered(ctx context.Context, answers []Undelivered) error
	// UserSessions returns the live sessions of a user, the most recently used first.
	UserSessions(ctx context.Context, userID string) ([]Session, error)
	// RenameSession names a live session of a user; [ErrNotFound].
	RenameSession(ctx context.Context, userID, id, name string) error
	// RevokeSessions ends those sessions that nobody has revoked yet, also those that are merely over (a clock that
	// steps back must not bring them to life), and returns their ids. An empty userID means whosever they are; unknown
	// ids are passed over.
	RevokeSessions(ctx context.Context, userID string, ids []string, why Reason) ([]string, error)
	// RevokeUserSessions ends all sessions of a user but one ("" for all) and returns their ids.
	RevokeUserSessions(ctx context.Context, userID, except string, why Reason) ([]string, error)
	// MarkShared notes that answers of these generations were given to other clients, where that is still the session's
	// generation, nobody has revoked it, and nothing is noted for that generation yet. It returns those it noted.
	MarkShared(ctx context.Context, shared []Shared) ([]Shared, error)
	// RaiseClaims notes that access tokens of a user whose claims are of an older generation count as expired. The highest
	// generation stays. The store need not know the user.
	RaiseClaims(ctx context.Context, userID string, generation int64) error
	// News returns which sessions were revoked and whose claims changed at or after a time of the store's clock, and that
	// clock's time.
	News(ctx context.Context, since time.Time) (News, error)
	// PruneSessions deletes at most limit sessions that have been over, or revoked, since before the keep time ago, and
	// claims changes of before that. It never deletes what a living token could still need, if keep is at least the
	// longest access life.
	//
	// It returns how many it deleted, and whether it is worth calling again at once: it looks at limit sessions at most, and
	// may find that some of them have been used meanwhile, so that fewer than limit deleted does not mean that it is done. Calls
	// that go on while there is more come to an end, and have then deleted all.
	PruneSessions(ctx context.Context, keep time.Duration, limit int) (deleted int, more bool, err error)
}

// A KeyRingStore keeps one sealed box: the key ring.
type KeyRingStore interface {
	// KeyRing returns the box and its version; version 0 and no box when there is none yet.
	KeyRing(ctx context.Context) (box []byte, version int64, err error)
	// SaveKeyRing replaces the box if its version is still the one given; otherwise [ErrConflict]. The new version is one
	// more.
	SaveKeyRing(ctx context.Context, box []byte, version int64) error
}

// A Watcher is a store that several nodes may use at once, and that tells each of them what the others have committed. A
// store that implements it is judged by its rows alone: an answer that one node keeps of a rotation is given again only
// while the row says the same.
type Watcher interface {
	// Watch calls changed with sessions that were revoked, or with nil when there may be other news, as soon as they are
	// committed; and with nil at once when it begins to watch. It returns when ctx ends, with its error, or when the store
	// can no longer be watched. What is told may be this node's own doing, and may be told twice.
	Watch(ctx context.Context, changed func([]Revocation)) error
}

// A Store is all that a [Service] keeps. A store that also implements [UserStore] keeps the users as well.
type Store interface {
	SessionStore
	KeyRingStore
}
