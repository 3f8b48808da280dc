package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/internal/clientip"
	"github.com/tokenjar/tokenjar/ratelimit"
)

// Check reports everything that makes the configuration impossible, as [Mistakes] by the names of the settings. Files
// are not looked at.
func (c Config) Check() error {
	var ms Mistakes
	wrong := func(key string, err error, others ...string) {
		if err != nil {
			ms = append(ms, Mistake{Key: key, Detail: err.Error(), others: others})
		}
	}
	c.top().each(func(s setting, at spot) { wrong(at.path+s.key, s.checkValue(at)) })
	wrong("listen", checkListen(c.Listen))
	badURL := checkPublicURL(c.PublicURL)
	wrong("public_url", badURL)
	if c.SecretFile == "" {
		wrong("secret_file", errors.New("names no file: write its path, or remove the line to have the default"))
	}
	for _, err := range split(checkDatabase(c.Database)) {
		wrong("database", err)
	}
	if _, err := clientip.New(c.TrustedProxies); err != nil {
		wrong("trusted_proxies", err)
	}
	if c.Token.AccessLifetime%time.Second != 0 {
		wrong("token.access_lifetime", fmt.Errorf("%s is no whole number of seconds", c.Token.AccessLifetime))
	}
	if every := c.Token.RotateEvery; every > 0 && every < day {
		wrong("token.rotate_every", fmt.Errorf("%s is out of range: use 1d or more, or 0 for never", formatDuration(every)))
	}
	if c.Token.StaleSessions == "allow" && c.Token.SessionCheck != tokenjar.CheckCached {
		wrong("token.stale_sessions", fmt.Errorf("allow has a meaning only with token.session_check cached, not %s: remove it",
			c.Token.SessionCheck), "token.session_check")
	}
	if c.Session.Grace == 0 && c.Session.TransparentRenewal {
		wrong("session.transparent_renewal", errors.New("cannot be true with session.grace 0, because every parallel "+
			"request would end the session: set session.grace to 10s, or this to false"), "session.grace")
	}
	for i, prefix := range c.Session.RenewalExclude {
		if err := checkPath(prefix); err != nil {
			wrong("session.renewal_exclude", fmt.Errorf("item %d: %w", i+1, err))
		}
	}
	wrong("auth.path", checkAuthPath(c.Auth.Path))
	if c.Auth.LoginPage != "" {
		page, query, _ := strings.Cut(c.Auth.LoginPage, "?")
		err := checkPath(page)
		if err == nil && (strings.ContainsAny(query, "#\\") || strings.ContainsFunc(query, notASCII)) {
			err = fmt.Errorf("%s must have a plain query: no backslash, blank or #", shown(c.Auth.LoginPage))
		}
		wrong("auth.login_page", err)
	}

	publicURL := c.URL(8080) // any port will do
	if badURL != nil {
		publicURL = "https://unknown.example" // what is wrong whatever the address is still found
	}
	_, err := cookie.New(c.CookieConfig(publicURL))
	for _, m := range cookieMistakes(err) {
		if badURL == nil || !dependsOnURL[m.Key] {
			ms = append(ms, m)
		}
	}
	for _, list := range c.originLists() {
		_, err = csrf.NewOrigins(list.origins)
		for _, err := range split(err) {
			wrong(list.key, errors.New(strings.Replace(err.Error(), "trusted origin ", "item ", 1)))
		}
		if err == nil {
			for _, err := range c.otherSites(list.origins) {
				wrong(list.key, err, "public_url", "cookies.same_site")
			}
		}
	}
	for i, name := range c.CORS.AllowedHeaders {
		if !HeaderName(name) {
			wrong("cors.allowed_headers", fmt.Errorf("item %d: %s is no name of a header: list each by its name, of "+
				"letters, digits and hyphens", i+1, shown(name)))
		}
	}
	if len(c.CORS.AllowedHeaders) > 0 && len(c.CORS.AllowedOrigins) == 0 {
		wrong("cors.allowed_headers", errors.New("has no effect without cors.allowed_origins: remove it, or say whose pages "+
			"may send them"), "cors.allowed_origins")
	}
	wrong("limits.login_per_account", checkRate(c.Limits.LoginPerAccount))
	wrong("limits.login_per_address", checkRate(c.Limits.LoginPerAddress))
	if c.Admin.Listen != "" {
		wrong("admin.listen", checkListen(c.Admin.Listen))
		if SameListener(c.Listen, c.Admin.Listen) {
			wrong("admin.listen", fmt.Errorf("%s is where listen answers everybody: use another port, as 127.0.0.1:9090",
				shown(c.Admin.Listen)), "listen")
		}
	}
	if audience := c.Admin.ForwardAuthAudience; audience != "" {
		switch {
		case c.Admin.ForwardAuth == "":
			wrong("admin.forward_auth_audience", errors.New("has no effect without admin.forward_auth: remove it, or say which proxy asks"),
				"admin.forward_auth")
		case audience == c.Token.Audience || audience == c.Token.Issuer || audience == strings.TrimSuffix(c.PublicURL, "/"):
			wrong("admin.forward_auth_audience", fmt.Errorf("%s is our own: a service could use its tokens on us; name the services, "+
				"as https://orders.internal", shown(audience)), "token.audience", "token.issuer", "public_url")
		case len(audience) > 255:
			wrong("admin.forward_auth_audience", errors.New("is longer than 255 bytes"))
		}
	}
	if c.Admin.ForwardAuth != "" && c.Admin.Listen == "" {
		wrong("admin.forward_auth", errors.New("needs admin.listen, where it is served: set that, as to 127.0.0.1:9090"), "admin.listen")
	}
	c.checkSites(wrong)
	return ms.orNil()
}

type originList struct {
	key     string
	origins []string
	risk    string // what plain http gives away
}

func (c Config) originLists() []originList {
	return []originList{
		{"csrf.trusted_origins", c.CSRF.TrustedOrigins, "act"},
		{"cors.allowed_origins", c.CORS.AllowedOrigins, "read"},
	}
}

// otherSites reports the origins that browsers send no cookies from: those of another site than our own, unless the
// cookies are SameSite=None. Another port is the same site; another scheme is not (RFC 6265bis, section 5.2).
func (c Config) otherSites(origins []string) (errs []error) {
	public, err := url.Parse(c.URL(8080)) // any port will do
	if err != nil || c.Cookies.SameSite == "None" {
		return nil
	}
	for i, origin := range origins {
		if other, err := url.Parse(origin); err == nil && !sameSite(public, other) {
			errs = append(errs, fmt.Errorf("item %d: %s is another site than the public_url %s: with cookies.same_site %s "+
				"browsers send it no cookies; use hosts below one domain with one scheme, or cookies.same_site None", i+1,
				shown(origin), public, c.Cookies.SameSite))
		}
	}
	return errs
}

var headerName = regexp.MustCompile("^[A-Za-z0-9-]{1,100}$")

// HeaderName reports whether pages of other origins may be allowed to send a header of this name: a field name (RFC
// 9110, section 5.1) of letters, digits and hyphens. Proxies take others for one another, as X_A for X-A.
func HeaderName(name string) bool { return headerName.MatchString(name) }

// checkRate reports why a text is no limit.
func checkRate(text string) error {
	if _, err := ratelimit.ParseRate(text); err != nil { // which would show all of a long text
		return fmt.Errorf("%s is no limit: write a number from 1 to 1000000 and /s, /m, /h or /d, as 5/m", shown(text))
	}
	return nil
}

// SameListener reports whether two addresses to listen on cannot both be had. Names are not looked up.
func SameListener(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return listenHost(hostA) == listenHost(hostB) || listenHost(hostA) == "" || listenHost(hostB) == ""
}

// listenHost returns a host in one spelling; empty for all addresses.
func listenHost(host string) string {
	addr, err := netip.ParseAddr(host)
	switch {
	case strings.EqualFold(host, "localhost"):
		return "127.0.0.1"
	case err != nil:
		return strings.ToLower(host)
	case addr.IsUnspecified():
		return ""
	}
	return addr.Unmap().String()
}

// checkValue reports a value that could not have come from a file, in a Config that a program has made, or that is missing.
func (s setting) checkValue(at spot) error {
	switch field := s.field(at.in); {
	case s.entries != nil:
		return nil
	case s.required() && field.IsZero():
		return fmt.Errorf("is missing: write it, as %s", s.example)
	case at.path != "" && field.IsZero():
		return nil
	case s.kind() == methodsKind:
		return checkMethods(field.Interface().(map[string]MethodRule))
	}
	scratch, texts := reflect.New(at.typ).Elem(), s.get(at.in)
	if s.kind() == listKind {
		return s.setList(scratch, texts)
	}
	return s.setOne(scratch, texts[0])
}

// Warnings returns sentences about what is allowed but probably not meant. The configuration must have passed Check.
func (c Config) Warnings() []string { return c.warnings("") }

// warnings is Warnings where sslmode is what the environment has for database URLs that say nothing of it.
func (c Config) warnings(sslmode string) []string {
	var out []string
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	public, err := url.Parse(c.URL(8080))
	if err != nil {
		return nil
	}
	if public.Scheme == "http" && !loopbackAddress(c.Listen) {
		warn("listen %s can be reached over the network, but public_url is a loopback address: browsers elsewhere are "+
			"refused; set public_url to the https address they use", c.Listen)
	}
	if c.Token.AccessLifetime >= c.Session.Idle {
		warn("token.access_lifetime (%s) is not shorter than session.idle (%s): sessions go idle before they are "+
			"refreshed, also those in use", formatDuration(c.Token.AccessLifetime), formatDuration(c.Session.Idle))
	}
	usual := Defaults()
	for _, life := range []struct {
		key         string
		set, unsaid time.Duration
	}{{"session.idle", c.Session.Idle, usual.Session.Idle}, {"session.remember", c.Session.Remember, usual.Session.Remember}} {
		if life.set > c.Session.Absolute && life.set != life.unsaid { // a default that is cut surprises nobody
			warn("%s (%s) is longer than session.absolute (%s), which ends every session", life.key, formatDuration(life.set),
				formatDuration(c.Session.Absolute))
		}
	}
	if c.Postgres() {
		database, _ := parsePostgres(c.Database)
		if host, mode := database.readable(sslmode); host != "" {
			warn("database: the connection to %s is not safe with sslmode %s: whoever is on the way can read and change the password "+
				"and the sessions; use sslmode=verify-full", host, mode)
		}
		if grace := c.Session.Grace; grace > 0 && grace < databaseWait {
			warn("session.grace (%s) is shorter than a refresh may wait for PostgreSQL (%s): one of two tabs that refresh at once may come "+
				"too late and end the session, as a copied token would; use %[2]s or more", formatDuration(grace), formatDuration(databaseWait))
		}
	}
	if cores := runtime.GOMAXPROCS(0); c.Password.HashSlots > cores {
		warn("password.hash_slots (%d) is more than this machine has cores (%d): each takes 19 MiB, %d MiB in all, and other "+
			"requests wait for them", c.Password.HashSlots, cores, 19*c.Password.HashSlots)
	}
	if c.Token.SessionCheck == tokenjar.CheckStateless {
		warn("token.session_check is stateless: after a sign-out access tokens still work, for up to %s",
			formatDuration(c.Token.AccessLifetime))
	}
	for _, list := range c.originLists() {
		for _, origin := range list.origins {
			if other, err := url.Parse(origin); err == nil && other.Scheme == "http" && !isLoopback(other.Hostname()) {
				warn("%s: %s is plain http: whoever can change its traffic can %s for its users", list.key, origin, list.risk)
			}
		}
	}
	for _, site := range c.sites() {
		routeWarnings(warn, site.routesKey, site.routes)
	}
	if c.Admin.Listen != "" && !loopbackAddress(c.Admin.Listen) {
		warn("admin.listen %s can be reached over the network: see to it that only your monitoring and your proxy do", c.Admin.Listen)
	}
	return out
}

// databaseWait is how long a call waits for a PostgreSQL: the default of postgres.Config.Timeout, half of it for a row that
// another transaction holds.
const databaseWait = 5 * time.Second

func checkListen(addr string) error {
	const form = "write host:port, as 127.0.0.1:8080, or :8080 for all addresses"
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s is no address: %s", shown(addr), form)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%s: the port is a number from 0 to 65535: %s", shown(addr), form)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !hostName.MatchString(host) {
		return fmt.Errorf("%s: the host is an IP address or a name: %s", shown(addr), form)
	}
	return nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// checkPublicURL reports why browsers cannot know us by this address. What stands before an @ is never shown.
func checkPublicURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || u.Opaque != "":
		if strings.Contains(s, "@") {
			return errors.New("is no address: write https://host")
		}
		return fmt.Errorf("%s is no address: write https://host, or http://localhost:port", shown(s))
	case u.User != nil:
		return errors.New("must not have a user name or password in it: remove what stands before the @")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s: the scheme must be https, or http on loopback", shown(s))
	case u.Scheme == "http" && !isLoopback(strings.ToLower(u.Hostname())):
		return fmt.Errorf("%s is plain http for a host that is not this machine: use https, with TLS ended in front of "+
			"this server", shown(s))
	}
	origin, err := csrf.SerializeOrigin(u)
	if err != nil {
		return fmt.Errorf("%s: %w", shown(s), err)
	}
	if s != origin {
		return fmt.Errorf("%s has to be scheme, host and port alone, as browsers write them: %s", shown(s), origin)
	}
	return nil
}

// checkPath reports why a text is no absolute path of our own origin, in the one form that requests are brought to.
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("%s must begin with a slash", shown(p))
	case strings.Contains(p, "//"), strings.ContainsAny(p, "\\;?#% "), strings.ContainsFunc(p, notASCII):
		return fmt.Errorf("%s must be a plain path: no //, backslash, blank, query or escape", shown(p))
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%s must not contain . or .. as a segment", shown(p))
		}
	}
	return nil
}

// ownRoots are the first segments of what is served at the root.
var ownRoots = []string{".well-known", "openapi.json", "docs", "healthz", "readyz", "metrics", "forward-auth", "assets"}

func checkAuthPath(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	if p == "/" || strings.HasSuffix(p, "/") || strings.ContainsAny(p, "{}") {
		return fmt.Errorf("%s must be a prefix without a slash at the end, as /auth or /api/auth", shown(p))
	}
	if p != strings.ToLower(p) { // requests that differ from it by case alone are refused
		return fmt.Errorf("%s must be in lower case: write %s", shown(p), shown(strings.ToLower(p)))
	}
	first, _, _ := strings.Cut(p[1:], "/")
	for _, taken := range ownRoots {
		if strings.EqualFold(first, taken) {
			return fmt.Errorf("%s is taken: /%s is served at the root; use another, as /auth", shown(p), taken)
		}
	}
	return nil
}

func notASCII(r rune) bool { return r < '!' || r > '~' }

// isLoopback reports whether a host cannot be reached over a network (RFC 6761, section 6.3).
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// sameSite reports whether browsers count two origins as one site: same scheme and registrable domain, whatever the
// ports (RFC 6265bis, section 5.2).
func sameSite(a, b *url.URL) bool {
	if a.Scheme != b.Scheme {
		return false
	}
	site := func(u *url.URL) string {
		host := strings.ToLower(u.Hostname())
		if _, err := netip.ParseAddr(host); err == nil {
			return host
		}
		if registrable, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
			return registrable
		}
		return host
	}
	return site(a) == site(b)
}

// cookieFields are the fields of [cookie.Config] and the settings they come from.
var cookieFields = map[string]string{
	"PublicURL": "public_url", "Access": "cookies.access", "Refresh": "cookies.refresh", "CSRF": "cookies.csrf",
	"Prefix": "cookies.prefix", "SameSite": "cookies.same_site", "Domain": "cookies.domain",
	"LegacyScopes": "cookies.legacy_scopes",
}

// dependsOnURL are the settings that cannot be judged without the host of the public URL.
var dependsOnURL = map[string]bool{"public_url": true, "cookies.domain": true, "cookies.legacy_scopes": true}

var (
	cookieError = regexp.MustCompile(`^cookie: ([A-Za-z]+)(?:\[([0-9]+)\])?(?:\.[A-Za-z]+)?: (.*)$`)
	cookieField = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\b(?:PublicURL|Access|Refresh|CSRF|Prefix|SameSite|Domain)\b`)
)

// cookieMistakes says the errors of [cookie.New] by the names of the settings.
func cookieMistakes(err error) (ms []Mistake) {
	for _, err := range split(err) {
		m := Mistake{Detail: err.Error()}
		if part := cookieError.FindStringSubmatch(err.Error()); part != nil && cookieFields[part[1]] != "" {
			m.Key = cookieFields[part[1]]
			m.Detail = cookieField.ReplaceAllStringFunc(part[3], func(word string) string {
				if setting := cookieFields[word]; setting != "" {
					return setting
				}
				return word // in quotes: a value
			})
			if part[2] != "" {
				i, _ := strconv.Atoi(part[2])
				m.Detail = fmt.Sprintf("item %d: %s", i+1, m.Detail)
			}
			switch {
			case m.Key != "public_url" && (dependsOnURL[m.Key] || strings.Contains(m.Detail, "https")):
				m.others = []string{"public_url"}
			case m.Key == "cookies.prefix":
				m.others = []string{"cookies.domain"}
			}
		}
		ms = append(ms, m)
	}
	return ms
}

// split returns the errors that errors.Join put together.
func split(err error) []error {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		return joined.Unwrap()
	}
	return []error{err}
}
