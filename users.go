package tokenjar

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar/password"
)

// User returns a user; [ErrNotFound].
func (s *Service) User(ctx context.Context, id string) (User, error) {
	u, err := s.users.User(ctx, id)
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	return u, nil
}

// ActiveUser returns the user of an identity as of now; [ErrSessionEnded] when the account is gone or disabled.
func (s *Service) ActiveUser(ctx context.Context, id Identity) (User, error) {
	u, err := s.users.User(ctx, id.UserID)
	switch {
	case errors.Is(err, ErrNotFound):
		return User{}, ErrSessionEnded
	case err != nil:
		return User{}, fmt.Errorf("find user: %w", err)
	case !u.Active:
		return User{}, ErrSessionEnded
	}
	return u, nil
}

// UpdateProfile changes what a user may change about themselves. A [*ValidationError] names what cannot be taken.
func (s *Service) UpdateProfile(ctx context.Context, id string, p Profile) (User, error) {
	var bad []FieldError
	for _, f := range []struct {
		name  string
		value *string
	}{{"first_name", p.FirstName}, {"last_name", p.LastName}} {
		if f.value != nil && !validName(*f.value) {
			bad = append(bad, FieldError{f.name, "invalid",
				fmt.Sprintf("A name is one line of at most %d characters.", maxName)})
		}
	}
	if bad != nil {
		return User{}, &ValidationError{Fields: bad}
	}
	u, err := s.users.UpdateProfile(ctx, id, p)
	if err != nil {
		return User{}, fmt.Errorf("update profile: %w", err)
	}
	return u, nil
}

// NewUser is an account to be made.
type NewUser struct {
	Username string
	Email    string // may be empty
	Password Password
	Staff    bool
}

// CreateUser makes an account in a store that keeps users of its own. Name, address and password are checked, all at
// once: a [*ValidationError] names what cannot be taken; [ErrConflict] says that the name or the address is taken.
func CreateUser(ctx context.Context, admin UserAdmin, hasher *password.Hasher, policy password.Policy, in NewUser) (User, error) {
	var bad []FieldError
	if _, ok := UsernameKey(in.Username); !ok {
		bad = append(bad, FieldError{"username", "invalid", fmt.Sprintf(
			"A user name has 1 to %d letters, digits and signs, no blanks and no \"@\".", maxUsername)})
	}
	if _, ok := EmailKey(in.Email); in.Email != "" && !ok {
		bad = append(bad, FieldError{"email", "invalid", "This is no plain e-mail address."})
	}
	var weak *ValidationError
	err := checkNewPassword(policy, "password", in.Password, User{Username: in.Username, Email: in.Email})
	if errors.As(err, &weak) {
		bad = append(bad, weak.Fields...)
	} else if err != nil {
		return User{}, err
	}
	if bad != nil {
		return User{}, &ValidationError{Fields: bad}
	}
	phc, err := hasher.Hash(ctx, string(in.Password))
	if err != nil {
		return User{}, fmt.Errorf("hash password: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return User{}, fmt.Errorf("user id: %w", err)
	}
	u := User{
		ID: id.String(), Username: in.Username, Email: in.Email, PasswordHash: PasswordHash(phc),
		Active: true, Staff: in.Staff,
	}
	if err := admin.CreateUser(ctx, u); err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	return u, nil
}

// SetUserActive disables or enables an account. Disabling ends all sessions of the user in the same transaction: when
// it returns, this node accepts none of their tokens.
func (s *Service) SetUserActive(ctx context.Context, id string, active bool) error {
	admin, ok := s.users.(UserAdmin)
	if !ok {
		return errors.New("set user active: the users live outside the store")
	}
	ended, err := admin.SetUserActive(ctx, id, active)
	if err != nil {
		return fmt.Errorf("set user active: %w", err)
	}
	s.ended(ctx, id, ReasonUserDisabled, ended)
	if err := s.pollNews(ctx); err != nil { // what somebody else ended a moment ago is not among them
		return fmt.Errorf("set user active: %w", err)
	}
	return nil
}
