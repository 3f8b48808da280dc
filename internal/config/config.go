package config

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/token"
)

// Config is everything that can be set. The tags are the reference:
//
//   - key: the name in the file, which also makes the name of the environment variable
//   - default: the value when nobody sets it, written as in the environment; none: empty
//   - example: a value for what has no default and must be set
//   - enum: the only values, separated by blanks; without a default, no value is one as well
//   - min, max: the bounds of a number or a duration
//   - doc: what it means
//
// There is no secret in it, but for a password in the URL of a database, which is hidden wherever settings are printed.
type Config struct {
	Listen     string `key:"listen" default:"127.0.0.1:8080" doc:"Address and port to listen on; port 0 takes a free one."`
	PublicURL  string `key:"public_url" default:"" doc:"Address under which browsers know this server. It decides Secure, the cookie prefix and which origin is our own. https for anything but loopback; default http://localhost:<port>."`
	SecretFile string `key:"secret_file" default:"tokenjar.secret" doc:"File with the one secret, 32 bytes a line or more; the first line signs and seals, further lines still verify and open. In its place the environment may hold the secret itself, as TOKENJAR_SECRET."`
	Database   string `key:"database" default:"sqlite:tokenjar.db" doc:"Where sessions and users are kept: sqlite:<path> for one server, or postgres://<user>@<host>/<database> for any number. The password may be in the URL, in PGPASSWORD or in a file that PGPASSFILE names; it is never printed."`

	TrustedProxies []string `key:"trusted_proxies" default:"" doc:"Networks of the proxies in front whose forwarded headers are believed, as 10.0.0.0/8; nobody by default."`

	Token    Token    `key:"token"`
	Session  Session  `key:"session"`
	Cookies  Cookies  `key:"cookies"`
	Auth     Auth     `key:"auth"`
	CSRF     CSRF     `key:"csrf"`
	CORS     CORS     `key:"cors"`
	Limits   Limits   `key:"limits"`
	Password Password `key:"password"`

	SPA       SPA        `key:"spa"`
	Routes    []Route    `key:"routes" doc:"Services behind this server, each with the path prefix that leads to it."`
	Frontends []Frontend `key:"frontends" doc:"Further addresses of this server, each with pages and routes of its own. Users and sessions are the same; cookies are of one host."`

	Admin Admin `key:"admin"`
	Log   Log   `key:"log"`
}

// Token says what access tokens are.
type Token struct {
	Issuer         string          `key:"issuer" default:"" doc:"Claim iss; default public_url."`
	Audience       string          `key:"audience" default:"" doc:"Claim aud of access tokens; default public_url."`
	ClientID       string          `key:"client_id" default:"" doc:"Claim client_id of access tokens; default the audience."`
	AccessLifetime time.Duration   `key:"access_lifetime" default:"5m" min:"1s" max:"24h" doc:"Life of an access token, in whole seconds, 1s to 24h."`
	Algorithm      token.Algorithm `key:"algorithm" default:"ES256" enum:"ES256 ES384 EdDSA RS256 RS384 RS512 PS256" doc:"What signs access tokens: ES256, ES384, EdDSA, RS256, RS384, RS512 or PS256."`
	RotateEvery    time.Duration   `key:"rotate_every" default:"90d" min:"0" max:"3650d" doc:"How old a signing key grows before a new one takes its place, 1d or more; 0 is never."`

	SessionCheck  tokenjar.SessionCheck `key:"session_check" default:"cached" enum:"cached database stateless" doc:"How the session behind an access token is checked on each request: cached asks the revocations known in memory, which takes on what other processes do within a second; database reads the session's row; stateless checks nothing, so a session that has ended works until its access token does."`
	StaleSessions string                `key:"stale_sessions" default:"refuse" enum:"refuse allow" doc:"What becomes of access tokens while this server has not learned of revocations for more than 30s: refuse answers 503, allow lets them pass, also those of sessions that ended meanwhile. Only for session_check cached."`
}

// Session says how long sessions live.
type Session struct {
	Idle               time.Duration `key:"idle" default:"24h" min:"1s" max:"400d" doc:"How long an unused session lives, 1s to 400d."`
	Remember           time.Duration `key:"remember" default:"30d" min:"1s" max:"400d" doc:"The same, for sessions that are remembered."`
	Absolute           time.Duration `key:"absolute" default:"30d" min:"1s" max:"400d" doc:"How long any session lives from sign-in; never extended."`
	Grace              time.Duration `key:"grace" default:"10s" min:"0" max:"60s" doc:"How long the answer of a refresh may be asked for again, 0 to 60s; 0 needs transparent_renewal off."`
	MaxPerUser         int           `key:"max_per_user" default:"50" min:"1" max:"1000000" doc:"Sessions a user may have; the least recently used one makes room."`
	TransparentRenewal bool          `key:"transparent_renewal" default:"true" doc:"Renew a session on the way when only the refresh cookie is left."`
	RenewalExclude     []string      `key:"renewal_exclude" default:"/admin/" doc:"Path prefixes on which no session is renewed on the way."`
}

// Cookies says how the cookies are named and where they are sent.
type Cookies struct {
	Access       string         `key:"access" default:"access_token" doc:"Name of the access cookie, without prefix."`
	Refresh      string         `key:"refresh" default:"refresh_token" doc:"Name of the refresh cookie, without prefix."`
	CSRF         string         `key:"csrf" default:"csrftoken" doc:"Name of the CSRF cookie, without prefix."`
	Prefix       cookie.Prefix  `key:"prefix" default:"auto" enum:"auto host secure none" doc:"auto, host, secure or none; auto is __Host- on https, __Secure- with a domain, none on loopback http."`
	SameSite     string         `key:"same_site" default:"Lax" enum:"Lax Strict None" doc:"Lax, Strict or None."`
	Domain       string         `key:"domain" default:"" doc:"Send the cookies to all hosts under this domain."`
	LegacyScopes []cookie.Scope `key:"legacy_scopes" default:"" doc:"Where cookies of our names linger from earlier set-ups and are expired: a list of path and domain, as /app, /@example.com or /app@example.com."`
}

// Auth says where the API is and which credential it looks at first.
type Auth struct {
	Path      string `key:"path" default:"/auth" doc:"Prefix of the API."`
	Order     string `key:"order" default:"cookie_first" enum:"cookie_first bearer_first" doc:"Which credential counts when a request brings a cookie and a bearer that both verify. With bearer_first a bearer that verifies wins, and the request needs no CSRF token."`
	LoginPage string `key:"login_page" default:"/" doc:"Path of the page to sign in, where a browser is sent that opens a page of a route for which it has to be signed in; it gets the path it wanted as next. Empty: it gets the answer 401, as scripts do."`
	Docs      bool   `key:"docs" default:"true" doc:"Serve the documentation of the API at /docs, and its OpenAPI document at /openapi.json."`
}

// CSRF says which other origins may send unsafe requests.
type CSRF struct {
	TrustedOrigins []string `key:"trusted_origins" default:"" doc:"Exact origins beside our own that may send unsafe requests, as https://app.example.com."`
}

// CORS says which other origins may read answers.
type CORS struct {
	AllowedOrigins []string `key:"allowed_origins" default:"" doc:"Exact origins beside our own whose pages may read answers, with credentials, as https://app.example.com; nobody by default. To send unsafe requests they must stand in csrf.trusted_origins as well. Of another site than public_url only with cookies.same_site None, since browsers send it no cookies otherwise."`
	AllowedHeaders []string `key:"allowed_headers" default:"" doc:"Request headers that these pages may send beside those the API itself needs."`
}

// Limits says how often passwords may be tried.
type Limits struct {
	LoginPerAccount string `key:"login_per_account" default:"5/m" doc:"Tries for one account, right or wrong: so many at once, refilled evenly over the time: a number and /s, /m, /h or /d."`
	LoginPerAddress string `key:"login_per_address" default:"30/m" doc:"The same for one client address, as far as trusted_proxies tells it."`
}

// Admin says where operators look.
type Admin struct {
	Listen              string `key:"listen" default:"" doc:"Address and port of a listener of its own for GET /metrics, and for /forward-auth if forward_auth is set; off by default. Whoever reaches it can ask them."`
	ForwardAuth         string `key:"forward_auth" default:"" enum:"nginx traefik caddy envoy" doc:"Tell other proxies, at /forward-auth of the listener admin.listen, whether a request may pass: in the dialect of nginx, traefik, caddy or envoy. Empty: off."`
	ForwardAuthAudience string `key:"forward_auth_audience" default:"" doc:"Claim aud of the tokens that the services behind that proxy get; default public_url with /forward-auth behind it. It must not be that of access tokens."`
}

// Password says which passwords may be chosen and how many are checked at once.
type Password struct {
	MinLength int `key:"min_length" default:"8" min:"8" max:"64" doc:"Least number of characters of a new password, 8 to 64."`
	HashSlots int `key:"hash_slots" default:"0" min:"0" max:"1024" doc:"Passwords checked at once; 0 is the number of cores less one, at least 1."`
}

// Log says what is logged to standard error.
type Log struct {
	Level  string `key:"level" default:"info" enum:"debug info warn error" doc:"debug, info, warn or error."`
	Format string `key:"format" default:"json" enum:"json text" doc:"json or text."`
}

// Defaults returns the configuration when nothing is set.
func Defaults() Config {
	var c Config
	root.fill(c.top().in)
	return c
}

// DatabasePath returns the path of the SQLite file.
func (c Config) DatabasePath() string { return strings.TrimPrefix(c.Database, sqliteScheme) }

// Postgres reports whether the database is a PostgreSQL.
func (c Config) Postgres() bool { return isPostgres(c.Database) }

// DatabaseName is how messages name the database: the path of the file, or the URL without its password.
func (c Config) DatabaseName() string {
	if c.Postgres() {
		return hidePassword(c.Database)
	}
	return c.DatabasePath()
}

// URL returns the address under which browsers know a server that listens on port.
func (c Config) URL(port int) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	return fmt.Sprintf("http://localhost:%d", port)
}

// CookieConfig returns what package cookie needs. publicURL is the one in force: see [Config.URL].
func (c Config) CookieConfig(publicURL string) cookie.Config {
	modes := map[string]http.SameSite{
		"Lax": http.SameSiteLaxMode, "Strict": http.SameSiteStrictMode, "None": http.SameSiteNoneMode,
	}
	return cookie.Config{
		PublicURL: publicURL,
		Access:    c.Cookies.Access, Refresh: c.Cookies.Refresh, CSRF: c.Cookies.CSRF,
		Prefix: c.Cookies.Prefix, SameSite: modes[c.Cookies.SameSite], Domain: c.Cookies.Domain,
		LegacyScopes: c.Cookies.LegacyScopes,
	}
}

// loopbackAddress reports whether only this machine can connect to an address that is listened on.
func loopbackAddress(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && isLoopback(host)
}
