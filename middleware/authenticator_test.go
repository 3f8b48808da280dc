package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// forged returns a token with another first character of its signature.
func forged(raw string) string {
	at := strings.LastIndexByte(raw, '.') + 1
	other := "A"
	if raw[at] == 'A' {
		other = "B"
	}
	return raw[:at] + other + raw[at+1:]
}

func TestBearer(t *testing.T) {
	p := newProgram(t)
	h := middleware.Required(p.bearer).Protect(whoami)
	ada := p.token(t, "ada")
	p.at(start.Add(-2 * time.Minute))
	expired := p.token(t, "ada")
	p.at(start)
	refresh, err := token.NewEncoder(token.EncoderConfig{Keys: p.ring, Type: "rt+jwt", Issuer: issuer, Audience: audience, Now: p.clock})
	check(t, err)
	ofAnotherType, err := refresh.Encode(token.Claims{"sub": "ada"}, time.Minute)
	check(t, err)
	for name, row := range map[string]struct {
		changes []change
		want    string
	}{
		"a good token":                    {[]change{bearer(ada)}, "ada"},
		"no field":                        {nil, "401 not_authenticated"},
		"another scheme is no credential": {[]change{field("Authorization", "Basic YWRhOmE=")}, "401 not_authenticated"},
		"J-25: no scheme":                 {[]change{field("Authorization", ada)}, "401 token_invalid"},
		"J-25: the scheme is compared without case":      {[]change{field("Authorization", "bearer "+ada)}, "ada"},
		"J-25: two blanks":                               {[]change{field("Authorization", "Bearer  "+ada)}, "401 token_invalid"},
		"J-25: a tab":                                    {[]change{field("Authorization", "Bearer\t"+ada)}, "401 token_invalid"},
		"J-25: two tokens":                               {[]change{field("Authorization", "Bearer "+ada+" "+ada)}, "401 token_invalid"},
		"J-25: a list":                                   {[]change{field("Authorization", "Bearer "+ada+", Bearer "+ada)}, "401 token_invalid"},
		"J-25: percent escapes":                          {[]change{field("Authorization", "Bearer "+strings.Replace(ada, ".", "%2e", 1))}, "401 token_invalid"},
		"J-25: eight-bit bytes":                          {[]change{field("Authorization", "Bearer "+ada+"\xff")}, "401 token_invalid"},
		"J-25: nothing behind the scheme":                {[]change{field("Authorization", "Bearer ")}, "401 token_invalid"},
		"J-26: two fields":                               {[]change{bearer(ada), bearer(ada)}, "400 validation_failed"},
		"J-26: Basic and Bearer":                         {[]change{field("Authorization", "Basic eA=="), bearer(ada)}, "400 validation_failed"},
		"a forged one":                                   {[]change{bearer(forged(ada))}, "401 token_invalid"},
		"one that is over":                               {[]change{bearer(expired)}, "401 token_expired"},
		"J-22: one of another purpose":                   {[]change{bearer(ofAnotherType)}, "401 wrong_token_type"},
		"in the query":                                   {[]change{func(r *http.Request) { r.URL.RawQuery = "access_token=" + ada }}, "401 not_authenticated"},
		"a user who is gone":                             {[]change{bearer(p.token(t, "gone"))}, "401 session_ended"},
		"a nil user":                                     {[]change{bearer(p.token(t, "nil"))}, "401 session_ended"},
		"C-09: a token without sub is nobody in general": {[]change{bearer(p.withoutSubject(t))}, ""},
		"a cookie is no bearer":                          {[]change{cookies(ada)}, "401 not_authenticated"},
	} {
		t.Run(name, func(t *testing.T) { want(t, ask(h, "GET", "/", row.changes...), row.want) })
	}
	t.Run("no CSRF rule applies", func(t *testing.T) {
		want(t, ask(h, "POST", "/", bearer(ada), field("Origin", "https://evil.example"), field("Sec-Fetch-Site", "cross-site")), "ada")
	})
	t.Run("J-27: the challenge says why", func(t *testing.T) {
		if got := ask(h, "GET", "/").Header().Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("without a token: %q", got)
		}
		if got := ask(h, "GET", "/", bearer(expired)).Header().Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
			t.Errorf("with one that is over: %q", got)
		}
	})
}

// withoutSubject makes a token for nobody in particular: what that means is the resolver's to say.
func (p *program) withoutSubject(t *testing.T) string {
	raw, err := p.encoder.Encode(token.Claims{"sid": "s"}, time.Minute)
	check(t, err)
	return raw
}

func TestWhatAResolverSays(t *testing.T) {
	p := newProgram(t)
	ada := p.token(t, "ada")
	for name, row := range map[string]struct {
		err  error
		want string
	}{
		"not found":                            {middleware.ErrNotFound, "401 session_ended"},
		"not found, wrapped":                   {fmt.Errorf("load account: %w", middleware.ErrNotFound), "401 session_ended"},
		"not found, in tokenjar's words":       {tokenjar.ErrNotFound, "401 session_ended"},
		"a database that does not answer":      {errDatabase, "503 store_unavailable"},
		"the same, in tokenjar's words":        {fmt.Errorf("x: %w", tokenjar.ErrStoreUnavailable), "503 store_unavailable"},
		"no answer and nothing found":          {errors.Join(middleware.ErrNotFound, tokenjar.ErrStoreUnavailable), "503 store_unavailable"},
		"not found, beside a fault":            {errors.Join(middleware.ErrNotFound, errDatabase), "503 store_unavailable"},
		"a token of the program's own is over": {fmt.Errorf("call user service: %w", token.ErrExpired), "503 store_unavailable"},
		"one that does not verify":             {token.ErrSignature, "503 store_unavailable"},
		"too many cookies elsewhere":           {cookie.ErrTooMany, "503 store_unavailable"},
		"a problem, beside a fault":            {errors.Join(problem.New(problem.SessionEnded), errDatabase), "503 store_unavailable"},
		"a problem that is nil":                {(*problem.Problem)(nil), "503 store_unavailable"},
		"not found, twice":                     {errors.Join(middleware.ErrNotFound, tokenjar.ErrNotFound), "401 session_ended"},
		"time for the database ran out":        {fmt.Errorf("query: %w", context.DeadlineExceeded), "503 store_unavailable"},
		"somebody ended the query":             {context.Canceled, "503 store_unavailable"},
		"a problem of the program's own":       {problem.New(problem.PermissionDenied), "403 permission_denied"},
		"a problem that is the program's bug":  {problem.New(problem.Internal), "500 internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			p.fault.Store(&row.err)
			defer p.fault.Store(nil)
			for kind, h := range map[string]http.Handler{
				"required": middleware.Required(p.bearer).Protect(whoami),
				"chain":    middleware.Required(p.cookie, p.bearer).Protect(whoami),
			} {
				w := ask(h, "GET", "/", bearer(ada))
				want(t, w, row.want)
				if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
					t.Errorf("%s: %d with Retry-After %q", kind, w.Code, w.Header().Get("Retry-After"))
				}
			}
			optional := ask(middleware.Optional(p.bearer).Protect(whoami), "GET", "/", bearer(ada))
			if strings.HasPrefix(row.want, "401") {
				want(t, optional, "nobody")
			} else {
				want(t, optional, row.want)
			}
		})
	}
}

func TestCookie(t *testing.T) {
	p := newProgram(t)
	h := middleware.Required(p.cookie).Protect(whoami)
	p.at(start.Add(-time.Second))
	ada, bob := p.token(t, "ada"), p.token(t, "bob")
	p.at(start)
	later := p.token(t, "ada", "sid", "the newer session")
	none := func(*http.Request) {}
	for name, row := range map[string]struct {
		method  string
		changes []change
		want    string
	}{
		"GET needs no CSRF token":                            {"GET", []change{cookies(ada)}, "ada"},
		"HEAD and OPTIONS neither":                           {"OPTIONS", []change{cookies(ada)}, "ada"},
		"GET from another site is answered":                  {"GET", []change{cookies(ada), field("Sec-Fetch-Site", "cross-site")}, "ada"},
		"no cookie":                                          {"GET", nil, "401 not_authenticated"},
		"X-08: no cookie, a foreign page: no CSRF rule":      {"POST", []change{field("Origin", "https://evil.example")}, "401 not_authenticated"},
		"POST of our page":                                   {"POST", []change{cookies(ada), p.page("ada")}, "ada"},
		"POST of a trusted page":                             {"POST", []change{cookies(ada), field("Origin", "https://spa.example"), field("Sec-Fetch-Site", "cross-site"), field("X-CSRFToken", p.csrf.Issue("session-of-ada"))}, "ada"},
		"X-01: POST without the CSRF token":                  {"POST", []change{cookies(ada), field("Origin", own)}, "403 csrf_failed"},
		"X-01: PUT":                                          {"PUT", []change{cookies(ada), field("Origin", own)}, "403 csrf_failed"},
		"X-01: PATCH":                                        {"PATCH", []change{cookies(ada), field("Origin", own)}, "403 csrf_failed"},
		"X-01: DELETE":                                       {"DELETE", []change{cookies(ada), field("Origin", own)}, "403 csrf_failed"},
		"X-14: a method nobody knows":                        {"PROPFIND", []change{cookies(ada), field("Origin", own)}, "403 csrf_failed"},
		"X-14: a safe method in lower case":                  {"get", []change{cookies(ada)}, "403 csrf_failed"},
		"X-08: neither Origin nor Sec-Fetch-Site":            {"POST", []change{cookies(ada)}, "403 csrf_failed"},
		"X-08: the same with the CSRF token":                 {"POST", []change{cookies(ada), field("X-CSRFToken", p.csrf.Issue("session-of-ada"))}, "ada"},
		"X-03: the CSRF token of another session":            {"POST", []change{cookies(ada), p.page("bob")}, "403 csrf_failed"},
		"X-05: a foreign page":                               {"POST", []change{cookies(ada), p.page("ada"), func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }}, "403 origin_not_allowed"},
		"X-06: our host by plain http":                       {"POST", []change{cookies(ada), p.page("ada"), func(r *http.Request) { r.Header.Set("Origin", "http://app.example") }}, "403 origin_not_allowed"},
		"X-11: a sibling host":                               {"POST", []change{cookies(ada), p.page("ada"), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }}, "403 origin_not_allowed"},
		"a foreign page with a dead cookie":                  {"POST", []change{cookies(forged(ada)), field("Origin", "https://evil.example")}, "403 origin_not_allowed"},
		"CK-05: a quoted value":                              {"GET", []change{cookies(`"` + ada + `"`)}, "401 token_invalid"},
		"CK-06: an empty value":                              {"GET", []change{cookies("")}, "401 token_invalid"},
		"CK-01: a bad one first":                             {"GET", []change{cookies(forged(ada), ada)}, "ada"},
		"CK-01: a bad one last":                              {"GET", []change{cookies(ada, forged(ada))}, "ada"},
		"CK-01: two users":                                   {"GET", []change{cookies(ada, bob)}, "401 token_invalid"},
		"CK-01: two of one user: the one that lives longest": {"POST", []change{cookies(ada, later), field("Origin", own), field("X-CSRFToken", p.csrf.Issue("the newer session"))}, "ada"},
		"CK-01: two of nobody in particular":                 {"GET", []change{cookies(p.withoutSubject(t), p.withoutSubject(t))}, "401 token_invalid"},
		"CK-01: two users and a foreign page":                {"POST", []change{cookies(ada, bob), field("Origin", "https://evil.example")}, "401 token_invalid"},
		"CK-03: the name in another case":                    {"GET", []change{field("Cookie", "__host-access_token="+ada)}, "401 not_authenticated"},
		"CK-02: the name without prefix":                     {"GET", []change{field("Cookie", "access_token="+ada)}, "401 not_authenticated"},
		"CK-14: more cookies than are read":                  {"GET", []change{cookies(ada), field("Cookie", strings.Repeat("a=b; ", 300)+"a=b")}, "431 header_too_large"},
		"X-19: the same with POST of a foreign page":         {"POST", []change{cookies(ada), field("Origin", "https://evil.example"), field("Cookie", strings.Repeat("a=b; ", 300)+"a=b")}, "431 header_too_large"},
		"X-20: a handshake of our page":                      {"GET", []change{cookies(ada), field("Upgrade", "websocket"), field("Origin", own)}, "ada"},
		"X-20: a handshake of a foreign page":                {"GET", []change{cookies(ada), field("Upgrade", "websocket"), field("Origin", "https://evil.example")}, "403 origin_not_allowed"},
		"X-20: a handshake without Origin":                   {"GET", []change{cookies(ada), field("Upgrade", "WebSocket")}, "403 origin_not_allowed"},
		"a token without the claim that CSRF is bound to":    {"POST", []change{cookies(p.token(t, "ada", "sid", 7)), p.page("ada")}, "403 csrf_failed"},
		"a bearer is no cookie":                              {"GET", []change{bearer(ada)}, "401 not_authenticated"},
		"a user who is gone":                                 {"GET", []change{cookies(p.token(t, "gone")), none}, "401 session_ended"},
	} {
		t.Run(name, func(t *testing.T) { want(t, ask(h, row.method, "/", row.changes...), row.want) })
	}
	t.Run("what CSRF refuses never reaches the program's database", func(t *testing.T) {
		before := p.resolved.Load()
		ask(h, "POST", "/", cookies(ada), field("Origin", "https://evil.example"))
		ask(h, "POST", "/", cookies(ada), field("Origin", own))
		if got := p.resolved.Load() - before; got != 0 {
			t.Errorf("the resolver was asked %d times", got)
		}
	})
	t.Run("the CSRF token of a token's claims", func(t *testing.T) {
		claims, err := p.decoder.Decode(ada)
		check(t, err)
		want(t, ask(h, "POST", "/", cookies(ada), field("Origin", own), field("X-CSRFToken", p.cookie.CSRFToken(claims))), "ada")
		if got := p.cookie.CSRFToken(token.Claims{}); got != "" {
			t.Errorf("without the claim: %q", got)
		}
	})
}

func TestCSRFBoundToAnotherClaim(t *testing.T) {
	p := newProgram(t)
	cfg := p.cookieConfig()
	cfg.CSRFClaim = "sub"
	bySubject, err := middleware.NewCookie(p.tokens, p.resolve, cfg)
	check(t, err)
	h := middleware.Required(bySubject).Protect(whoami)
	want(t, ask(h, "POST", "/", cookies(p.token(t, "ada")), field("Origin", own), field("X-CSRFToken", p.csrf.Issue("ada"))), "ada")
	want(t, ask(h, "POST", "/", cookies(p.token(t, "ada")), p.page("ada")), "403 csrf_failed")
}

func TestInsecureSkipCSRF(t *testing.T) {
	p := newProgram(t)
	var log strings.Builder
	open, err := middleware.NewCookie(p.tokens, p.resolve, middleware.CookieConfig{
		InsecureSkipCSRF: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	check(t, err)
	if !strings.Contains(log.String(), "not protected against CSRF") || !strings.Contains(log.String(), "__Host-access_token") {
		t.Errorf("at the start nothing is said of it: %q", log.String())
	}
	h := middleware.Required(open).Protect(whoami)
	want(t, ask(h, "POST", "/", cookies(p.token(t, "ada")), field("Origin", "https://evil.example")), "ada")
	want(t, ask(h, "GET", "/", cookies(p.token(t, "ada")), field("Upgrade", "websocket"), field("Origin", "https://evil.example")), "ada")
	if got := open.CSRFToken(token.Claims{"sid": "s"}); got != "" {
		t.Errorf("got a CSRF token: %q", got)
	}
}

func TestMistakesOfTheConfigurationAreNamed(t *testing.T) {
	p := newProgram(t)
	for name, row := range map[string]struct {
		change func(*middleware.CookieConfig)
		want   []string
	}{
		"nothing":                    {func(c *middleware.CookieConfig) { *c = middleware.CookieConfig{} }, []string{"CookieConfig.PublicURL: is required", "CookieConfig.CSRFTokens: is required"}},
		"C-17: CSRF bound to jti":    {func(c *middleware.CookieConfig) { c.CSRFClaim = "jti" }, []string{"CookieConfig.CSRFClaim: jti is another for each token"}},
		"no address":                 {func(c *middleware.CookieConfig) { c.PublicURL = "app.example" }, []string{"CookieConfig.PublicURL"}},
		"plain http for a real host": {func(c *middleware.CookieConfig) { c.PublicURL = "http://app.example" }, []string{"plain http"}},
		"a wildcard origin":          {func(c *middleware.CookieConfig) { c.TrustedOrigins = []string{"*"} }, []string{"CookieConfig.TrustedOrigins"}},
		"a cookie that browsers drop": {func(c *middleware.CookieConfig) {
			c.Cookie = cookie.JWT{SameSite: http.SameSiteNoneMode, InsecureAllowHTTP: true}
		}, []string{"SameSite"}},
		"a Domain of somebody else":   {func(c *middleware.CookieConfig) { c.Cookie.Domain = "other.example" }, []string{"Domain"}},
		"plain http cookies on https": {func(c *middleware.CookieConfig) { c.Cookie.InsecureAllowHTTP = true }, []string{"CookieConfig.Cookie: InsecureAllowHTTP"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := p.cookieConfig()
			row.change(&cfg)
			_, err := middleware.NewCookie(p.tokens, p.resolve, cfg)
			for _, want := range row.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
		})
	}
	t.Run("no tokens, no resolver", func(t *testing.T) {
		_, err := middleware.NewBearer[*account](nil, nil)
		if err == nil || !strings.Contains(err.Error(), "tokens is required") || !strings.Contains(err.Error(), "resolve is required") {
			t.Errorf("got %v", err)
		}
		if _, err := middleware.NewBearer((*token.Cache)(nil), p.resolve); err == nil {
			t.Error("a nil cache is taken")
		}
		ignoring, err := token.NewDecoder(token.DecoderConfig{Keys: p.ring, Type: "at+jwt", Issuer: issuer, Audience: audience, InsecureIgnoreTimes: true})
		check(t, err)
		for name, tokens := range map[string]token.Verifier{"times that nobody judges": ignoring, "a zero decoder": new(token.Decoder), "a zero cache": new(token.Cache)} {
			if _, err := middleware.NewBearer(tokens, p.resolve); err == nil {
				t.Errorf("%s: taken", name)
			}
			if _, err := middleware.NewCookie(tokens, p.resolve, p.cookieConfig()); err == nil {
				t.Errorf("%s: taken by a cookie", name)
			}
		}
	})
	cfg := p.cookieConfig()
	cfg.PublicURL, cfg.Cookie.InsecureAllowHTTP = "http://localhost:8080", true
	if _, err := middleware.NewCookie(p.tokens, p.resolve, cfg); err != nil {
		t.Errorf("development on loopback: %v", err)
	}
}

func TestChains(t *testing.T) {
	p := newProgram(t)
	ada, bob := p.token(t, "ada"), p.token(t, "bob")
	cookieFirst := middleware.Required(p.cookie, p.bearer).Protect(whoami)
	bearerFirst := middleware.Required(p.bearer, p.cookie).Protect(whoami)
	p.at(start.Add(-2 * time.Minute))
	expired := p.token(t, "ada")
	p.at(start)
	foreign := field("Origin", "https://evil.example")
	nobody := p.withoutSubject(t)
	for name, row := range map[string]struct {
		method      string
		changes     []change
		first, last string // with the cookie first, with the bearer first
	}{
		"nothing":          {"GET", nil, "401 not_authenticated", "401 not_authenticated"},
		"the cookie alone": {"GET", []change{cookies(ada)}, "ada", "ada"},
		"the bearer alone": {"GET", []change{bearer(ada)}, "ada", "ada"},
		"both of one user": {"GET", []change{cookies(ada), bearer(ada)}, "ada", "ada"},
		"J-33: a dead cookie does not hide a good bearer":  {"GET", []change{cookies(expired), bearer(ada)}, "ada", "ada"},
		"J-33: nor one that is no token":                   {"GET", []change{cookies("x"), bearer(ada)}, "ada", "ada"},
		"J-33: nor one whose user is gone":                 {"GET", []change{cookies(p.token(t, "gone")), bearer(ada)}, "ada", "401 token_invalid"},
		"J-33: a bad bearer does not hide a good cookie":   {"GET", []change{cookies(ada), bearer(forged(ada))}, "ada", "ada"},
		"J-33: two users":                                  {"GET", []change{cookies(ada), bearer(bob)}, "401 token_invalid", "401 token_invalid"},
		"J-33: two users in the cookies":                   {"GET", []change{cookies(ada, bob), bearer(bob)}, "401 token_invalid", "401 token_invalid"},
		"J-33: two users in the cookies, a foreign page":   {"POST", []change{cookies(ada, bob), bearer(bob), foreign}, "401 token_invalid", "401 token_invalid"},
		"J-33: nobody in particular, twice the same":       {"GET", []change{cookies(nobody), bearer(nobody)}, "", ""},
		"J-33: nobody in particular, and somebody else":    {"GET", []change{cookies(nobody), bearer(p.withoutSubject(t))}, "401 token_invalid", "401 token_invalid"},
		"both bad: the one that tells most":                {"GET", []change{cookies(forged(ada)), bearer(expired)}, "401 token_expired", "401 token_expired"},
		"the bad one, not the missing one":                 {"GET", []change{bearer(forged(ada))}, "401 token_invalid", "401 token_invalid"},
		"POST with a dead cookie of nowhere and a bearer":  {"POST", []change{cookies(expired), bearer(ada)}, "ada", "ada"},
		"POST with a dead cookie of a foreign page":        {"POST", []change{cookies(expired), bearer(ada), foreign}, "ada", "ada"},
		"POST with dead cookie and bearer, a foreign page": {"POST", []change{cookies(expired), bearer(expired), foreign}, "403 origin_not_allowed", "403 origin_not_allowed"},
		"a failed CSRF check ends the chain":               {"POST", []change{cookies(ada), bearer(ada), field("Origin", own)}, "403 csrf_failed", "ada"},
		"so does a foreign page":                           {"POST", []change{cookies(ada), bearer(ada), foreign}, "403 origin_not_allowed", "ada"},
		"a bad bearer does not turn CSRF off":              {"POST", []change{cookies(ada), bearer(forged(ada)), field("Origin", own)}, "403 csrf_failed", "403 csrf_failed"},
		"two Authorization fields":                         {"GET", []change{bearer(ada), bearer(bob)}, "400 validation_failed", "400 validation_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("cookie first", func(t *testing.T) { want(t, ask(cookieFirst, row.method, "/", row.changes...), row.first) })
			t.Run("bearer first", func(t *testing.T) { want(t, ask(bearerFirst, row.method, "/", row.changes...), row.last) })
		})
	}
}

func TestOptional(t *testing.T) {
	p := newProgram(t)
	h := middleware.Optional(p.cookie, p.bearer).Protect(whoami)
	ada := p.token(t, "ada")
	for name, row := range map[string]struct {
		method  string
		changes []change
		want    string
	}{
		"nobody":                        {"GET", nil, "nobody"},
		"somebody":                      {"GET", []change{cookies(ada)}, "ada"},
		"a bad cookie is anonymous":     {"GET", []change{cookies(forged(ada))}, "nobody"},
		"a bad bearer is anonymous":     {"POST", []change{bearer("x")}, "nobody"},
		"two users are nobody":          {"GET", []change{cookies(ada), bearer(p.token(t, "bob"))}, "nobody"},
		"CSRF holds all the same":       {"POST", []change{cookies(ada), field("Origin", own)}, "403 csrf_failed"},
		"a foreign page":                {"POST", []change{cookies(ada), field("Origin", "https://evil.example")}, "403 origin_not_allowed"},
		"a foreign page, dead cookie":   {"POST", []change{cookies(forged(ada)), field("Origin", "https://evil.example")}, "403 origin_not_allowed"},
		"a foreign page without cookie": {"POST", []change{field("Origin", "https://evil.example")}, "nobody"},
		"more cookies than are read":    {"GET", []change{cookies(ada), field("Cookie", strings.Repeat("a=b; ", 300))}, "431 header_too_large"},
	} {
		t.Run(name, func(t *testing.T) { want(t, ask(h, row.method, "/", row.changes...), row.want) })
	}
}

// unavailable is a verifier whose keys cannot be fetched.
type unavailable struct{}

func (unavailable) Verify(context.Context, string) (token.Verified, error) {
	return token.Verified{}, fmt.Errorf("fetch keys: %w", token.ErrKeysUnavailable)
}

func TestKeysThatCannotBeFetchedAre503(t *testing.T) {
	p := newProgram(t)
	foreign, err := middleware.NewBearer(unavailable{}, p.resolve)
	check(t, err)
	ada := p.token(t, "ada")
	want(t, ask(middleware.Required(foreign).Protect(whoami), "GET", "/", bearer(ada)), "503 keys_unavailable")
	want(t, ask(middleware.Optional(foreign).Protect(whoami), "GET", "/", bearer(ada)), "503 keys_unavailable")
	want(t, ask(middleware.Required(foreign, p.bearer).Protect(whoami), "GET", "/", bearer(ada)), "503 keys_unavailable")
	want(t, ask(middleware.Required(p.cookie, foreign).Protect(whoami), "GET", "/", cookies(ada)), "ada")
}

// slow waits for keys as long as the request lets it.
type slow struct{ token.Verifier }

func (s slow) Verify(ctx context.Context, raw string) (token.Verified, error) {
	if strings.HasPrefix(raw, "unknown") {
		<-ctx.Done()
		return token.Verified{}, token.ErrKeysUnavailable
	}
	return s.Verifier.Verify(ctx, raw)
}

func TestARequestThatIsLetInWaitsForNobodysKeys(t *testing.T) {
	p := newProgram(t)
	foreign, err := middleware.NewBearer(slow{p.tokens}, p.resolve)
	check(t, err)
	want(t, ask(middleware.Required(p.cookie, foreign).Protect(whoami), "GET", "/", cookies(p.token(t, "ada")), bearer("unknown.kid.x")), "ada")
}

// K-18: what one decoder took is not taken by another, cached or not.
func TestAnotherAudienceIsAnotherDecoder(t *testing.T) {
	p := newProgram(t)
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: p.ring, Type: "at+jwt", Issuer: issuer, Audience: "https://other.example", Now: p.clock})
	check(t, err)
	tokens, err := token.NewCache(decoder)
	check(t, err)
	other, err := middleware.NewBearer(tokens, p.resolve)
	check(t, err)
	ada := p.token(t, "ada")
	for range 2 {
		want(t, ask(middleware.Required(p.bearer).Protect(whoami), "GET", "/", bearer(ada)), "ada")
		want(t, ask(middleware.Required(other).Protect(whoami), "GET", "/", bearer(ada)), "401 token_invalid")
	}
}

func TestAThousandUsersNeverSeeEachOther(t *testing.T) {
	p := newProgram(t)
	h := middleware.Required(p.cookie, p.bearer).Func(func(w http.ResponseWriter, r *http.Request, user *account) {
		id, _ := middleware.IdentityFromContext[*account](r.Context())
		fmt.Fprint(w, user.ID, " ", id.User.ID, " ", id.Claims().String("sub"))
	})
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			sub := fmt.Sprint("user-", i)
			raw := p.token(t, sub)
			for round := range 5 {
				how := bearer(raw)
				if (i+round)%2 == 0 {
					how = cookies(raw)
				}
				if got, want := ask(h, "GET", "/", how).Body.String(), sub+" "+sub+" "+sub; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	all.Wait()
}

func TestProtectOriginOfASignIn(t *testing.T) {
	p := newProgram(t)
	h := p.cookie.ProtectOrigin(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "signed in") }))
	ada := p.token(t, "ada")
	for name, row := range map[string]struct {
		changes []change
		want    string
	}{
		"X-16: our page":                    {[]change{field("Origin", own), field("Sec-Fetch-Site", "same-origin")}, "signed in"},
		"X-16: a trusted page":              {[]change{field("Origin", "https://spa.example"), field("Sec-Fetch-Site", "cross-site")}, "signed in"},
		"X-16: a foreign page":              {[]change{field("Origin", "https://evil.example")}, "403 origin_not_allowed"},
		"X-16: a sibling host":              {[]change{field("Sec-Fetch-Site", "same-site")}, "403 origin_not_allowed"},
		"X-16: Origin null":                 {[]change{field("Origin", "null")}, "403 origin_not_allowed"},
		"a foreign page with a bearer":      {[]change{field("Origin", "https://evil.example"), bearer(ada)}, "403 origin_not_allowed"},
		"no browser":                        {nil, "signed in"},
		"no browser, a dead cookie":         {[]change{cookies(forged(ada))}, "signed in"},
		"no browser, a good cookie":         {[]change{cookies(ada)}, "403 csrf_failed"},
		"the same with its CSRF token":      {[]change{cookies(ada), field("X-CSRFToken", p.csrf.Issue("session-of-ada"))}, "signed in"},
		"our page, a good cookie, no token": {[]change{cookies(ada), field("Origin", own)}, "signed in"},
		"no browser, two users":             {[]change{cookies(ada, p.token(t, "bob"))}, "401 token_invalid"},
		"no browser, more than can be read": {[]change{field("Cookie", strings.Repeat("a=b; ", 300))}, "431 header_too_large"},
	} {
		t.Run(name, func(t *testing.T) { want(t, ask(h, "POST", "/login", row.changes...), row.want) })
	}
	want(t, ask(h, "GET", "/login", field("Origin", "https://evil.example")), "signed in")
}

func TestAResolverMayReadTheRequest(t *testing.T) {
	p := newProgram(t)
	byHost, err := middleware.NewBearer(p.tokens, func(ctx context.Context, claims token.Claims) (string, error) {
		r, ok := middleware.RequestFromContext(ctx)
		if !ok {
			return "", errors.New("no request")
		}
		return claims.String("sub") + "@" + r.Host, ctx.Err()
	})
	check(t, err)
	h := middleware.Required(byHost).Func(func(w http.ResponseWriter, r *http.Request, user string) {
		_, found := middleware.RequestFromContext(r.Context())
		fmt.Fprint(w, user, " ", found)
	})
	want(t, ask(h, "GET", "http://a.example/", bearer(p.token(t, "ada"))), "ada@a.example false")
}

func TestAClientThatLeavesIsNoFaultOfTheDatabase(t *testing.T) {
	p := newProgram(t)
	ctx, leave := context.WithCancel(t.Context())
	waiting, err := middleware.NewBearer(p.tokens, func(ctx context.Context, _ token.Claims) (string, error) {
		leave()
		<-ctx.Done()
		return "", fmt.Errorf("query: %w", ctx.Err())
	})
	check(t, err)
	var log strings.Builder
	logged := tokenjar.ContextWithLogger(ctx, slog.New(slog.NewTextHandler(&log, nil)))
	w := ask(middleware.Required(waiting).Protect(whoami), "GET", "/", bearer(p.token(t, "ada")), func(r *http.Request) { *r = *r.WithContext(logged) })
	want(t, w, "503 overloaded")
	if log.String() != "" {
		t.Errorf("it is logged as a fault: %s", log.String())
	}
}

func TestWhyARequestIsRefusedIsLoggedForWhoeverAsks(t *testing.T) {
	p := newProgram(t)
	other, err := token.NewEncoder(token.EncoderConfig{Keys: p.ring, Type: "at+jwt", Issuer: issuer, Audience: "https://other.example", Now: p.clock})
	check(t, err)
	raw, err := other.Encode(token.Claims{"sub": "ada"}, time.Minute)
	check(t, err)
	h := middleware.Required(p.bearer).Protect(whoami)
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))
		want(t, ask(h, "GET", "/notes", bearer(raw), func(r *http.Request) {
			*r = *r.WithContext(tokenjar.ContextWithLogger(r.Context(), logger))
		}), "401 token_invalid")
		if got := strings.Contains(log.String(), "claim aud: another audience"); got != (level == slog.LevelDebug) || strings.Contains(log.String(), raw) {
			t.Errorf("at %v: %s", level, log.String())
		}
	}
}
