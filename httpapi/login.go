package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar"
)

type loginInput struct {
	Body struct {
		Username string `json:"username,omitempty" maxLength:"254" doc:"User name; one with an @ is taken as an e-mail address" example:"ada"`
		Email    string `json:"email,omitempty" maxLength:"254" doc:"E-mail address, in place of the user name"`
		Password string `json:"password" maxLength:"1024" doc:"The password, as typed"`
		Remember bool   `json:"remember,omitempty" doc:"Keep the session over a restart of the browser"`
	}
}

type loginOutput struct {
	SetCookie []string `header:"Set-Cookie" doc:"The access, refresh and CSRF cookie"`
	Body      struct {
		User User `json:"user"`
		Expirations
	}
}

// Expirations tells a client how long its tokens live. They equal the tokens' claims.
type Expirations struct {
	AccessExpiration  time.Time `json:"access_expiration" doc:"When the access token runs out"`
	AccessExpiresIn   int64     `json:"access_expires_in" doc:"Seconds until then, by the server's clock"`
	RefreshExpiration time.Time `json:"refresh_expiration" doc:"When the session ends if it is not used"`
}

func (a *API) expirations(g tokenjar.Grant) Expirations {
	return Expirations{
		AccessExpiration:  g.AccessExpires.UTC(),
		AccessExpiresIn:   a.secondsUntil(g.AccessExpires),
		RefreshExpiration: g.RefreshExpires.UTC(),
	}
}

func (a *API) secondsUntil(t time.Time) int64 {
	return max(0, int64(t.Sub(a.guard.Now()).Round(time.Second)/time.Second))
}

// login signs a user in. Sessions that the browser already had, by whatever genuine token it shows, end.
func (a *API) login(ctx context.Context, in *loginInput) (*loginOutput, error) {
	v := visitOf(ctx)
	credentials := tokenjar.Credentials{
		Username: in.Body.Username, Email: in.Body.Email, Password: tokenjar.Password(in.Body.Password),
		Remember: in.Body.Remember,
	}
	for _, s := range a.service.SignedSessions(v.shown.Access, v.shown.Refresh) {
		credentials.Replaces = append(credentials.Replaces, s)
	}
	grant, err := a.service.Login(ctx, credentials, a.guard.Client(v.request))
	if errors.Is(err, tokenjar.ErrInvalidCredentials) {
		a.clearDead(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	out := &loginOutput{}
	if out.SetCookie, err = a.grantCookies(grant); err != nil {
		end := []tokenjar.SignedSession{{SessionID: grant.SessionID, UserID: grant.User.ID}}
		return nil, errors.Join(err, a.service.Logout(ctx, end)) // a session nobody has the cookies of
	}
	out.Body.User = publicUser(grant.User)
	out.Body.Expirations = a.expirations(grant)
	return out, nil
}

// grantCookies builds the cookies of a grant.
func (a *API) grantCookies(grant tokenjar.Grant) ([]string, error) {
	cookies, err := a.guard.GrantCookies(grant)
	if err != nil {
		return nil, fmt.Errorf("build cookies: %w", err)
	}
	return headerValues(cookies), nil
}

func headerValues(cookies []*http.Cookie) []string {
	values := make([]string, len(cookies))
	for i, c := range cookies {
		values[i] = c.String()
	}
	return values
}

// clearDead takes cookies from the browser that cannot come to life again: none of them verifies, or every session that
// one names is over for good. While nobody can tell, because the store does not answer or a line of the secret is missing
// here, they stay.
func (a *API) clearDead(ctx context.Context, v *visit) {
	if !v.shown.AnyCookie || slices.ContainsFunc(v.shown.Refresh, a.service.OfUnknownLine) {
		return
	}
	over, err := a.service.OverForGood(ctx, a.service.SignedSessions(v.shown.Access, v.shown.Refresh))
	if err == nil && over {
		v.cookies = a.guard.ClearCookies()
	}
}
