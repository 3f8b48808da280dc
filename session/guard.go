package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/contextkey"
	"github.com/tokenjar/tokenjar/internal/request"
	"github.com/tokenjar/tokenjar/problem"
)

// Config is what a [Guard] is made of. Service and PublicURL are required.
type Config struct {
	// Service judges tokens and renews sessions.
	Service *tokenjar.Service
	// PublicURL is the address under which browsers know us. It decides names and attributes of the cookies and which
	// origin is our own: never the request.
	PublicURL string
	// Cookies decides names and attributes. Default: those of [cookie.Config] for PublicURL.
	Cookies *cookie.Policy
	// TrustedOrigins may send unsafe requests beside our own origin: exact origins, as "https://app.example.com".
	TrustedOrigins []string
	// NoRenewal turns transparent renewal off: an access token that has run out is 401, and the client refreshes.
	NoRenewal bool
	// RenewalExclude are path prefixes, in whole segments, on which no session is renewed.
	RenewalExclude []string
	// BearerFirst lets a bearer that verifies win over cookies: whoever's they are, they are neither judged nor renewed,
	// and since no page can be made to send it, no CSRF rule applies. A bearer that does not verify changes nothing.
	BearerFirst bool
	// ClientIP tells a request's client address. Default: the peer's. What it reads from headers must come from a
	// proxy that is trusted.
	ClientIP func(*http.Request) string
	// Now is the clock by which cookies are dated. Default: time.Now.
	Now func() time.Time
}

// A Guard authenticates requests. It is safe for concurrent use.
type Guard struct {
	service     *tokenjar.Service
	cookies     *cookie.Policy
	origins     *csrf.Origins
	tokens      *atomic.Pointer[keyedTokens]
	check       tokenjar.SessionCheck // stricter than the service's; empty: the service's
	policy      Policy
	own         string
	bearerFirst bool
	renew       func(path string) bool
	client      func(*http.Request) tokenjar.Client
	now         func() time.Time
}

// keyedTokens are CSRF tokens under the service's keys at one time.
type keyedTokens struct {
	keys [][]byte
	*csrf.Tokens
}

// New checks the configuration; all mistakes are reported together.
func New(cfg Config) (*Guard, error) {
	var errs []error
	if cfg.Service == nil {
		return nil, errors.New("session: Config.Service is required")
	}
	g := &Guard{service: cfg.Service, cookies: cfg.Cookies, bearerFirst: cfg.BearerFirst, now: cfg.Now,
		tokens: new(atomic.Pointer[keyedTokens])}
	if g.now == nil {
		g.now = time.Now
	}
	if g.cookies == nil {
		policy, err := cookie.New(cookie.Config{PublicURL: cfg.PublicURL})
		errs = append(errs, err)
		g.cookies = policy
	}
	u, err := url.Parse(cfg.PublicURL)
	if err == nil {
		g.own, err = csrf.SerializeOrigin(u)
	}
	errs = append(errs, err)
	g.origins, err = csrf.NewOrigins(cfg.TrustedOrigins)
	errs = append(errs, err)
	if cfg.Service.Timing().Grace == 0 && !cfg.NoRenewal {
		errs = append(errs, errors.New("session: Config.NoRenewal must be set when the service has no grace: "+
			"of two parallel requests that are renewed, the second would end the session"))
	}
	errs = append(errs, g.followKeys(cfg.Service.CSRFKeys()))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	g.renew = func(path string) bool {
		if cfg.NoRenewal {
			return false
		}
		for _, prefix := range cfg.RenewalExclude {
			prefix = strings.TrimSuffix(prefix, "/")
			if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
				return false
			}
		}
		return true
	}
	address := cfg.ClientIP
	if address == nil {
		address = peerAddress
	}
	g.client = func(r *http.Request) tokenjar.Client {
		return tokenjar.Client{IP: address(r), UserAgent: r.UserAgent()}
	}
	return g, nil
}

// Stricter returns a guard for routes whose sessions are checked harder than those of others: by
// [tokenjar.CheckDatabase], a session that ended, or a user who was disabled or got other roles, on any node is noticed at
// once, for a read of two rows on each request. All else is as g does it. A check that is not stricter than that of the
// service is an error.
func (g *Guard) Stricter(check tokenjar.SessionCheck) (*Guard, error) {
	if than := g.service.SessionCheck(); !check.Stricter(than) {
		return nil, fmt.Errorf("session: %q is not a stricter check of sessions than %q, which holds on every route", check, than)
	}
	stricter := *g
	stricter.check = check
	return &stricter, nil
}

// followKeys takes the keys of CSRF tokens from the service, which may have got another secret.
func (g *Guard) followKeys(keys [][]byte) error {
	tokens, err := csrf.NewTokens(keys[0], keys[1:]...)
	if err == nil {
		g.tokens.Store(&keyedTokens{keys, tokens})
	}
	return err
}

// csrfTokens returns rule 2 under the keys of now.
func (g *Guard) csrfTokens() *csrf.Tokens {
	keys := g.service.CSRFKeys()
	if &keys[0] != &g.tokens.Load().keys[0] {
		g.followKeys(keys) // derived like the first ones: it cannot fail, and if it did, the old keys would do
	}
	return g.tokens.Load().Tokens
}

// peerAddress is the address at the other end of the connection.
func peerAddress(r *http.Request) string {
	host, _, ok := cutLast(r.RemoteAddr, ':')
	if !ok {
		return r.RemoteAddr
	}
	return strings.Trim(host, "[]")
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// Service returns the service the guard asks.
func (g *Guard) Service() *tokenjar.Service { return g.service }

// Client returns what is known of who sends a request.
func (g *Guard) Client(r *http.Request) tokenjar.Client { return g.client(r) }

// Required lets a request through that speaks for somebody; [tokenjar.IdentityFromContext] tells for whom. Others get
// a problem document with 401, 403 or 503.
func (g *Guard) Required(next http.Handler) http.Handler {
	return g.Protect(next, Policy{})
}

// Optional lets a request through also when it speaks for nobody: with a bad credential it is anonymous. An unsafe
// request that a cookie authenticates still needs the origin and the CSRF token, and a store that does not answer is
// still 503, since nobody can be told to be anonymous on its account. A WebSocket handshake whose session only needs a
// refresh is 401: it would be anonymous for as long as it is open.
func (g *Guard) Optional(next http.Handler) http.Handler {
	return g.Protect(next, Policy{Optional: true})
}

// A Policy says which requests [Guard.Protect] lets through. The zero Policy is that of [Guard.Required].
type Policy struct {
	// Optional lets a request through that speaks for nobody: see [Guard.Optional].
	Optional bool
	// Credentials says what a request may be authenticated by. Default: cookie and bearer.
	Credentials Credentials
	// InsecureSkipCSRF lets any page of any site make a signed-in browser send any request. A WebSocket handshake still
	// needs its origin.
	InsecureSkipCSRF bool
	// RenewBefore renews a session as long before the end of its access token, for routes from which a token with that end is
	// sent on: a service whose clock is ahead, or that reads a long body first, would find it expired. At most a quarter of
	// the life of access tokens. Default: at its end.
	RenewBefore time.Duration
	// Refuse answers a request that is refused. Default: problem.Write.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
}

// Credentials are what a request may be authenticated by. What is not among them is neither judged nor renewed: for the
// route it is not there.
type Credentials int

// The sets of credentials.
const (
	CookieOrBearer Credentials = iota
	CookieOnly
	BearerOnly
)

// Protect lets the requests through that a policy allows.
func (g *Guard) Protect(next http.Handler, p Policy) http.Handler {
	refuse := p.Refuse
	if refuse == nil {
		refuse = problem.Write
	}
	own := *g
	own.policy = p
	return own.protect(next, refuse)
}

func (g *Guard) protect(next http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := newGuarded(w)
		defer a.Finish()
		id, err := g.recognize(r)
		if err == errNotPlain {
			r = g.withLogger(r)
			id, _, err = g.authenticate(a, r)
			if err != nil && g.policy.Optional && isAnonymous(err) && !isRefreshable(err) {
				id, err = tokenjar.Identity{}, nil
			}
		}
		switch {
		case err != nil:
			refuse(a, g.withLogger(r), err)
		case id.UserID != "":
			next.ServeHTTP(a, g.introduce(a, r, id))
		default:
			next.ServeHTTP(a, r)
		}
	})
}

// Identify returns who a request speaks for, as [Guard.Required] would find out, but renews nothing and costs an
// ordinary request no allocation. It is for handlers that are not wrapped and do not set our cookies. The error is for
// package problem; for a session that a renewal would continue it is a 401 that asks the client to refresh.
//
// What Required does to the answer is left to the caller: it depends on Cookie and Authorization and is no shared
// cache's to keep, see [ProtectCaches].
func (g *Guard) Identify(r *http.Request) (tokenjar.Identity, error) {
	id, err := g.recognize(r)
	if err != errNotPlain {
		return id, err
	}
	cred, err := g.judgeAll(r)
	switch {
	case err != nil:
		return tokenjar.Identity{}, err
	case cred.NeedsRenewal():
		return tokenjar.Identity{}, cred.Reason
	}
	return cred.Identity, nil
}

// errNotPlain says that a request must be judged the long way.
var errNotPlain = errors.New("session: not recognized")

// recognize judges the ordinary request in the ordinary order: no bearer, one access cookie, verified before and good,
// and beside it at most a refresh cookie of the same user. For any other it returns errNotPlain and has judged nothing
// but perhaps the origin, which is judged alike. It must say what the long way says.
func (g *Guard) recognize(r *http.Request) (tokenjar.Identity, error) {
	if len(r.Header["Authorization"]) > 0 || g.check != "" || g.policy.Credentials == BearerOnly {
		return tokenjar.Identity{}, errNotPlain
	}
	access, refresh, ok := g.cookies.ReadPlain(r.Header)
	if !ok {
		return tokenjar.Identity{}, errNotPlain
	}
	if err := g.checkOrigin(r); err != nil {
		return tokenjar.Identity{}, err
	}
	id, ok := g.service.Recognize(access, refresh)
	if !ok || refresh != "" && g.endsSoon(id) {
		return tokenjar.Identity{}, errNotPlain
	}
	if !request.IsSafe(r.Method) && !g.policy.InsecureSkipCSRF {
		if err := g.csrfTokens().Check(r.Header, id.SessionID); err != nil {
			return tokenjar.Identity{}, err
		}
	}
	return id, nil
}

// authenticate judges a request the long way, and renews its session if need be. It also reports whether a cookie says who
// it is.
func (g *Guard) authenticate(w http.ResponseWriter, r *http.Request) (id tokenjar.Identity, byCookie bool, err error) {
	cred, err := g.admit(r)
	early := err == nil && g.renewsEarly(r, cred)
	if err != nil || !cred.NeedsRenewal() && !early {
		return cred.Identity, cred.ByCookie(), err
	}
	grant, err := g.Renew(r, cred)
	if early && err != nil && problem.From(err).Status != http.StatusUnauthorized {
		return cred.Identity, true, nil // the access token is still good, and this request needs nothing else
	}
	if err == nil && g.check != "" {
		// What the service keeps of a rotation may be older than what the rows say.
		err = g.service.CheckSessionBy(r.Context(), grant.Identity(), g.check)
	}
	if err == nil {
		err = g.SetGrant(w, grant)
	}
	if err != nil {
		return tokenjar.Identity{}, false, err
	}
	return grant.Identity(), true, nil
}

// endsSoon reports whether an access token ends so soon that the policy renews it.
func (g *Guard) endsSoon(id tokenjar.Identity) bool {
	return g.policy.RenewBefore > 0 && id.ExpiresAt.Sub(g.now()) < g.renewBefore()
}

func (g *Guard) renewBefore() time.Duration {
	return min(g.policy.RenewBefore, g.service.AccessLifetime()/4)
}

// renewsEarly reports whether a session is renewed although its access token is good: that ends soon, and the next one will
// not end as soon with the session itself.
func (g *Guard) renewsEarly(r *http.Request, cred Credential) bool {
	return cred.RefreshToken != "" && cred.ByCookie() && g.endsSoon(cred.Identity) && cred.Refresh.SessionID == cred.Identity.SessionID &&
		cred.Refresh.ExpiresAt.Sub(cred.Identity.ExpiresAt) >= g.renewBefore() && !request.IsHandshake(r.Header) && g.renew(r.URL.Path)
}

// introduce puts who a request speaks for into its context, which is part of the answer: one allocation less.
func (g *Guard) introduce(a *guarded, r *http.Request, id tokenjar.Identity) *http.Request {
	a.context = requestContext{Context: r.Context(), identity: id}
	if !tokenjar.HasLogger(a.context.Context) {
		a.context.logger = g.service.Logger()
	}
	return r.WithContext(&a.context)
}

// A requestContext carries the identity, and the logger unless a server around us has given the request one.
type requestContext struct {
	context.Context
	identity tokenjar.Identity
	logger   *slog.Logger
}

// String keeps the token out of what is printed: package fmt would show the fields.
func (c *requestContext) String() string { return fmt.Sprint(c.Context, ".WithIdentity") }

// Value implements [context.Context].
func (c *requestContext) Value(key any) any {
	switch key {
	case contextkey.Identity:
		return &c.identity
	case contextkey.Logger:
		if c.logger != nil {
			return c.logger
		}
	}
	return c.Context.Value(key)
}

// withLogger gives faults of this request the service's logger, unless a server around us has given it one.
func (g *Guard) withLogger(r *http.Request) *http.Request {
	if tokenjar.HasLogger(r.Context()) {
		return r
	}
	return r.WithContext(tokenjar.ContextWithLogger(r.Context(), g.service.Logger()))
}

// admit judges a request, and whether a renewal would be allowed. It changes nothing.
func (g *Guard) admit(r *http.Request) (Credential, error) {
	cred, err := g.judgeAll(r)
	if err != nil {
		return Credential{}, err
	}
	// A handshake is answered by whoever takes the connection over, and cookies set here would be lost on the way. The
	// page refreshes and tries again.
	switch handshake := request.IsHandshake(r.Header); {
	case cred.NeedsRenewal() && handshake:
		return Credential{}, refreshable{cred.Reason}
	case cred.NeedsRenewal() && !g.renew(r.URL.Path):
		return Credential{}, cred.Reason
	}
	return cred, nil
}

// A refreshable is why a handshake is refused that a refresh would help. It is refused on optional routes too: a WebSocket is
// for long, and one that was opened a second after the access token's end would be a stranger's until the page is closed, and
// would not end with the session either. A request that is taken for a stranger's is over soon, and the next one is not.
type refreshable struct{ error }

// Unwrap returns the reason, for package problem.
func (e refreshable) Unwrap() error { return e.error }

func isRefreshable(err error) bool {
	_, ok := errors.AsType[refreshable](err)
	return ok
}

// judgeAll judges origin, credentials, CSRF token and session.
func (g *Guard) judgeAll(r *http.Request) (Credential, error) {
	shown, err := g.Read(r)
	if shown.AnyCookie && !shown.judged.wins() {
		if err := g.checkOrigin(r); err != nil {
			return Credential{}, err
		}
	}
	if err != nil {
		return Credential{}, err
	}
	cred, err := g.Judge(shown)
	if err != nil {
		return Credential{}, err
	}
	if err := g.CheckCSRF(r, cred); err != nil {
		return Credential{}, err
	}
	if cred.NeedsRenewal() {
		return cred, nil // the store itself judges a renewal
	}
	err = g.service.CheckSessionBy(r.Context(), cred.Identity, g.check)
	if errors.Is(err, tokenjar.ErrTokenExpired) && cred.ByCookie() && cred.RefreshToken != "" {
		cred.Identity, cred.Reason = tokenjar.Identity{}, problem.From(err).WithAction(problem.Refresh)
		return cred, nil
	}
	if err != nil {
		return Credential{}, err
	}
	return cred, nil
}

// checkOrigin is rule 1 for a request that may be authenticated by a cookie: unsafe methods and WebSocket handshakes.
func (g *Guard) checkOrigin(r *http.Request) error {
	switch {
	case request.IsHandshake(r.Header):
		return g.origins.CheckHandshake(r.Header, g.own)
	case request.IsSafe(r.Method), g.policy.InsecureSkipCSRF:
		return nil
	}
	return g.origins.Check(r.Header, g.own)
}

// CheckOrigin is rule 1 for the routes on which it always holds: a request of another origin is refused whatever it
// bears.
func (g *Guard) CheckOrigin(r *http.Request) error { return g.origins.Check(r.Header, g.own) }

// CheckCSRF is rule 2: an unsafe request that a cookie authenticates carries the CSRF token of that session.
func (g *Guard) CheckCSRF(r *http.Request, cred Credential) error {
	if request.IsSafe(r.Method) || !cred.ByCookie() || g.policy.InsecureSkipCSRF {
		return nil
	}
	return g.csrfTokens().Check(r.Header, cred.SessionID())
}

// CheckCSRFOf asks for the CSRF token of one session, whatever the method.
func (g *Guard) CheckCSRFOf(r *http.Request, sessionID string) error {
	return g.csrfTokens().Check(r.Header, sessionID)
}

// Now returns the time by which cookies are dated.
func (g *Guard) Now() time.Time { return g.now() }

// Cookies returns the names and attributes of the cookies.
func (g *Guard) Cookies() *cookie.Policy { return g.cookies }

// AccessCookieName returns the name of the access cookie.
func (g *Guard) AccessCookieName() string { return g.cookies.AccessName() }

// RefreshCookieName returns the name of the refresh cookie.
func (g *Guard) RefreshCookieName() string { return g.cookies.RefreshName() }

// CSRFToken returns the CSRF token of a session.
func (g *Guard) CSRFToken(sessionID string) string { return g.csrfTokens().Issue(sessionID) }

// Renew spends the refresh token of a credential.
func (g *Guard) Renew(r *http.Request, cred Credential) (tokenjar.Grant, error) {
	return g.service.Refresh(r.Context(), tokenjar.RefreshRequest{
		Token: cred.RefreshToken, Renewal: true, Passive: Passive(r), Client: g.client(r),
	})
}

// Passive reports whether a request declares that no user is behind it, so that it must not keep the session from
// going idle.
func Passive(r *http.Request) bool { return r.Header.Get("X-Passive") == "1" }

// isAnonymous reports whether an error of the judgement makes a request anonymous where that is allowed: a credential
// that is bad, not a forged page and not a fault.
func isAnonymous(err error) bool {
	return problem.From(err).Status == http.StatusUnauthorized
}
