package session

import (
	"errors"
	"net/http"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/internal/request"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
)

// Which credential counts:
//
//   - If an access or a refresh cookie verifies, it is a cookie request, whatever else it bears: CSRF applies. A bearer
//     beside it is ignored when it does not verify, and is 401 when it names another user.
//   - A bearer counts only when no cookie of ours verifies.
//   - Of several cookies of one name, those that verify count, and of these the highest generation of the newest
//     session. Two that verify for different users are 401: nobody can tell which of them was tossed in.
//   - A live access token decides. One that verifies but is revoked is never renewed.
//   - With BearerFirst a bearer that verifies decides before all that, and no cookie is looked at: see [Config].

// Shown is what a request bears, not yet judged.
type Shown struct {
	AnyCookie  bool     // a cookie of our access or refresh name, good or bad
	Access     []string // clean cookie values, each once
	Refresh    []string
	BadRefresh bool   // a refresh cookie whose value cannot be a token
	Bearer     string // the token of the Authorization field
	BadBearer  bool   // an Authorization field with the scheme Bearer and something else than one token

	judged *judgedBearer // of a guard that judges it first
}

// A judgedBearer is what came of a bearer token.
type judgedBearer struct {
	id  tokenjar.Identity
	err error
}

// Read collects what a request bears. It fails when the request has more cookies than are read, and when it has two
// Authorization fields: nobody may choose between them (RFC 9110, section 5.3). What it found of the cookies is then
// returned beside the error, since the origin is judged first.
func (g *Guard) Read(r *http.Request) (shown Shown, err error) {
	var cookies cookie.Cookies
	if g.policy.Credentials != BearerOnly {
		if cookies, err = g.cookies.Read(r.Header); err != nil {
			return Shown{}, err
		}
	}
	shown = Shown{
		AnyCookie:  cookies.Access.Present() || cookies.Refresh.Present(),
		Access:     cookies.Access.Values,
		Refresh:    cookies.Refresh.Values,
		BadRefresh: cookies.Refresh.Invalid > 0,
	}
	if g.policy.Credentials == CookieOnly {
		return shown, nil
	}
	if shown.Bearer, shown.BadBearer, err = request.Bearer(r.Header); err != nil {
		return shown, problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest).
			WithDetail("The request has more than one Authorization field.")
	}
	if g.bearerFirst && shown.Bearer != "" {
		id, err := g.service.Authenticate(shown.Bearer)
		shown.judged = &judgedBearer{id, err}
	}
	return shown, nil
}

// A Credential is who a request speaks for, found without a store and without changing anything.
type Credential struct {
	// Identity is that of a live access token. Zero when there is none.
	Identity tokenjar.Identity
	// Refresh and RefreshToken are the refresh cookie that counts. Zero when none verifies.
	Refresh      tokenjar.RefreshToken
	RefreshToken string
	// Bearer says that Identity came in an Authorization field.
	Bearer bool
	// Reason is why there is no Identity: an error for package problem. Nil when there is one.
	Reason error
}

// ByCookie reports whether a cookie authenticates the request.
func (c Credential) ByCookie() bool {
	return !c.Bearer && (c.Identity.UserID != "" || c.RefreshToken != "")
}

// NeedsRenewal reports whether the request has nothing but a refresh cookie.
func (c Credential) NeedsRenewal() bool { return c.Identity.UserID == "" && c.RefreshToken != "" }

// SessionID returns the session that the credential names.
func (c Credential) SessionID() string {
	if c.Identity.SessionID != "" {
		return c.Identity.SessionID
	}
	return c.Refresh.SessionID
}

// Judge decides which credential counts. It fails with the reason, which package problem knows, when there is none, or
// when two contradict each other.
func (g *Guard) Judge(shown Shown) (Credential, error) {
	if shown.judged.wins() {
		return Credential{Identity: shown.judged.id, Bearer: true}, nil
	}
	w, err := g.weigh(shown)
	if err != nil {
		return Credential{}, err
	}
	cred := w.Credential
	switch {
	case cred.Identity.UserID != "":
		cred.Reason = nil
		return cred, g.checkBearerBeside(shown, cred.Identity.UserID)
	case w.revoked && cred.RefreshToken != "":
		return Credential{}, tokenjar.ErrTokenRevoked
	case w.revoked:
		return g.judgeBearer(shown, tokenjar.ErrTokenRevoked)
	case cred.RefreshToken != "":
		if cred.Reason == nil {
			cred.Reason = tokenjar.ErrNotAuthenticated
		}
		cred.Reason = problem.From(cred.Reason).WithAction(problem.Refresh)
		return cred, g.checkBearerBeside(shown, cred.Refresh.UserID)
	}
	return g.judgeBearer(shown, better(cred.Reason, w.refreshReason))
}

// wins reports whether a bearer decides although there are cookies.
func (b *judgedBearer) wins() bool { return b != nil && b.err == nil }

// authenticateBearer verifies a bearer, once.
func (g *Guard) authenticateBearer(shown Shown) (tokenjar.Identity, error) {
	if shown.judged != nil {
		return shown.judged.id, shown.judged.err
	}
	return g.service.Authenticate(shown.Bearer)
}

// JudgeRefresh decides which refresh cookie is to be spent. The access cookie is not needed and says nothing about the
// session, but one that verifies must not be another user's, and neither must a bearer.
func (g *Guard) JudgeRefresh(shown Shown) (Credential, error) {
	w, err := g.weigh(shown)
	switch {
	case err != nil:
		return Credential{}, err
	case w.RefreshToken != "":
		cred := Credential{Refresh: w.Refresh, RefreshToken: w.RefreshToken}
		return cred, g.checkBearerBeside(shown, w.Refresh.UserID)
	case w.refreshReason != nil:
		return Credential{}, problem.From(w.refreshReason).WithAction(problem.Login)
	case shown.BadRefresh:
		return Credential{}, problem.From(tokenjar.ErrTokenInvalid).WithAction(problem.Login)
	}
	return Credential{}, tokenjar.ErrRefreshMissing
}

// weighed is what the cookies come to: for each name the one that counts, or why none does.
type weighed struct {
	Credential          // Reason is why no access cookie counts
	refreshReason error // why no refresh cookie counts
	revoked       bool  // an access cookie is genuine, but its session has been revoked
}

func (g *Guard) weigh(shown Shown) (w weighed, err error) {
	for _, raw := range shown.Access {
		id, err := g.service.Authenticate(raw)
		switch {
		case errors.Is(err, tokenjar.ErrTokenRevoked):
			w.revoked = true
		case err != nil:
			w.Reason = better(w.Reason, err)
		case w.Identity.UserID != "" && w.Identity.UserID != id.UserID:
			return weighed{}, middleware.ErrTwoUsers
		case newer(id.SessionID, id.Generation, w.Identity.SessionID, w.Identity.Generation):
			w.Identity = id
		}
	}
	user := w.Identity.UserID
	for _, raw := range shown.Refresh {
		t, err := g.service.DecodeRefresh(raw)
		if err == nil {
			err = g.service.Ended(t.SessionID) // as far as it can be told without a store
		}
		switch {
		case err != nil:
			w.refreshReason = better(w.refreshReason, err)
		case user != "" && user != t.UserID:
			return weighed{}, middleware.ErrTwoUsers
		default:
			user = t.UserID
			if prefer(t, w.Credential) {
				w.Refresh, w.RefreshToken = t, raw
			}
		}
	}
	return w, nil
}

// prefer reports whether a refresh token that verifies counts more than the one found before: that of the live access
// token's session first, then the newest.
func prefer(t tokenjar.RefreshToken, cred Credential) bool {
	if live := cred.Identity.SessionID; live != "" && (t.SessionID == live) != (cred.Refresh.SessionID == live) {
		return t.SessionID == live
	}
	return newer(t.SessionID, t.Generation, cred.Refresh.SessionID, cred.Refresh.Generation)
}

// newer compares by session, whose ids are in order of time, and within one by generation.
func newer(session string, generation int64, thanSession string, thanGeneration int64) bool {
	if session != thanSession {
		return session > thanSession
	}
	return generation > thanGeneration
}

// checkBearerBeside looks at a bearer that came with cookies that verify. It cannot win, but it must not name another
// user: whoever built that request mixed two identities.
func (g *Guard) checkBearerBeside(shown Shown, user string) error {
	if shown.Bearer == "" {
		return nil
	}
	if id, err := g.authenticateBearer(shown); err == nil && id.UserID != user {
		return middleware.ErrTwoUsers
	}
	return nil
}

func (g *Guard) judgeBearer(shown Shown, cookieReason error) (Credential, error) {
	switch {
	case shown.BadBearer:
		return Credential{}, problem.New(problem.TokenInvalid).
			WithDetail("The Authorization field is not the word Bearer, one blank and one token.")
	case shown.Bearer != "":
		id, err := g.authenticateBearer(shown)
		if err != nil {
			return Credential{}, err
		}
		return Credential{Identity: id, Bearer: true}, nil
	case cookieReason != nil:
		// No refresh cookie is good, so signing in is all that helps.
		return Credential{}, problem.From(cookieReason).WithAction(problem.Login)
	case shown.AnyCookie:
		return Credential{}, tokenjar.ErrTokenInvalid
	}
	return Credential{}, tokenjar.ErrNotAuthenticated
}

// better returns the error that tells more: revoked or ended before expired before of the wrong type before invalid.
func better(a, b error) error {
	for _, best := range []error{
		tokenjar.ErrTokenRevoked, tokenjar.ErrSessionReused, tokenjar.ErrSessionEnded, tokenjar.ErrTokenExpired,
		tokenjar.ErrWrongTokenType,
	} {
		switch {
		case errors.Is(a, best):
			return a
		case errors.Is(b, best):
			return b
		}
	}
	if a != nil {
		return a
	}
	return b
}
