package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/token"
)

// A Client is what is known of who sends a request. It is shown in the list of sessions and in the audit, and decides
// nothing.
type Client struct {
	IP        string
	UserAgent string
}

const maxUserAgent = 256 // bytes kept

// clean returns the client as it may be stored and logged: valid text of bounded length without control characters.
func (c Client) clean() Client {
	c.UserAgent = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, c.UserAgent)
	if len(c.UserAgent) > maxUserAgent {
		c.UserAgent = strings.ToValidUTF8(c.UserAgent[:maxUserAgent], "")
	}
	c.UserAgent = strings.Clone(c.UserAgent) // not a part of a whole header, which would stay in memory with it
	return c
}

// Password is a password as typed. It never prints itself.
type Password string

// String hides the password.
func (Password) String() string { return "[password]" }

// GoString hides the password.
func (Password) GoString() string { return "[password]" }

// Credentials are what a user signs in with: a user name or a mail address, and the password. A user name with an "@"
// is taken as an address, so one field of a form is enough.
type Credentials struct {
	Username string
	Email    string
	Password Password
	Remember bool            // keep the session over a restart of the browser
	Replaces []SignedSession // sessions of the same browser, by tokens it sent: they end
}

// A Grant is a session's pair of tokens as issued. Its times equal the tokens' claims.
type Grant struct {
	User           User
	SessionID      string
	Generation     int64
	Remember       bool
	AuthTime       time.Time
	AccessToken    string
	AccessExpires  time.Time
	RefreshToken   string
	RefreshExpires time.Time // of the refresh token: the idle limit

	asOf     time.Time // when it was true, by this node's clock
	graceEnd time.Time // when the grace of its rotation is over, by the same
}

// Identity returns who the grant's access token speaks for, as verifying that token would.
func (g Grant) Identity() Identity {
	return Identity{
		UserID: g.User.ID, SessionID: g.SessionID, Generation: g.Generation,
		AuthTime: g.AuthTime, ExpiresAt: g.AccessExpires, claimsGen: g.User.ClaimsGen, token: g.AccessToken,
	}
}

// Login checks a name and a password and opens a session. It has committed when it returns.
//
// An unknown user, a wrong password and a disabled account give [ErrInvalidCredentials] after the same work, so that
// neither answer nor time tells them apart (OWASP ASVS 5.0, 6.3.8). A [*ValidationError] names members that are missing
// or no text; a [*password.BusyError] says that too many passwords are being checked; [ErrStoreUnavailable] that the
// store could not be asked.
func (s *Service) Login(ctx context.Context, in Credentials, from Client) (Grant, error) {
	from = from.clean()
	id, err := in.identifier()
	if err != nil {
		return Grant{}, err
	}
	event := AuditEvent{Name: "login.failed", IP: from.IP, UserAgent: from.UserAgent}
	asOf := s.now()
	user, why, err := s.checkPassword(ctx, id, in.Password, from)
	event.UserID = user.ID
	if limited, ok := errors.AsType[*RateLimitError](err); ok {
		why = "limit_" + limited.Limit
	}
	if why != "" {
		event.Reason = why
		s.event(ctx, event)
	}
	switch {
	case err != nil:
		return Grant{}, err
	case why != "":
		return Grant{}, ErrInvalidCredentials
	}
	grant, err := s.openSession(ctx, user, asOf, in, from)
	if errors.Is(err, ErrInvalidCredentials) {
		event.Reason = "account_changed"
		s.event(ctx, event)
	}
	if err != nil {
		return Grant{}, err
	}
	event.Name, event.SessionID = "login.succeeded", grant.SessionID
	s.event(ctx, event)
	return grant, nil
}

// identifier says who wants to sign in, or which members are missing. A name that no user can have is passed on: its
// answer must be that of an unknown user.
func (c Credentials) identifier() (Identifier, error) {
	var bad []FieldError
	id := Identifier{Username: c.Username, Email: c.Email}
	switch {
	case id.Username == "" && id.Email == "":
		bad = append(bad, FieldError{"username", "required", "Give a user name or an e-mail address."})
	case id.Username != "" && id.Email != "":
		bad = append(bad, FieldError{"email", "not_allowed", "Give a user name or an e-mail address, not both."})
	case strings.Contains(id.Username, "@"):
		id = Identifier{Email: id.Username}
	}
	if c.Password == "" {
		bad = append(bad, FieldError{"password", "required", "Give the password."})
	}
	if !utf8.ValidString(string(c.Password)) {
		bad = append(bad, FieldError{"password", "invalid", "The password is not valid UTF-8."})
	}
	if bad != nil {
		return Identifier{}, &ValidationError{Fields: bad}
	}
	return id, nil
}

// checkPassword finds the user and checks the password. It does the work of one password check whoever is asked for.
// A non-empty why is the reason for refusal, for the audit alone.
func (s *Service) checkPassword(ctx context.Context, id Identifier, pw Password, from Client) (u User, why string, err error) {
	if err := s.allowAddress(ctx, from); err != nil {
		return User{}, "", err
	}
	u, err = s.users.FindUser(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, "", fmt.Errorf("find user: %w", err)
	}
	if limited := s.allowAccount(ctx, accountKey(u, id)); limited != nil {
		return u, "", limited
	}
	if err != nil || u.PasswordHash == "" {
		if err := s.passwords.VerifyNobody(ctx, string(pw)); err != nil {
			return User{}, "", err
		}
		return u, "unknown_user", nil
	}
	result, err := s.passwords.Verify(ctx, string(u.PasswordHash), string(pw))
	switch {
	case errors.Is(err, password.ErrMalformed):
		s.log.ErrorContext(ctx, "stored password hash is damaged", "user_id", u.ID)
		return u, "damaged_hash", nil // after the work of an ordinary one
	case err != nil:
		return User{}, "", err
	case !result.OK:
		return u, "wrong_password", nil
	case !u.Active:
		return u, "disabled", nil
	}
	return u, "", s.recordLogin(ctx, u, pw, result.Rehash)
}

// recordLogin notes the sign-in, and hashes the password anew when its parameters are out of date. A hash that cannot
// be made now is made another time.
func (s *Service) recordLogin(ctx context.Context, u User, pw Password, rehash bool) error {
	rec := LoginRecord{At: s.now().UTC()}
	if rehash {
		if phc, err := s.passwords.Hash(ctx, string(pw)); err == nil {
			rec.OldHash, rec.NewHash = u.PasswordHash, PasswordHash(phc)
		}
	}
	if err := s.users.RecordLogin(ctx, u.ID, rec); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("record login: %w", err)
	}
	return nil
}

// openSession commits a new session and issues its first tokens, for a user as of a time of this node's clock.
func (s *Service) openSession(ctx context.Context, u User, asOf time.Time, in Credentials, from Client) (Grant, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Grant{}, fmt.Errorf("session id: %w", err)
	}
	extra, err := s.extraClaims(ctx, u, id.String())
	if err != nil {
		return Grant{}, err
	}
	jti := firstID()
	owners := make(map[string]string, len(in.Replaces)) // of the sessions that this one replaces
	for _, each := range in.Replaces {
		owners[each.SessionID] = each.UserID
	}
	replaces := slices.Collect(maps.Keys(owners))
	n := NewSession{
		ID: id.String(), UserID: u.ID, AuthEpoch: u.AuthEpoch, Remember: in.Remember, First: hashID(jti),
		Timing: s.timing, MaxPerUser: s.cfg.MaxPerUser, UserAgent: from.UserAgent, IP: from.IP, OwnUserStore: s.ownUsers,
	}
	if !s.ownUsers {
		n.Replaces = replaces
	}
	sess, ended, err := s.store.CreateSession(ctx, n)
	if errors.Is(err, ErrStoreUnavailable) {
		s.orphans.add(u.ID, n.ID)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("open session: %w", err)
	}
	grant, err := s.grant(u, extra, sess, s.refreshKeys()[0], jti, asOf)
	if s.ownUsers && err == nil {
		// The store could not compare epochs, so look once more: a password changed meanwhile must win. Only then does
		// the session before it end.
		err = s.stillGood(ctx, u)
		if err == nil {
			var replaced []string
			replaced, err = s.store.RevokeSessions(ctx, "", replaces, ReasonReplaced)
			ended = append(ended, replaced...)
		}
	}
	for _, id := range ended {
		if owner, replaced := owners[id]; replaced {
			s.ended(ctx, owner, ReasonReplaced, []string{id})
		} else {
			s.ended(ctx, u.ID, ReasonSessionLimit, []string{id})
		}
	}
	if err != nil { // nobody has its tokens
		why := ReasonLogout
		if errors.Is(err, ErrInvalidCredentials) {
			why = ReasonPasswordChanged
		}
		left := s.endSessions(ctx, u.ID, []string{sess.ID}, why)
		if left != nil {
			s.orphans.add(u.ID, sess.ID)
		}
		return Grant{}, errors.Join(err, left)
	}
	return grant, nil
}

// stillGood returns [ErrInvalidCredentials] when the account is another one than it was when its password was checked.
func (s *Service) stillGood(ctx context.Context, u User) error {
	again, err := s.users.User(ctx, u.ID)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return fmt.Errorf("find user: %w", err)
	case err != nil, !again.Active, again.AuthEpoch != u.AuthEpoch:
		return ErrInvalidCredentials
	}
	return nil
}

// grant issues the pair of tokens for a session as the store has it. asOf is from before it and the user were read.
func (s *Service) grant(
	u User, extra token.Claims, sess Session, line *refreshLine, jti string, asOf time.Time,
) (Grant, error) {
	access, err := s.issueAccess(u, extra, sess, asOf)
	if err != nil {
		return Grant{}, fmt.Errorf("issue access token: %w", err)
	}
	refresh, err := line.issue(sess, jti)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		User: u, SessionID: sess.ID, Generation: sess.Generation, Remember: sess.Remember, AuthTime: sess.AuthTime.Truncate(time.Second),
		AccessToken: access.text, AccessExpires: access.expires,
		RefreshToken: refresh, RefreshExpires: sess.IdleExpiresAt,
		asOf: asOf, graceEnd: asOf.Add(s.graceLeft(sess)),
	}, nil
}
