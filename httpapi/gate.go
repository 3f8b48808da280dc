package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/strictjson"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/session"
)

// The gates. Each is what stands before one kind of operation, in the order of judgement: origin, credentials, CSRF
// token, renewal; then the body.
//
//	public  nobody is asked for anything
//	open    a safe request that tells who is signed in and changes nothing: never renewed, never 401 for it
//	member  a signed-in user, renewed on the way if need be
//	signIn  login: the origin always; a stale cookie never hinders
//	issue   token: the origin always, and no cookie is looked at
//	spend   refresh, sign-out and blacklist: a token in the body, which no browser adds by itself, or a cookie, and then both CSRF
//	        rules, the origin's even without a cookie
//	check   verify: the same, but a bearer alone is no ambient credential either

// A gate wraps the handler of one operation.
type gate func(op operation, next http.Handler) http.Handler

const (
	maxBody  = 64 << 10 // bytes
	maxDepth = 16       // of nested JSON
)

// A visit is what the gates have found out about a request, for its operation.
type visit struct {
	request   *http.Request
	writer    http.ResponseWriter // the guard's, for who sets a grant's cookies
	shown     session.Shown
	bodyToken bool // the body brings the token; cookies are neither judged nor touched
	cookies   []*http.Cookie
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit { return ctx.Value(visitKey{}).(*visit) }

// add registers an operation behind its gate. Whatever error it returns becomes a problem document.
func add[I, O any](a *API, g gate, op operation, run func(context.Context, *I) (*O, error)) {
	a.describe(&op)
	op.members = bodyMembers(reflect.TypeFor[I]())
	huma.Register(a.huma, op.Operation, func(ctx context.Context, in *I) (*O, error) {
		out, err := run(ctx, in)
		if err != nil {
			return nil, &failure{err}
		}
		return out, nil
	})
	a.operations = append(a.operations, op)
	a.routes.wrap(op.Operation, func(next http.Handler) http.Handler { return g(op, next) })
}

// public asks nobody for anything.
func (a *API) public(_ operation, next http.Handler) http.Handler { return next }

// open reads what a request bears and leaves the rest to the operation.
func (a *API) open(op operation, next http.Handler) http.Handler {
	return private(func(w http.ResponseWriter, r *http.Request) {
		shown, err := a.guard.Read(r)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		enter(w, r, &visit{shown: shown}, nil, next)
	})
}

// member lets signed-in users through.
func (a *API) member(op operation, next http.Handler) http.Handler {
	guarded := a.guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body *[]byte
		if op.body {
			data, _, err := op.readBody(w, r)
			if err != nil {
				problem.Write(w, r, err)
				return
			}
			body = &data
		}
		enter(w, r, &visit{}, body, next)
	}))
	return private(guarded.ServeHTTP)
}

// signIn refuses pages of other origins, and a caller without any sign of a browser whose cookie jar holds a living
// session but who cannot show its CSRF token.
func (a *API) signIn(op operation, next http.Handler) http.Handler {
	return private(func(w http.ResponseWriter, r *http.Request) {
		shown, readErr := a.guard.Read(r)
		err := a.guard.CheckOrigin(r)
		if err == nil {
			err = readErr
		}
		if err == nil && !csrf.HasBrowserSignal(r.Header) {
			err = a.checkLiveCSRF(r, shown)
		}
		op.enterWithBody(w, r, &visit{shown: shown}, err, next)
	})
}

// enterWithBody passes a request on with its body, unless it has been refused already.
func (op operation) enterWithBody(w http.ResponseWriter, r *http.Request, v *visit, refused error, next http.Handler) {
	if refused == nil {
		refused = op.refuseQuery(r)
	}
	var body []byte
	if refused == nil {
		body, _, refused = op.readBody(w, r)
	}
	if refused != nil {
		problem.Write(w, r, refused)
		return
	}
	enter(w, r, v, &body, next)
}

// issue refuses pages of other origins, and asks for nothing else.
//
// Nothing is set in the browser, so no page can sign its visitor in as somebody else by this, and no cookie counts, so
// there is no session whose CSRF token could be wanted. But a page of another site could have its visitors' browsers try
// passwords from their addresses, and one that CORS lets read would get the tokens: CORS lets read, the origin rule lets
// write. Programs send neither Origin nor Sec-Fetch-Site and pass.
func (a *API) issue(op operation, next http.Handler) http.Handler {
	return private(func(w http.ResponseWriter, r *http.Request) {
		op.enterWithBody(w, r, &visit{}, a.guard.CheckOrigin(r), next)
	})
}

// spend asks for the origin unless the body brings the token.
func (a *API) spend(op operation, next http.Handler) http.Handler { return a.tokenGate(op, true, next) }

// check asks for the origin only when a cookie could be what counts.
func (a *API) check(op operation, next http.Handler) http.Handler {
	return a.tokenGate(op, false, next)
}

// tokenGate looks into the body first: only that tells whether the origin matters.
func (a *API) tokenGate(op operation, always bool, next http.Handler) http.Handler {
	return private(func(w http.ResponseWriter, r *http.Request) {
		body, members, bodyErr := op.readBody(w, r)
		shown, readErr := a.guard.Read(r)
		v := &visit{shown: shown, bodyToken: op.hasToken(members)}
		var err error
		if !v.bodyToken && (always || shown.AnyCookie) {
			err = a.guard.CheckOrigin(r)
		}
		for _, found := range []error{readErr, bodyErr, op.refuseQuery(r)} {
			if err == nil {
				err = found
			}
		}
		if err == nil && !op.body && len(members) > 0 {
			err = problem.New(problem.ValidationFailed).WithDetail("This takes no body.")
		}
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		enter(w, r, v, &body, next)
	})
}

// checkLiveCSRF asks for the CSRF token of a session that the cookies name and that is alive, if there is one. Each
// cookie is looked at alone, so that one tossed in beside it cannot hide a session. The cookie of a session that is over
// is no session cookie.
func (a *API) checkLiveCSRF(r *http.Request, shown session.Shown) error {
	var live []tokenjar.SignedSession
	for _, raw := range shown.Access {
		if id, err := a.service.Authenticate(raw); err == nil {
			live = append(live, tokenjar.SignedSession{SessionID: id.SessionID, UserID: id.UserID})
		}
	}
	for _, raw := range shown.Refresh {
		state, err := a.service.Inspect(r.Context(), raw)
		switch {
		case err == nil:
			live = append(live, tokenjar.SignedSession{SessionID: state.Session.ID, UserID: state.User.ID})
		case problem.From(err).Status != http.StatusUnauthorized:
			return err // nobody can tell whether it is alive
		}
	}
	return a.checkAnyCSRF(r, live)
}

// checkAnyCSRF wants the CSRF token of one of the live sessions that the cookies name.
func (a *API) checkAnyCSRF(r *http.Request, live []tokenjar.SignedSession) error {
	var refused error
	for _, each := range live {
		refused = a.guard.CheckCSRFOf(r, each.SessionID)
		if refused == nil {
			return nil
		}
	}
	return refused
}

// private marks an answer as nobody's to store, before anything can be written.
func private(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Add("Vary", "Cookie, Authorization, Origin")
		h(w, r)
	})
}

// enter passes a request on to its operation, with the visit in its context and the body as it was read.
func enter(w http.ResponseWriter, r *http.Request, v *visit, body *[]byte, next http.Handler) {
	r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
	v.request, v.writer = r, w
	if body != nil {
		data := *body
		if len(data) == 0 {
			data = []byte("{}") // nothing and an empty object are the same; required members are still missed
		}
		r.Body = io.NopCloser(bytes.NewReader(data))
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = int64(len(data))
	}
	next.ServeHTTP(w, r)
}

// bodyMembers returns the names of the members that an operation's body may have.
func bodyMembers(input reflect.Type) []string {
	body, ok := input.FieldByName("Body")
	if !ok {
		return nil
	}
	var names []string
	for field := range body.Type.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// readBody reads a JSON object within limits and strictly: what two readers could understand differently is refused.
// An empty body is fine here. Which members there must be, and of what type, is left to the schema.
func (op operation) readBody(w http.ResponseWriter, r *http.Request) ([]byte, map[string]any, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, nil, problem.New(problem.BodyTooLarge).
			WithErrors(problem.Field{Code: "too_long", Detail: fmt.Sprintf("The body has more than %d bytes.", maxBody)})
	case err != nil:
		return nil, nil, malformed("The body ended early or could not be read.")
	case len(data) == 0:
		return nil, nil, nil
	}
	if err := checkMediaType(r.Header); err != nil {
		return nil, nil, err
	}
	if err := strictjson.Check(data, maxDepth); err != nil {
		return nil, nil, notStrict(data, err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return nil, nil, problem.New(problem.ValidationFailed).
			WithErrors(problem.Field{Code: "type", Detail: "The body must be a JSON object."})
	}
	return data, members, op.checkMembers(members)
}

// checkMembers refuses what the schema's reader is generous with: a name in another case, which it would take for the
// member, and null, which it would take for a member that is not there.
func (op operation) checkMembers(members map[string]any) error {
	var bad []problem.Field
	for name, value := range members {
		other := slices.ContainsFunc(op.members, func(known string) bool {
			return known != name && strings.EqualFold(known, name)
		})
		switch {
		case other && !slices.Contains(op.members, name):
			bad = append(bad, problem.Field{Field: name, Code: "unknown", Detail: "There is no such member."})
		case value == nil && slices.Contains(op.members, name):
			bad = append(bad, problem.Field{Field: name, Code: "type", Detail: "This cannot be null."})
		}
	}
	if bad == nil {
		return nil
	}
	slices.SortFunc(bad, func(a, b problem.Field) int { return strings.Compare(a.Field, b.Field) })
	bad = bad[:min(len(bad), maxFields)]
	return problem.New(problem.ValidationFailed).WithErrors(bad...)
}

func malformed(detail string) error {
	return problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest).
		WithErrors(problem.Field{Code: "malformed", Detail: detail})
}

// notStrict says what is wrong with a body that is no strict JSON, and names the member if it is one that stands twice.
func notStrict(data []byte, err error) error {
	var syntax *strictjson.SyntaxError
	if !errors.As(err, &syntax) || syntax.Reason != strictjson.DuplicateMember {
		return malformed("The body is not strict JSON: " + strings.TrimPrefix(err.Error(), "strict json: ") + ".")
	}
	var name string
	if err := json.NewDecoder(bytes.NewReader(data[syntax.Offset:])).Decode(&name); err != nil {
		return malformed("A member stands twice in the body.")
	}
	return problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest).
		WithErrors(problem.Field{Field: safeName(name), Code: "duplicate", Detail: "This member stands twice."})
}

// checkMediaType wants application/json, in UTF-8 if it says so, without content encoding. A form of another site can
// send none of this without asking first (OWASP ASVS 5.0, 3.5.2).
func checkMediaType(h http.Header) error {
	if len(h["Content-Encoding"]) > 0 {
		return problem.New(problem.UnsupportedMediaType).WithErrors(problem.Field{
			Field: "Content-Encoding", Code: "not_allowed", Detail: "Send the body as it is."})
	}
	refused := problem.New(problem.UnsupportedMediaType).WithErrors(problem.Field{
		Field: "Content-Type", Code: "invalid", Detail: "Send application/json, with charset=utf-8 or no parameter, once."})
	if len(h["Content-Type"]) != 1 {
		return refused
	}
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return refused
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return refused
		}
	}
	return nil
}

// refuseQuery keeps credentials out of URLs, which are logged and kept in histories: these operations know no parameter,
// but sign-out, which knows "all".
func (op operation) refuseQuery(r *http.Request) error {
	query := r.URL.RawQuery
	refusal := problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest)
	switch {
	case query == "":
		return nil
	case !op.takesAll:
		return refusal.WithDetail("This takes no query parameters. Credentials belong in the body.")
	case query == "all=true", query == "all=false":
		return nil
	}
	return refusal.WithDetail("The one parameter is all, which is true or false.").
		WithErrors(problem.Field{Field: "all", Code: "invalid", Detail: "Write all=true or all=false, and nothing else."})
}

// hasToken reports whether a body brings a token of its own, under the member this operation takes it from.
func (op operation) hasToken(members map[string]any) bool {
	s, ok := members[op.token].(string)
	return op.token != "" && ok && s != ""
}
