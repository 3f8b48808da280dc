package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Names of the security schemes in the document.
const (
	AccessCookieScheme  = "accessCookie"
	RefreshCookieScheme = "refreshCookie"
	CSRFTokenScheme     = "csrfToken"
	BearerScheme        = "bearer"
)

// SecuritySchemes returns how a request can say who it is from, by the names above: for components.securitySchemes of
// the OpenAPI document of a program that embeds us. Names of cookies are those of this very configuration. The map is
// the caller's; as JSON it is what an OpenAPI document holds.
func (a *API) SecuritySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		AccessCookieScheme: {Type: "apiKey", In: "cookie", Name: a.guard.AccessCookieName(),
			Description: "Access token in an HttpOnly cookie"},
		RefreshCookieScheme: {Type: "apiKey", In: "cookie", Name: a.guard.RefreshCookieName(),
			Description: "Refresh token in an HttpOnly cookie. Where a session is renewed on the way it is enough"},
		CSRFTokenScheme: {Type: "apiKey", In: "header", Name: "X-CSRFToken",
			Description: "The value of the CSRF cookie, with every unsafe request that a cookie authenticates"},
		BearerScheme: {Type: "http", Scheme: "bearer", BearerFormat: "JWT",
			Description: "Access token, for clients without cookies"},
	}
}

// SignedIn returns the security requirement of an operation behind [session.Guard.Required]: one of the cookies, with
// the CSRF token where the method is unsafe, or a bearer. It goes into the operation's "security".
func (*API) SignedIn(method string) []map[string][]string { return anyToken.requirement(method) }

// A credentialKind is a set of what may authenticate a request.
type credentialKind int

const (
	accessCookie credentialKind = 1 << iota
	refreshCookie
	bearer
	nothing
	anyToken = accessCookie | refreshCookie | bearer
)

// shows says by what an operation's request may be authenticated.
func shows(kind credentialKind) func(*operation) {
	return func(op *operation) { op.shown = kind }
}

func (kind credentialKind) requirement(method string) []map[string][]string {
	var list []map[string][]string
	for _, row := range []struct {
		kind   credentialKind
		scheme string
	}{{accessCookie, AccessCookieScheme}, {refreshCookie, RefreshCookieScheme}, {bearer, BearerScheme}} {
		if kind&row.kind == 0 {
			continue
		}
		one := map[string][]string{row.scheme: {}}
		if row.kind != bearer && method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions {
			one[CSRFTokenScheme] = []string{}
		}
		list = append(list, one)
	}
	if kind&nothing != 0 {
		list = append(list, map[string][]string{})
	}
	return list
}
