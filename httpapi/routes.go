package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tokenjar/tokenjar/problem"
)

// register lists all operations: method, path, how a request is judged before it runs, what it may refuse, and what
// runs.
func (a *API) register() {
	at := a.prefix
	wait := usual(problem.RateLimited)

	a.tag("sign-in", "Sign in, stay in, sign out")
	add(a, a.signIn, post(at+"/login", "login", "Sign in", body, refuses(readsBody, readsHeader, forgery, triesLogin), setsCookies(200), mayClear(401)), a.login)
	add(a, a.spend, post(at+"/logout", "logout", "Sign out", takesAll, refuses(readsBody, readsHeader, forgery, asksStore), shows(anyToken|nothing), setsCookies(200)), a.logout)
	add(a, a.spend, post(at+"/token/refresh", "refresh", "Renew the session", bodyWithToken("refresh"), passive, refuses(readsBody, readsHeader, forgery, noRefresh, wait, makesTokens), shows(refreshCookie|nothing), maySet(200), mayClear(401)), a.refresh)

	a.tag("tokens", "For clients that keep their tokens themselves")
	add(a, a.issue, post(at+"/token", "token", "Sign in for tokens, without cookies", body, refuses(readsBody, usual(problem.OriginNotAllowed), triesLogin)), a.token)
	add(a, a.check, post(at+"/token/verify", "verify", "Check a token", bodyWithToken("token"), refuses(readsBody, readsHeader, forgery, noUser, asksStore), shows(anyToken|nothing)), a.verify)
	add(a, a.spend, post(at+"/token/blacklist", "blacklist", "End the session of a token", bodyWithToken("refresh"), refuses(readsBody, readsHeader, forgery, usual(problem.RefreshMissing), asksStore), shows(refreshCookie|nothing), mayClear(200)), a.blacklist)

	a.tag("user", "Who is signed in")
	add(a, a.open, get(at+"/session", "session", "Tell whether somebody is signed in", refuses(readsHeader, asksStore), shows(anyToken|nothing)), a.session)
	add(a, a.open, get(at+"/csrf", "csrf", "Get the CSRF token", refuses(readsHeader, noUser, asksStore), shows(accessCookie|refreshCookie), setsCookies(200)), a.csrf)
	add(a, a.member, get(at+"/user", "user", "Show the signed-in user", ofMember), a.user)
	add(a, a.member, put(at+"/user", "replaceUser", "Change all of the signed-in user's profile", body, ofMember, refuses(usual(problem.NotFound))), a.replaceUser)
	add(a, a.member, patch(at+"/user", "updateUser", "Change some of the signed-in user's profile", optionalBody, ofMember, refuses(usual(problem.NotFound))), a.updateUser)
	if a.service.ChangesPasswords() {
		add(a, a.member, post(at+"/password/change", "changePassword", "Change the password; all other sessions end", body, ofMember, refuses([]refusal{wrongPast}, usual(problem.Conflict), wait), maySet(200)), a.changePassword)
	}

	a.tag("sessions", "Where the user is signed in")
	add(a, a.member, get(at+"/sessions", "sessions", "List own sessions", ofMember), a.sessions)
	add(a, a.member, remove(at+"/sessions", "endOtherSessions", "End all other sessions", ofMember), a.endOtherSessions)
	add(a, a.member, patch(at+"/sessions/{id}", "renameSession", "Name a session", body, ofMember, refuses(notThere)), a.renameSession)
	add(a, a.member, remove(at+"/sessions/{id}", "endSession", "End a session", ofMember, refuses(notThere)), a.endSession)

	a.tag("machines", "For machines, at the root")
	add(a, a.public, get("/.well-known/jwks.json", "jwks", "Public keys that verify access tokens"), a.jwks)
	add(a, a.public, get("/healthz", "healthz", "Tell whether the process runs"), a.healthz)
	add(a, a.public, get("/readyz", "readyz", "Tell whether requests should be sent here", refuses(asksStore)), a.readyz)
	if a.docs {
		a.serve(get("/openapi.json", "openapi", "This document"), "application/json", a.serveDocument)
		a.serve(get("/docs", "docs", "This document for people"), "text/html", docsFile("index.html"))
		a.serve(get("/docs/docs.js", "docsScript", "The script of that page"), "text/javascript", docsFile("docs.js"))
		a.serve(get("/docs/docs.css", "docsStyle", "The style of that page"), "text/css", docsFile("docs.css"))
	}
}

// An operation is huma's, with what our gates and the document need to know.
type operation struct {
	huma.Operation
	body     bool           // it reads a JSON body
	optional bool           // and can do without
	token    string         // the member of the body that may bring a token
	members  []string       // that the body may have
	refusals []refusal      // beside those that are the same everywhere
	shown    credentialKind // by what a request may be authenticated
	takesAll bool           // the query parameter "all"
	cookies  map[int]bool   // statuses that set or clear cookies: true for always
	renews   bool           // the session is renewed on the way, so every answer may set cookies
	passive  bool           // X-Passive is looked at
}

func body(op *operation) { op.body = true }

func optionalBody(op *operation) { op.body, op.optional = true, true }

func bodyWithToken(member string) func(*operation) {
	return func(op *operation) { op.body, op.optional, op.token = true, true, member }
}

// ofMember is an operation for signed-in users, as the gate member judges it.
func ofMember(op *operation) {
	op.shown, op.renews, op.passive = anyToken, true, true
	refuses(asksMember)(op)
	if op.Method != http.MethodGet {
		refuses(forgery)(op)
	}
	if op.body {
		refuses(readsBody)(op)
	}
}

func passive(op *operation) { op.passive = true }

func takesAll(op *operation) { op.takesAll = true }

// setsCookies, maySet and mayClear say on which answers there are cookies.
func setsCookies(status int) func(*operation) { return withCookies(status, true) }
func maySet(status int) func(*operation)      { return withCookies(status, false) }
func mayClear(status int) func(*operation)    { return withCookies(status, false) }

func withCookies(status int, always bool) func(*operation) {
	return func(op *operation) {
		if op.cookies == nil {
			op.cookies = map[int]bool{}
		}
		op.cookies[status] = always
	}
}

func post(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodPost, path, id, summary, more)
}

func get(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodGet, path, id, summary, more)
}

func put(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodPut, path, id, summary, more)
}

func patch(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodPatch, path, id, summary, more)
}

func remove(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodDelete, path, id, summary, more)
}

func newOperation(method, path, id, summary string, more []func(*operation)) operation {
	op := operation{Operation: huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary,
		DefaultStatus: http.StatusOK,
		MaxBodyBytes:  maxBody,
		// Bodies have been read and their limits judged before huma sees them.
		BodyReadTimeout: -1,
	}}
	for _, set := range more {
		set(&op)
	}
	return op
}
