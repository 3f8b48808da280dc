package tokenjar

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenjar/tokenjar/password"
)

// PasswordChangeRequest is a user's wish for another password.
type PasswordChangeRequest struct {
	Identity Identity
	Old, New Password
	Client   Client
}

// ChangePassword replaces the password of a signed-in user who knows the old one. All other sessions of the user end in
// the same transaction; the one that asked goes on, and the time of its sign-in is now. Its refresh token stays the
// newest: the caller spends it to give the session new tokens.
//
// It returns [ErrInvalidCredentials] for a wrong old password, [*RateLimitError], a [*ValidationError] for a new
// password that the policy refuses, [ErrConflict] when the password was changed meanwhile, [*password.BusyError],
// [ErrSessionEnded] and [ErrStoreUnavailable]. After the last of these the change may have been made all the same, when the
// answer of the database was lost. Then the old password is refused as a wrong one: a caller that asks again cannot be told
// apart from somebody who guesses, so the user signs in with whichever of the two is right.
func (s *Service) ChangePassword(ctx context.Context, in PasswordChangeRequest) error {
	from := in.Client.clean()
	if !s.ChangesPasswords() {
		return errors.New("change password: the users live outside the store")
	}
	if in.Old == "" {
		return invalid("old_password", "required", "The old password is needed.")
	}
	_, user, err := s.liveSession(ctx, in.Identity.SessionID, in.Identity.UserID)
	if err != nil {
		return err
	}
	if err := checkNewPassword(s.cfg.PasswordPolicy, "new_password", in.New, user); err != nil {
		return err // no try: the old password has not been looked at
	}
	failed := AuditEvent{Name: "password.change_failed", UserID: user.ID, SessionID: in.Identity.SessionID,
		IP: from.IP, UserAgent: from.UserAgent}
	err = s.allowAddress(ctx, from)
	if err == nil {
		// A counter of its own: strangers who try to sign in as the user must not keep them from changing the password.
		err = s.allowAccount(ctx, "change "+user.ID)
	}
	if limited, ok := errors.AsType[*RateLimitError](err); ok {
		failed.Reason = "limit_" + limited.Limit
		s.event(ctx, failed)
	}
	if err != nil {
		return err
	}
	result, err := s.passwords.Verify(ctx, string(user.PasswordHash), string(in.Old))
	switch {
	case err != nil && !errors.Is(err, password.ErrMalformed):
		return err
	case err != nil || !result.OK:
		failed.Reason = "wrong_password"
		s.event(ctx, failed)
		return ErrInvalidCredentials
	}
	phc, err := s.passwords.Hash(ctx, string(in.New))
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	ended, err := s.users.(UserAdmin).SetPassword(ctx, PasswordChange{
		UserID: user.ID, OldHash: user.PasswordHash, NewHash: PasswordHash(phc), Keep: in.Identity.SessionID,
	})
	if err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	s.ended(ctx, user.ID, ReasonPasswordChanged, ended)
	if err := s.pollNews(ctx); err != nil { // what somebody else ended a moment ago is not among them
		s.log.WarnContext(ctx, "revocations are not learned of after a password change", "err", err) // which is done
	}
	s.event(ctx, AuditEvent{Name: "password.changed", UserID: user.ID, SessionID: in.Identity.SessionID,
		IP: from.IP, UserAgent: from.UserAgent})
	return nil
}

// ResetPassword gives a user another password without knowing the old one, for administration. All sessions of the user
// end in the same transaction; it returns them. A [*ValidationError] says why the policy refuses the password.
func ResetPassword(ctx context.Context, admin UserAdmin, hasher *password.Hasher, policy password.Policy, u User, pw Password) ([]string, error) {
	if err := checkNewPassword(policy, "password", pw, u); err != nil {
		return nil, err
	}
	phc, err := hasher.Hash(ctx, string(pw))
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	ended, err := admin.SetPassword(ctx, PasswordChange{UserID: u.ID, NewHash: PasswordHash(phc)})
	if err != nil {
		return nil, fmt.Errorf("set password: %w", err)
	}
	return ended, nil
}

// ChangesPasswords reports whether [Service.ChangePassword] can work: the users live in the store, which then replaces
// a password and ends sessions in one transaction. A program with a user table of its own changes passwords itself.
func (s *Service) ChangesPasswords() bool {
	_, ok := s.users.(UserAdmin)
	return ok && !s.ownUsers
}

// checkNewPassword says by the policy why a user may not have a password.
func checkNewPassword(policy password.Policy, field string, pw Password, u User) error {
	var weak *password.PolicyError
	err := policy.Check(string(pw), u.Username, u.Email)
	if !errors.As(err, &weak) {
		return err
	}
	bad := &ValidationError{}
	for _, v := range weak.Violations {
		bad.Fields = append(bad.Fields, FieldError{field, string(v.Code), v.Detail})
	}
	return bad
}
