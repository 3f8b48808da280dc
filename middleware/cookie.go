package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/request"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// CookieConfig says which cookie authenticates, and which pages may make a browser send it. PublicURL and CSRFTokens are
// required, unless InsecureSkipCSRF is set.
type CookieConfig struct {
	// Cookie is the cookie that carries the token, as the program sets it. The zero value is __Host-access_token.
	Cookie cookie.JWT
	// PublicURL is the address under which browsers know the program: its origin is our own, never the request's Host.
	PublicURL string
	// TrustedOrigins may send unsafe requests beside our own origin: exact origins, as "https://app.example.com".
	TrustedOrigins []string
	// CSRFTokens makes and checks the CSRF tokens.
	CSRFTokens *csrf.Tokens
	// CSRFClaim is the claim that a CSRF token is bound to. It must stay the same as long as the browser is signed in and be
	// nobody else's, so jti, iat, nbf, exp, auth_time and iss, aud, client_id, azp, scope are refused. Default: "sid"; a
	// program without sessions takes "sub".
	CSRFClaim string
	// InsecureSkipCSRF lets any page of any site make a signed-in browser send any request. It is logged when the
	// authenticator is made. It is for routes whose unsafe methods are protected in another way.
	InsecureSkipCSRF bool
	// Logger is told of InsecureSkipCSRF. Default: slog.Default().
	Logger *slog.Logger
}

// Cookie authenticates by a token in a cookie. An unsafe request (any but GET, HEAD and OPTIONS) must come from a page of
// our own origin or a trusted one and carry the CSRF token of the cookie's session in X-CSRFToken; a WebSocket handshake
// needs the origin. It is safe for concurrent use.
type Cookie[U any] struct {
	tokens  token.Verifier
	resolve Resolver[U]
	name    string     // of the cookie, prefix included
	csrf    *csrfRules // nil: skipped
}

// csrfRules are both rules of package csrf, and what they are judged against.
type csrfRules struct {
	origins *csrf.Origins
	own     string
	tokens  *csrf.Tokens
	claim   string
}

// NewCookie returns an authenticator that takes the tokens which tokens verifies from a cookie, and resolves their users.
// All mistakes of cfg are reported together, each with the field.
func NewCookie[U any](tokens token.Verifier, resolve Resolver[U], cfg CookieConfig) (*Cookie[U], error) {
	errs := []error{checkParts(tokens, resolve), cfg.Cookie.Check()}
	c := &Cookie[U]{tokens: tokens, resolve: resolve, name: cfg.Cookie.CookieName()}
	if !cfg.InsecureSkipCSRF {
		rules, err := newCSRFRules(cfg)
		errs = append(errs, err)
		c.csrf = rules
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if c.csrf == nil {
		log := cfg.Logger
		if log == nil {
			log = slog.Default()
		}
		log.Warn("requests that a cookie authenticates are not protected against CSRF", "cookie", c.name)
	}
	return c, nil
}

func newCSRFRules(cfg CookieConfig) (*csrfRules, error) {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("middleware: CookieConfig."+field+": "+format, args...))
	}
	rules := &csrfRules{tokens: cfg.CSRFTokens, claim: cfg.CSRFClaim}
	if rules.claim == "" {
		rules.claim = "sid"
	}
	switch rules.claim {
	case "jti", "iat", "nbf", "exp", "auth_time":
		bad("CSRFClaim", "%s is another for each token: use sid, or sub", rules.claim)
	case "iss", "aud", "client_id", "azp", "scope":
		bad("CSRFClaim", "%s is the same for many users: use sid, or sub", rules.claim)
	}
	if rules.tokens == nil || rules.tokens.Issue("x") == "" {
		bad("CSRFTokens", "is required: see csrf.NewTokens")
	}
	if cfg.PublicURL == "" {
		bad("PublicURL", "is required: the address under which browsers know this program")
	} else if u, err := url.Parse(cfg.PublicURL); err != nil {
		bad("PublicURL", "%w", err)
	} else if rules.own, err = csrf.SerializeOrigin(u); err != nil {
		bad("PublicURL", "%w", err)
	} else if _, err := cookie.New(cookie.Config{PublicURL: cfg.PublicURL, Domain: cfg.Cookie.Domain}); err != nil {
		errs = append(errs, fmt.Errorf("middleware: CookieConfig: %w", err)) // plain http, or a Domain that is not the host's
	} else if u.Scheme == "https" && cfg.Cookie.InsecureAllowHTTP {
		bad("Cookie", "InsecureAllowHTTP is for plain http, and PublicURL is https: leave it out")
	}
	origins, err := csrf.NewOrigins(cfg.TrustedOrigins)
	if err != nil {
		bad("TrustedOrigins", "%w", err)
	}
	rules.origins = origins
	return rules, errors.Join(errs...)
}

// Authenticate implements [Authenticator]. Without the cookie no CSRF rule is judged. Values that are not clean count as
// bad; of several that verify for one user the one that lives longest counts; two users are 401.
//
// A request of a foreign origin whose cookie is no good is refused with 403, but only when no later authenticator of the
// chain lets it in: see [Defer].
func (c *Cookie[U]) Authenticate(_ http.ResponseWriter, r *http.Request) (Identity[U], error) {
	found, err := cookie.Read(r.Header, c.name)
	switch {
	case err != nil:
		return Identity[U]{}, err // 431: ours may be among the cookies that were not looked at
	case !found.Present():
		return Identity[U]{}, ErrNoCredential
	}
	foreign := c.checkOrigin(r)
	verified, err := c.verify(r.Context(), found)
	switch {
	case err != nil && foreign != nil && passesOn(err):
		return Identity[U]{}, Defer(foreign)
	case err != nil:
		return Identity[U]{}, err
	case foreign != nil:
		return Identity[U]{}, foreign
	}
	if err := c.checkToken(r, verified); err != nil {
		return Identity[U]{}, err
	}
	return Resolve(r, c.resolve, verified, true)
}

// checkOrigin is rule 1: unsafe requests and WebSocket handshakes come from a page of ours.
func (c *Cookie[U]) checkOrigin(r *http.Request) error {
	switch {
	case c.csrf == nil:
		return nil
	case request.IsHandshake(r.Header):
		return c.csrf.origins.CheckHandshake(r.Header, c.csrf.own)
	case request.IsSafe(r.Method):
		return nil
	}
	return c.csrf.origins.Check(r.Header, c.csrf.own)
}

// checkToken is rule 2: unsafe requests carry the CSRF token of the session that the cookie names.
func (c *Cookie[U]) checkToken(r *http.Request, verified token.Verified) error {
	if c.csrf == nil || request.IsSafe(r.Method) {
		return nil
	}
	return c.csrf.tokens.Check(r.Header, verified.Claims().String(c.csrf.claim))
}

// verify returns the value that counts, or why none does.
func (c *Cookie[U]) verify(ctx context.Context, found cookie.Found) (best token.Verified, reason error) {
	reason = problem.New(problem.TokenInvalid)
	for i, raw := range found.Values {
		verified, err := c.tokens.Verify(ctx, raw)
		switch {
		case err != nil && !passesOn(err):
			return token.Verified{}, err
		case err != nil:
			if i == 0 {
				reason = nil // what the token says about itself tells more
			}
			reason = better(reason, err)
		case best.IsZero():
			best = verified
		case best.Issuer() != verified.Issuer() || anotherUser(best.Claims(), verified.Claims()):
			return token.Verified{}, ErrTwoUsers
		case verified.ExpiresAt().After(best.ExpiresAt()):
			best = verified
		}
	}
	if best.IsZero() {
		return token.Verified{}, reason
	}
	return best, nil
}

// Peek implements [Peeker].
func (c *Cookie[U]) Peek(ctx context.Context, r *http.Request) (all []Token) {
	found, err := cookie.Read(r.Header, c.name)
	if err != nil {
		return nil
	}
	for _, raw := range found.Values {
		if verified, err := c.tokens.Verify(ctx, raw); err == nil {
			all = append(all, verified)
		}
	}
	return all
}

// ProtectOrigin returns a handler that lets unsafe requests through to next only if they come from a page of our own origin
// or a trusted one, whatever they bear. It is for the handlers that sign in and out, which need no cookie: without it another
// site could sign a visitor in to an account of its choice, or out.
//
// A request without Origin and Sec-Fetch-Site comes from no browser of today and passes; if it bears a cookie that verifies,
// it needs the CSRF token that goes with it. With InsecureSkipCSRF everything passes.
func (c *Cookie[U]) ProtectOrigin(next http.Handler) http.Handler {
	if c.csrf == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.checkSource(r); err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *Cookie[U]) checkSource(r *http.Request) error {
	if request.IsSafe(r.Method) {
		return nil
	}
	if err := c.csrf.origins.Check(r.Header, c.csrf.own); err != nil || csrf.HasBrowserSignal(r.Header) {
		return err
	}
	found, err := cookie.Read(r.Header, c.name)
	if err != nil {
		return err
	}
	verified, err := c.verify(r.Context(), found)
	switch {
	case err == nil:
		return c.checkToken(r, verified)
	case !passesOn(err):
		return err
	}
	return nil // a cookie that does not verify is none
}

// CSRFToken returns the CSRF token that goes with a token of these claims: for script to read, from a cookie or an answer,
// and to send back in X-CSRFToken. It is "" when the claim it is bound to is missing, and when CSRF is skipped.
func (c *Cookie[U]) CSRFToken(claims token.Claims) string {
	if c.csrf == nil {
		return ""
	}
	return c.csrf.tokens.Issue(claims.String(c.csrf.claim))
}
