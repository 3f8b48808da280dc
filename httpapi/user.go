package httpapi

import (
	"context"

	"github.com/tokenjar/tokenjar"
)

// User is what a signed-in user is shown about themselves.
type User struct {
	ID            string `json:"id"`
	Username      string `json:"username"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	FirstName     string `json:"first_name"`
	LastName      string `json:"last_name"`
}

func publicUser(u tokenjar.User) User {
	return User{
		ID: u.ID, Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified,
		FirstName: u.FirstName, LastName: u.LastName,
	}
}

type userOutput struct {
	Body User
}

// member returns who the request speaks for. The gate has let nobody else through.
func member(ctx context.Context) (tokenjar.Identity, error) {
	id, ok := tokenjar.IdentityFromContext(ctx)
	if !ok {
		return id, tokenjar.ErrNotAuthenticated
	}
	return id, nil
}

// user shows the signed-in user.
func (a *API) user(ctx context.Context, _ *struct{}) (*userOutput, error) {
	id, err := member(ctx)
	if err != nil {
		return nil, err
	}
	u, err := a.service.ActiveUser(ctx, id)
	if err != nil {
		return nil, err
	}
	return &userOutput{Body: publicUser(u)}, nil
}

type updateUserInput struct {
	Body struct {
		FirstName *string `json:"first_name,omitempty" maxLength:"150"`
		LastName  *string `json:"last_name,omitempty" maxLength:"150"`
	}
}

type replaceUserInput struct {
	Body struct {
		FirstName string `json:"first_name" maxLength:"150"`
		LastName  string `json:"last_name" maxLength:"150"`
	}
}

// updateUser changes what users may change about themselves: the members that are there.
func (a *API) updateUser(ctx context.Context, in *updateUserInput) (*userOutput, error) {
	return a.saveProfile(ctx, tokenjar.Profile{FirstName: in.Body.FirstName, LastName: in.Body.LastName})
}

// replaceUser changes all that users may change about themselves.
func (a *API) replaceUser(ctx context.Context, in *replaceUserInput) (*userOutput, error) {
	return a.saveProfile(ctx, tokenjar.Profile{FirstName: &in.Body.FirstName, LastName: &in.Body.LastName})
}

// saveProfile changes a profile. Whose it is comes from the session alone.
func (a *API) saveProfile(ctx context.Context, p tokenjar.Profile) (*userOutput, error) {
	id, err := member(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := a.service.ActiveUser(ctx, id); err != nil {
		return nil, err
	}
	u, err := a.service.UpdateProfile(ctx, id.UserID, p)
	if err != nil {
		return nil, err
	}
	return &userOutput{Body: publicUser(u)}, nil
}
