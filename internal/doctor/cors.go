package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// A page of another origin: whether the cookies go with its requests at all, what it may read (Fetch standard, section 3.3) and
// whether it may write.

// checkSite asks whether a script of the page could have the cookies sent.
func (e *exam) checkSite(context.Context) ([]found, error) {
	if !e.crossOrigin() {
		return nil, &left{"the page is the server's own; --origin names another"}
	}
	return judgeSite(e.lines, e.url, e.page), nil
}

func judgeSite(lines []setCookie, u, page *url.URL) []found {
	if sameSite(u, page) {
		return nil
	}
	seen := originOf(page) + " and " + originOf(u) + " are different sites"
	for _, c := range lines {
		if c.value == "" && !c.crossSite() {
			return []found{{kindOtherSite, seen + ", and Set-Cookie: " + c.line}}
		}
	}
	return []found{{kindThirdParty, seen}}
}

// asked are the headers of a sign-in and of every other write, as browsers write them in a preflight.
var asked = []string{"content-type", "x-csrftoken"}

// checkCORS does what a browser does before and after a request of such a page.
func (e *exam) checkCORS(ctx context.Context) ([]found, error) {
	if !e.crossOrigin() {
		return nil, &left{"the page is the server's own; --origin names another"}
	}
	preflight, err := e.do(ctx, request{
		method: http.MethodOptions, path: e.cfg.Path + "/login", page: e.page, header: http.Header{
			"Access-Control-Request-Method": {http.MethodPost}, "Access-Control-Request-Headers": {strings.Join(asked, ",")},
		},
	})
	if err != nil {
		return nil, err
	}
	list := judgePreflight(preflight, originOf(e.page))
	if len(list) == 0 {
		a, err := e.do(ctx, request{path: e.cfg.Path + "/session", page: e.page})
		if err != nil {
			return nil, err
		}
		list = judgeShared(a, originOf(e.page))
	}
	a, err := e.do(ctx, request{method: http.MethodPost, path: e.cfg.Path + "/logout", page: e.page})
	if err != nil {
		return nil, err
	}
	return append(list, judgeTrusted(a, originOf(e.page))...), nil
}

func judgePreflight(a *answer, origin string) []found {
	if a.status < 200 || a.status > 299 {
		return []found{{kindPreflight, a.String()}}
	}
	if list := judgeAllowed(a, origin); len(list) > 0 {
		return list
	}
	for _, name := range asked {
		if !lists(a.header, "Access-Control-Allow-Headers", name) {
			return []found{{kindCORSHeaders, a.what + " asked for " + name + ": " + a.field("Access-Control-Allow-Headers")}}
		}
	}
	return nil
}

// judgeAllowed looks at the two headers without which a browser hides any answer.
func judgeAllowed(a *answer, origin string) []found {
	const allowOrigin, allowCredentials = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
	for _, name := range []string{allowOrigin, allowCredentials} {
		if values := a.header.Values(name); len(values) > 1 || len(values) == 1 && strings.Contains(values[0], ",") {
			return []found{{kindCORSTwice, a.what + ": " + a.field(name)}}
		}
	}
	switch {
	case a.header.Get(allowOrigin) != origin:
		return []found{{kindCORSOrigin, a.what + " from " + origin + ": " + a.field(allowOrigin)}}
	case a.header.Get(allowCredentials) != "true": // in this case alone (Fetch standard, section 4.9)
		return []found{{kindCredentials, a.what + " from " + origin + ": " + a.field(allowCredentials)}}
	}
	return nil
}

func judgeShared(a *answer, origin string) []found {
	list := judgeAllowed(a, origin)
	if len(list) == 0 && !lists(a.header, "Access-Control-Expose-Headers", problemHeader) {
		list = append(list, found{kindExposed, a.what + " from " + origin + ": " + a.field("Access-Control-Expose-Headers")})
	}
	return list
}

func judgeTrusted(a *answer, origin string) []found {
	if a.code == "origin_not_allowed" {
		return []found{{kindTrusted, a.String() + " to the Origin " + origin}}
	}
	return nil
}

// lists reports whether a header that is a list has an item. A star is none where there are credentials.
func lists(h http.Header, name, item string) bool {
	for _, value := range h.Values(name) {
		for each := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(trim(each), item) {
				return true
			}
		}
	}
	return false
}
