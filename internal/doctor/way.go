package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The whole way of a session, as a browser goes it: each request has the cookies that the jar gives for it and no others.

const (
	askNodes = 6                // times, on connections of their own
	ending   = 10 * time.Second // for ending the session
)

// A session is one that may live on the server.
type session struct {
	refresh string // newest token, "" where none was given to us
}

// goTheWay signs in and goes on as far as a browser would get.
func (e *exam) goTheWay(ctx context.Context) ([]found, error) {
	if e.cfg.Username == "" {
		return nil, &left{"it takes an account: --username and --password-stdin"}
	}
	e.session = &session{} // from here on there may be one: the server carries out what it does not get to answer
	a, list := e.step(ctx, request{
		method: http.MethodPost, path: e.cfg.Path + "/login", page: e.page,
		body: map[string]string{"username": e.cfg.Username, "password": string(e.cfg.Password)},
	})
	if a.refusedByUs() {
		e.session = nil
		if err := e.refusedSignIn(a); err != nil {
			return nil, err
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	j := &jar{}
	list = append(judgeGrant(a, j, e.page, e.ours()), judgeIssued(a)...)
	if faults(list) {
		return list, nil
	}
	return append(list, e.goOn(ctx, j)...), nil
}

// step sends a request of the way and says why it is no success. The answer is nil where none came, which is a finding like any
// other: the server has answered so far. (When the examination is interrupted, nobody looks at the findings any more.)
func (e *exam) step(ctx context.Context, q request) (*answer, []found) {
	a, err := e.do(ctx, q)
	if a != nil {
		e.keep(a)
	}
	if err != nil {
		return a, []found{{kindLost, unanswered(a, err)}}
	}
	return a, judgeStep(a)
}

// refusedByUs reports whether tokenjar itself says that it has done nothing. What a proxy says, and what tokenjar says of its own
// failure, may come after the server has done what it was asked for.
func (a *answer) refusedByUs() bool { return a != nil && a.ours() && a.status >= 400 && a.status < 500 }

// refusedSignIn is an error where tokenjar says that the account cannot sign in: that is no finding.
func (e *exam) refusedSignIn(a *answer) error {
	switch {
	case a.code == "rate_limited":
		return &fault{fmt.Sprintf("%s limits sign-ins: %s, %s", originOf(e.url), a, a.field("Retry-After"))}
	case a.status == http.StatusUnauthorized:
		return &fault{fmt.Sprintf("%s refused the sign-in of %s: %d %s", originOf(e.url), e.cfg.Username, a.status, hideTokens(a.code))}
	}
	return nil
}

// keep remembers what is needed to end the session.
func (e *exam) keep(a *answer) {
	for _, c := range a.cookies {
		if claims, ok := claimsOf(c.value); ok && claims.Type == "rt+jwt" && !c.deletes {
			e.session.refresh = c.value
		}
	}
}

// goOn goes the way from a jar with the cookies of a sign-in.
func (e *exam) goOn(ctx context.Context, j *jar) []found {
	if list := e.askWho(ctx, j); len(list) > 0 {
		return list
	}
	var csrf string
	for _, step := range []struct {
		method, path string
		after        func(*answer) []found
	}{
		{http.MethodGet, "/user", nil},
		{http.MethodGet, "/csrf", func(a *answer) []found {
			var body struct {
				Token string `json:"csrf_token"`
			}
			if json.Unmarshal(a.body, &body) != nil || body.Token == "" {
				return []found{{kindLost, a.String() + " without a csrf_token"}}
			}
			csrf = body.Token
			return nil
		}},
		{http.MethodPost, "/token/refresh", func(a *answer) []found {
			return append(judgeGrant(a, j, e.page, e.ours()), judgeIssued(a)...)
		}},
		{http.MethodGet, "/user", nil},
		{http.MethodPost, "/logout", func(a *answer) []found {
			list := e.judgeEmpty(a, j)
			if !faults(list) { // what deletes no cookies may have been said by somebody else
				e.session = nil
			}
			return list
		}},
	} {
		q := request{method: step.method, path: e.cfg.Path + step.path, page: e.page}
		u := *e.url
		u.Path = q.path
		q.cookie = j.field(&u, e.page)
		if step.method == http.MethodPost {
			q.csrf = csrf
		}
		a, list := e.step(ctx, q)
		if len(list) == 0 && step.after != nil {
			list = step.after(a)
		} else if len(list) == 0 {
			for _, c := range a.cookies { // of a renewal on the way
				j.store(c, a.url, e.page)
			}
		}
		if faults(list) {
			return list
		}
	}
	return nil
}

// askWho asks several times who is signed in: a proxy may lead each connection to another node.
func (e *exam) askWho(ctx context.Context, j *jar) []found {
	u := *e.url
	u.Path = e.cfg.Path + "/session"
	var last *answer
	known := 0
	for range askNodes {
		a, list := e.step(ctx, request{path: u.Path, page: e.page, cookie: j.field(&u, e.page), fresh: true})
		if len(list) > 0 {
			return list
		}
		var body struct{ Authenticated bool }
		if json.Unmarshal(a.body, &body) == nil && body.Authenticated {
			known++
		} else {
			last = a
		}
	}
	switch known {
	case askNodes:
		return nil
	case 0:
		return []found{{kindLost, last.String() + " and that nobody is signed in, right after the sign-in"}}
	}
	return []found{{kindNodes, fmt.Sprintf("%s, asked %d times: %d times signed in, %d times not", last.what, askNodes, known, askNodes-known)}}
}

// judgeStep says why a step of the way is no success.
func judgeStep(a *answer) []found {
	switch {
	case a.status == http.StatusOK:
		return nil
	case a.code == "csrf_failed" && strings.Contains(a.detail, "missing"):
		return []found{{kindNoCSRF, a.String() + ": " + hideTokens(a.detail)}}
	case a.ours():
		return []found{{kindLost, a.String() + ": " + hideTokens(a.detail)}}
	case a.status == http.StatusBadGateway:
		return []found{{kindAnswerSize, a.String() + ", where a smaller answer came through"}}
	case a.status == http.StatusBadRequest || a.status == http.StatusRequestHeaderFieldsTooLarge || a.status == 494: // nginx' own
		return []found{{kindRequestSize, a.String() + ", and not by tokenjar"}}
	}
	return []found{{kindLost, a.String() + ", and not by tokenjar"}}
}

// judgeIssued compares the time at which an access token was made with ours.
func judgeIssued(a *answer) []found {
	for _, c := range a.cookies {
		if claims, ok := claimsOf(c.value); ok && claims.Type == "at+jwt" && claims.Issued > 0 {
			return judgeClock("iat of the access token", time.Unix(claims.Issued, 0), a)
		}
	}
	return nil
}

// judgeEmpty stores the deletions of a sign-out and looks at what the browser has left of ours.
func (e *exam) judgeEmpty(a *answer, j *jar) []found {
	for _, c := range a.cookies {
		if no := j.store(c, a.url, e.page); no.kind != "" && c.value == "" {
			return []found{{no.kind, a.what + ": Set-Cookie: " + c.line + ": " + no.why}}
		}
	}
	for _, left := range j.entries {
		if contains(e.ours(), left.name) {
			return []found{{kindStays, a.what + " leaves " + left.line}}
		}
	}
	return nil
}

// faults reports whether one of the findings is no note.
func faults(list []found) bool {
	for _, f := range list {
		if !kindOf(f.kind).Note {
			return true
		}
	}
	return false
}

// end ends the session that may live still, and reports whether none is left. The token goes in the body, which needs no cookie
// to arrive.
func (e *exam) end(ctx context.Context) bool {
	if e.session == nil {
		return true
	}
	if e.session.refresh == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	a, err := e.do(ctx, request{
		method: http.MethodPost, path: e.cfg.Path + "/token/blacklist", body: map[string]string{"refresh": e.session.refresh},
	})
	return err == nil && len(judgePost(a)) == 0
}
