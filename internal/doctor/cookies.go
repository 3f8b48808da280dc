package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// What comes back: whether a POST gets through, and the Set-Cookie fields of its answer. A sign-out without cookies changes
// nothing, and its answer deletes each cookie with the name and the attributes that it is set with.

// checkPost sends such a sign-out, as a page of the server's own does.
func (e *exam) checkPost(ctx context.Context) ([]found, error) {
	a, err := e.do(ctx, request{method: http.MethodPost, path: e.cfg.Path + "/logout"})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil: // a moment ago a GET was answered: what resets or swallows this one sees that it is a POST
		return []found{{kindPost, unanswered(a, err)}}, nil
	}
	list := judgePost(a)
	if len(list) == 0 {
		e.lines, e.posted = a.cookies, true
	}
	return list, nil
}

func judgePost(a *answer) []found {
	switch {
	case a.status == http.StatusOK && !a.ours() && strings.HasPrefix(a.header.Get("Content-Type"), "application/json"):
		return nil
	case a.redirects():
		if to, err := a.url.Parse(a.header.Get("Location")); err == nil && sameButSlash(a.url, to) {
			return []found{{kindSlash, a.String()}}
		}
	case a.code == "origin_not_allowed" && (strings.Contains(a.detail, "foreign_origin") || strings.Contains(a.detail, "contradiction")):
		return []found{{kindPublicURL, a.String() + " to the Origin " + originOf(a.url)}}
	case a.code == "origin_not_allowed":
		return []found{{kindNoOrigin, a.String() + ": " + hideTokens(a.detail)}}
	case a.ours() && a.status >= 500:
		return []found{{kindNotReady, a.String()}}
	}
	return []found{{kindPost, a.String()}}
}

// checkSlash sends the same with a slash at the end, as some clients do.
func (e *exam) checkSlash(ctx context.Context) ([]found, error) {
	a, err := e.do(ctx, request{method: http.MethodPost, path: e.cfg.Path + "/logout/"})
	if err != nil {
		return nil, err
	}
	if a.redirects() {
		return []found{{kindSlash, a.String()}}, nil
	}
	return nil, nil
}

// checkCookies judges the fields of the answers so far.
func (e *exam) checkCookies(context.Context) ([]found, error) {
	list := judgeDeletions(e.lines, e.url)
	return append(list, judgeAdded(e.hello.cookies, e.ours())...), nil
}

// ours returns the names of tokenjar's cookies, as far as they are known.
func (e *exam) ours() []string { return namesOf(e.lines) }

// contains compares without case, as browsers compare prefixes: two names that differ by nothing else are one to most programs.
func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// judgeDeletions judges the fields of a sign-out. Some may be of scopes that cookies were once set with, so of each name it is
// enough that one has the path /.
func judgeDeletions(lines []setCookie, u *url.URL) []found {
	var names, rooted, readable []string
	var list []found
	for _, c := range lines {
		if c.value != "" {
			continue
		}
		if no := c.refused(u, u); no.kind != "" {
			list = append(list, found{no.kind, "Set-Cookie: " + c.line + ": " + no.why})
			continue
		}
		list = append(list, judgeAttributes(c, u)...)
		names = append(names, c.name)
		if c.path == "/" {
			rooted = append(rooted, c.name)
		}
		if bare := bareName(c.name); !c.httpOnly && !contains(readable, bare) {
			if readable = append(readable, bare); len(readable) == 2 { // scripts read one of the three
				list = append(list, found{kindFlags, "Set-Cookie: " + c.line + ", and " + hideTokens(readable[0]) + ": without HttpOnly"})
			}
		}
	}
	if len(names) > 1 && len(readable) == 0 {
		list = append(list, found{kindUnreadable, "HttpOnly is on each cookie: " + hideTokens(strings.Join(names, ", "))})
	}
	for _, c := range lines {
		if c.value == "" && contains(names, c.name) && !contains(rooted, c.name) {
			list = append(list, found{kindPath, "Set-Cookie: " + c.line})
		}
	}
	ours := namesOf(lines)
	if len(ours) == 0 {
		list = append(list, found{kindNoSetCookie, "a sign-out was answered without a Set-Cookie that deletes; tokenjar sends three"})
	}
	return append(list, judgeAdded(lines, ours)...)
}

// namesOf returns the names of tokenjar's cookies: a sign-out deletes them, and who else sets one gives it a value.
func namesOf(lines []setCookie) (names []string) {
	for _, c := range lines {
		if c.value == "" && !contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

func bareName(name string) string {
	for _, prefix := range []string{"__Host-", "__Secure-"} {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return name[len(prefix):]
		}
	}
	return name
}

// judgeAttributes says what is wrong with a cookie that browsers do take.
func judgeAttributes(c setCookie, u *url.URL) (list []found) {
	if !c.knownSameSite() {
		list = append(list, found{kindSameSite, "Set-Cookie: " + c.line + ": without SameSite, or with one that is none"})
	}
	if u.Scheme == "https" && !c.secure {
		list = append(list, found{kindFlags, "Set-Cookie: " + c.line + ": without Secure"})
	}
	return list
}

// judgeAdded looks for cookies that an answer sets where tokenjar sets none. One of its own names is more than a nuisance.
func judgeAdded(lines []setCookie, ours []string) (list []found) {
	for _, c := range lines {
		switch {
		case c.value == "":
		case contains(ours, c.name):
			list = append(list, found{kindTwice, "Set-Cookie: " + c.line + " in an answer in which tokenjar sets none"})
		default:
			list = append(list, found{kindAdded, "Set-Cookie: " + c.line})
		}
	}
	return list
}

// judgeGrant judges the fields of an answer that grants a session, and stores in the jar what a browser would.
func judgeGrant(a *answer, j *jar, page *url.URL, ours []string) (list []found) {
	set := map[string]bool{}
	for _, c := range a.cookies {
		seen := "Set-Cookie: " + c.line
		no := j.store(c, a.url, page)
		if c.value != "" && !contains(ours, c.name) { // whether browsers take it is somebody else's concern
			list = append(list, found{kindAdded, a.what + ": " + seen})
			continue
		}
		if no.kind != "" {
			list = append(list, found{no.kind, a.what + ": " + seen + ": " + no.why})
			continue
		}
		_, isToken := claimsOf(c.value)
		switch {
		case c.deletes || c.value == "":
			continue
		case set[c.name]:
			list = append(list, found{kindTwice, a.what + ": " + seen + ", for the second time in one answer"})
		case c.path != "/":
			list = append(list, found{kindPath, a.what + ": " + seen})
		case isToken && !c.httpOnly:
			list = append(list, found{kindFlags, a.what + ": " + seen + ": without HttpOnly"})
		case !isToken && c.httpOnly:
			list = append(list, found{kindUnreadable, a.what + ": " + seen})
		}
		set[c.name] = true
		list = append(list, judgeAttributes(c, a.url)...)
	}
	if len(set) == 0 && !faults(list) {
		list = append(list, found{kindNoSetCookie, fmt.Sprintf("%s with no Set-Cookie of a session", a)})
	}
	return list
}

// A claimSet is what a token says of itself. Reading that is fair: it is our own client's.
type claimSet struct {
	Type   string `json:"-"`
	Issued int64  `json:"iat"`
}

// claimsOf reads a compact token without verifying it.
func claimsOf(text string) (c claimSet, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return claimSet{}, false
	}
	var head struct {
		Type string `json:"typ"`
	}
	for i, into := range []any{&head, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return claimSet{}, false
		}
	}
	c.Type = head.Type
	return c, true
}
