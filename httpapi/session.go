package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

type sessionOutput struct {
	Body SessionState
}

// SessionState tells a page whether somebody is signed in. When nobody is, it is {"authenticated":false} and nothing
// else.
type SessionState struct {
	Authenticated     bool       `json:"authenticated"`
	User              *User      `json:"user,omitempty"`
	AccessExpiration  *time.Time `json:"access_expiration,omitempty" nullable:"true" doc:"Null when only the refresh token is left: the next request renews it"`
	AccessExpiresIn   *int64     `json:"access_expires_in,omitempty" nullable:"true" doc:"Seconds until then"`
	RefreshExpiration *time.Time `json:"refresh_expiration,omitempty" nullable:"true" doc:"When the session ends if it is not used; null for a bearer"`
}

// MarshalJSON writes the expirations of a signed-in user even where they are null, and nothing for anybody else.
func (s SessionState) MarshalJSON() ([]byte, error) {
	if !s.Authenticated {
		return []byte(`{"authenticated":false}`), nil
	}
	return json.Marshal(struct {
		Authenticated     bool       `json:"authenticated"`
		User              *User      `json:"user"`
		AccessExpiration  *time.Time `json:"access_expiration"`
		AccessExpiresIn   *int64     `json:"access_expires_in"`
		RefreshExpiration *time.Time `json:"refresh_expiration"`
	}(s))
}

// session tells whether somebody is signed in, without renewing anything and never with a 401. A live refresh cookie is
// enough.
func (a *API) session(ctx context.Context, _ *struct{}) (*sessionOutput, error) {
	v := visitOf(ctx)
	anonymous := &sessionOutput{}
	cred, err := a.guard.Judge(v.shown)
	if err != nil {
		return anonymous, nil
	}
	state := SessionState{Authenticated: true}
	if cred.NeedsRenewal() {
		found, err := a.service.Inspect(ctx, cred.RefreshToken)
		if err != nil {
			return anonymousUnlessFault(anonymous, err)
		}
		user := publicUser(found.User)
		expires := found.Token.ExpiresAt.UTC()
		state.User, state.RefreshExpiration = &user, &expires
		return &sessionOutput{Body: state}, nil
	}
	if err := a.service.CheckSession(ctx, cred.Identity); err != nil {
		return anonymousUnlessFault(anonymous, err)
	}
	found, err := a.service.ActiveUser(ctx, cred.Identity)
	if err != nil {
		return anonymousUnlessFault(anonymous, err)
	}
	user := publicUser(found)
	expires, in := cred.Identity.ExpiresAt.UTC(), a.secondsUntil(cred.Identity.ExpiresAt)
	state.User, state.AccessExpiration, state.AccessExpiresIn = &user, &expires, &in
	if cred.Refresh.SessionID == cred.Identity.SessionID {
		end := cred.Refresh.ExpiresAt.UTC()
		state.RefreshExpiration = &end
	}
	return &sessionOutput{Body: state}, nil
}

// anonymousUnlessFault keeps "nobody is signed in" apart from "we cannot tell".
func anonymousUnlessFault[O any](anonymous *O, err error) (*O, error) {
	if problem.From(err).Status >= 500 || errors.Is(err, tokenjar.ErrStoreUnavailable) {
		return nil, err
	}
	return anonymous, nil
}
