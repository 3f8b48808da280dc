package tokenjar

import (
	"context"
	"log/slog"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// A User is an account as the product sees it.
type User struct {
	ID            string // never reused
	Username      string // as typed; compared by UsernameKey
	Email         string // as typed; compared by EmailKey; may be empty
	FirstName     string
	LastName      string
	PasswordHash  PasswordHash // PHC string; empty: nobody can sign in with a password
	Active        bool
	EmailVerified bool
	Staff         bool
	Superuser     bool
	AuthEpoch     int64 // moves when the password changes or the account is disabled: sessions of an older epoch are over
	ClaimsGen     int64 // moves when what claims are built from changes: access tokens of an older one count as expired
	LastLogin     time.Time
	CreatedAt     time.Time
}

// PasswordHash is a PHC string that never prints itself.
type PasswordHash string

// String hides the hash.
func (PasswordHash) String() string { return "[password hash]" }

// LogValue hides the hash from logs.
func (PasswordHash) LogValue() slog.Value { return slog.StringValue("[password hash]") }

// An Identifier names a user at sign-in: exactly one of the two is set.
type Identifier struct {
	Username string
	Email    string
}

// A Profile is what users may change about themselves. A nil field stays as it is.
type Profile struct {
	FirstName *string
	LastName  *string
}

// A LoginRecord is what a successful sign-in leaves on the user.
type LoginRecord struct {
	At      time.Time
	OldHash PasswordHash // with NewHash: replaced only while the stored hash is still this one
	NewHash PasswordHash // empty: the hash stays
}

// A UserStore is what the [Service] needs to know about users. The stores under store/ have one; a program with a user
// table of its own implements these four methods.
//
// Methods return [ErrNotFound] for a user who does not exist and an error wrapping [ErrStoreUnavailable] when the store
// cannot tell: the two must not be confused, for the first ends sessions. They are safe for concurrent use.
type UserStore interface {
	// FindUser returns the user whom an identifier names, compared by [UsernameKey] or [EmailKey].
	FindUser(ctx context.Context, id Identifier) (User, error)
	// User returns the user of that id.
	User(ctx context.Context, id string) (User, error)
	// RecordLogin notes a sign-in, and a re-hash of the same password. It never moves the epoch.
	RecordLogin(ctx context.Context, id string, rec LoginRecord) error
	// UpdateProfile changes the fields that are set and returns the user.
	UpdateProfile(ctx context.Context, id string, p Profile) (User, error)
}

// UserAdmin is what a store that owns its users adds for their administration. What ends sessions does so in the same
// transaction as the change, and returns the sessions it ended. [ErrNotFound] for a user who does not exist.
type UserAdmin interface {
	// CreateUser adds a user; [ErrConflict] when the name or the address is taken.
	CreateUser(ctx context.Context, u User) error
	// Users returns users in the order of their ids: at most limit of those after an id ("" from the first).
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// SetUserActive disables or enables an account. Disabling moves the epoch and ends all sessions of the user.
	SetUserActive(ctx context.Context, id string, active bool) (ended []string, err error)
	// SetUserRoles changes the roles of an account. When that changes anything, ClaimsGen moves up by one, and
	// [SessionStore.News] tells of it. No session ends.
	SetUserRoles(ctx context.Context, id string, r Roles) error
	// SetPassword replaces a password, moves the epoch and ends all sessions of the user but the one to keep. A change that
	// names its OldHash and has been made before is reported as done and does nothing more: after [ErrStoreUnavailable],
	// which may hide a commit, the same change can be asked for again.
	SetPassword(ctx context.Context, p PasswordChange) (ended []string, err error)
	// DeleteUser removes an account and ends all its sessions. Its id is never given again. For an account that was deleted
	// before it reports success and does nothing more.
	DeleteUser(ctx context.Context, id string) (ended []string, err error)
}

// Roles are what a user may do beyond being one.
type Roles struct {
	Staff     bool
	Superuser bool
}

// A PasswordChange asks a store to replace a password.
type PasswordChange struct {
	UserID  string
	OldHash PasswordHash // replaced only while the stored hash is still this one, otherwise [ErrConflict]; empty: in any case
	NewHash PasswordHash // with a salt of its own, so that no other change has the same
	// Keep is the session that goes on, with the new epoch and with the time of the change as its AuthTime, if it is a
	// live one of this user and of the epoch so far. Empty: none.
	Keep string
}

const (
	maxUsername = 150 // characters
	maxEmail    = 254 // bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets)
	maxName     = 150 // characters, first and last name
)

// UsernameKey returns the form by which two user names are the same one: the PRECIS profile UsernameCaseMapped
// (RFC 8265, section 3.3). It reports false for a text that is no user name. Names that look alike but are different
// characters stay different.
func UsernameKey(name string) (string, bool) {
	if name == "" || utf8.RuneCountInString(name) > maxUsername || strings.Contains(name, "@") {
		return "", false
	}
	key, err := precis.UsernameCaseMapped.CompareKey(name)
	if err != nil || key == "" {
		return "", false
	}
	return key, true
}

// EmailKey returns the form by which two mail addresses are the same one: lower case, throughout, since two mailboxes
// that differ in case alone do not exist in practice and would be a trap. It reports false for a text that is no plain
// address (RFC 5321, Mailbox, without comments, quotes or display name).
func EmailKey(addr string) (string, bool) {
	if len(addr) > maxEmail || strings.Count(addr, "@") != 1 || strings.ContainsAny(addr, "\"<>(),;:\\[] ") {
		return "", false
	}
	parsed, err := mail.ParseAddress(addr)
	if err != nil || parsed.Address != addr || parsed.Name != "" {
		return "", false
	}
	for _, r := range addr {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r >= utf8.RuneSelf {
			return "", false // internationalised addresses need one normal form first: not yet
		}
	}
	return strings.ToLower(addr), true
}

// validName reports whether s may be a first or last name: printable, at most 150 characters.
func validName(s string) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxName {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
