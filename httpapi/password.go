package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/session"
)

type changePasswordInput struct {
	Body struct {
		Old string `json:"old_password" maxLength:"1024" doc:"The password so far, as typed"`
		New string `json:"new_password" maxLength:"1024" doc:"The password from now on; another one than before"`
	}
}

type changePasswordOutput struct {
	Body struct {
		Detail            string     `json:"detail" example:"The password has been changed."`
		AccessExpiration  *time.Time `json:"access_expiration" nullable:"true" doc:"When the access token runs out; null when this session has to sign in again"`
		AccessExpiresIn   *int64     `json:"access_expires_in" nullable:"true" doc:"Seconds until then, by the server's clock"`
		RefreshExpiration *time.Time `json:"refresh_expiration" nullable:"true" doc:"When the session ends if it is not used; null for a bearer, whose refresh token we do not see"`
	}
}

// changePassword replaces the password of a user who knows the old one, ends all their other sessions and gives this one
// new cookies. A bearer keeps its tokens.
//
// The old password again is refused as new one: whoever changes a password because somebody else may know it must not
// be told that all is well. Ending the other sessions alone is what DELETE sessions is for.
func (a *API) changePassword(ctx context.Context, in *changePasswordInput) (*changePasswordOutput, error) {
	v := visitOf(ctx)
	id, err := member(ctx)
	if err != nil {
		return nil, err
	}
	spend := a.toSpend(v, id)
	if in.Body.Old != "" && in.Body.Old == in.Body.New {
		return nil, problem.New(problem.ValidationFailed).WithErrors(problem.Field{
			Field: "new_password", Code: "unchanged", Detail: "The new password is the old one."})
	}
	err = a.service.ChangePassword(ctx, tokenjar.PasswordChangeRequest{
		Identity: id, Old: tokenjar.Password(in.Body.Old), New: tokenjar.Password(in.Body.New),
		Client: a.guard.Client(v.request),
	})
	switch {
	case errors.Is(err, tokenjar.ErrInvalidCredentials):
		// 403: a client that takes every 401 for a token that has run out would refresh and try again.
		return nil, problem.New(problem.InvalidCredentials).WithStatus(http.StatusForbidden).
			WithDetail("The old password is not right.")
	case errors.Is(err, tokenjar.ErrConflict):
		return nil, problem.New(problem.Conflict).
			WithDetail("The password was changed meanwhile, in another place. Nothing was changed here.")
	case err != nil:
		return nil, err
	}
	return a.passwordChanged(ctx, v, id, spend), nil
}

// spendable is a refresh cookie that is the newest token of the request's own session, as far as the request shows.
type spendable struct {
	token   string
	expires time.Time
	cookie  bool // the request is one by cookie, if not with that token
}

// toSpend finds the refresh cookie that the change is to spend. A request that was renewed on the way here has spent
// it: the generation of its identity is beyond the cookie's then. An older token beside a newer access token is no
// better: to spend that would be reuse.
func (a *API) toSpend(v *visit, id tokenjar.Identity) spendable {
	shown, err := a.guard.Read(v.request)
	if err != nil {
		return spendable{}
	}
	cred, err := a.guard.Judge(shown)
	if err != nil || cred.Bearer {
		return spendable{}
	}
	s := spendable{cookie: true}
	if cred.Refresh.SessionID == id.SessionID && cred.Refresh.Generation >= id.Generation {
		s.token, s.expires = cred.RefreshToken, cred.Refresh.ExpiresAt
	}
	return s
}

// passwordChanged spends the refresh cookie and tells what is true now. The password is changed whatever happens here,
// so nothing is an error any more.
func (a *API) passwordChanged(ctx context.Context, v *visit, id tokenjar.Identity, spend spendable) *changePasswordOutput {
	out := &changePasswordOutput{}
	out.Body.Detail = "The password has been changed."
	access, refresh := id.ExpiresAt, time.Time{}
	if !spend.cookie {
		out.Body.AccessExpiration, out.Body.AccessExpiresIn = a.until(access)
		return out
	}
	var err error
	if a.canSpend(ctx, spend) {
		var grant tokenjar.Grant
		grant, err = a.service.Refresh(ctx, tokenjar.RefreshRequest{
			Token: spend.token, Renewal: true, Passive: session.Passive(v.request), Client: a.guard.Client(v.request),
		})
		if err == nil {
			access, refresh = grant.AccessExpires, grant.RefreshExpires
			err = a.guard.SetGrant(v.writer, grant)
		}
	} else {
		var sess tokenjar.Session
		sess, err = a.service.LiveSession(ctx, id)
		refresh = sess.IdleExpiresAt
	}
	switch {
	case err == nil:
	case problem.From(err).Status == http.StatusUnauthorized: // ended meanwhile, by whatever
		out.Body.Detail += " This session has ended. Sign in again."
		return out
	default:
		tokenjar.LoggerFromContext(ctx).WarnContext(ctx, "no new cookies after a password change", "err", err)
		out.Body.Detail += " This session keeps its cookies until it is renewed."
		access, refresh = id.ExpiresAt, spend.expires
	}
	out.Body.AccessExpiration, out.Body.AccessExpiresIn = a.until(access)
	if !refresh.IsZero() {
		out.Body.RefreshExpiration = utc(refresh)
	}
	return out
}

// canSpend reports whether to spend the refresh cookie would give it a successor. The password checks took their time,
// and another tab may have used the token's successor meanwhile: to spend it then would be reuse.
func (a *API) canSpend(ctx context.Context, s spendable) bool {
	if s.token == "" {
		return false
	}
	_, err := a.service.Inspect(ctx, s.token)
	return err == nil
}

func (a *API) until(t time.Time) (*time.Time, *int64) {
	in := a.secondsUntil(t)
	return utc(t), &in
}

func utc(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}
