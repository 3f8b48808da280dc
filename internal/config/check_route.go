package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/tokenjar/tokenjar/proxy"
)

// What makes routes impossible: everything that package proxy refuses when the server starts, in the names of the settings, and
// what only the whole configuration can tell.

// A report takes a mistake in the setting key, nil for none; others are further settings it is about.
type report func(key string, err error, others ...string)

// checkRoutes reports what is wrong with the routes of one address; list is "routes" or "frontends[0].routes".
func (c Config) checkRoutes(wrong report, list string, routes []Route, spa SPA) {
	for i, r := range routes {
		at := entryKey(list, i)
		c.checkRoute(wrong, at, r)
		if badPath(r.Path) {
			continue
		}
		for j, other := range routes[:i] {
			if bare(other.Path) == bare(r.Path) {
				wrong(at+".path", fmt.Errorf("%s is the path of %s as well: keep one of them", shown(r.Path), entryKey(list, j)),
					entryKey(list, j)+".path")
				break
			}
		}
		switch own, fix, setting := c.takenBy(r.Path); {
		case own != "":
			wrong(at+".path", fmt.Errorf("%s is never reached: %s is served here itself; use another%s", shown(r.Path), own, fix),
				setting...)
		case bare(r.Path) == "/assets" && routeAt(routes, "/") < 0 && spa == (SPA{}):
			wrong(at+".path", fmt.Errorf("%s hides the files of the page to sign in at /: use another, or have spa or a route lead "+
				"from / as well", shown(r.Path)))
		}
	}
	if page, _, _ := strings.Cut(c.Auth.LoginPage, "?"); page != "" && checkPath(page) == nil {
		if i := routeAt(routes, page); i >= 0 && getRule(routes[i]) == "required" {
			at := entryKey(list, i)
			wrong("auth.login_page", fmt.Errorf("%s is on %s, which only opens to who is signed in, so that browsers would be sent "+
				"there in a circle: set auth to optional there, name a page elsewhere, or none by \"\"", shown(page), at), at+".auth",
				at+".path")
		}
	}
}

// checkRoute reports what is wrong with a route, whatever the others are.
func (c Config) checkRoute(wrong report, at string, r Route) {
	for _, err := range split(r.ProxyRoute().Check(c.listeners())) {
		key, detail := routeMistake(err)
		missing := key == "path" && r.Path == "" || key == "upstream" && r.Upstream == ""
		if !missing { // which is said of every setting that is required
			wrong(strings.Trim(at+"."+key, "."), errors.New(detail))
		}
	}
	if !authenticates(r) {
		if r.SessionCheck != "" {
			wrong(at+".session_check", errors.New("has no effect where auth is none: remove it"), at+".auth")
		}
		return
	}
	if r.SessionCheck != "" && !r.SessionCheck.Stricter(c.Token.SessionCheck) {
		wrong(at+".session_check", fmt.Errorf("%s is not stricter than token.session_check, %s, which holds on every route: remove "+
			"it", r.SessionCheck, c.Token.SessionCheck), "token.session_check")
	}
	if r.Token != "" && r.Token != string(proxy.Audience) {
		return
	}
	audience, from := r.Audience, at+".audience"
	if u, err := proxy.CheckUpstream(r.Upstream, c.listeners()); audience == "" && err == nil {
		audience, from = u.Scheme+"://"+u.Host, at+".upstream"
	}
	for _, own := range c.ownAudiences() {
		if audience != "" && audience == own.value {
			wrong(at+".audience", fmt.Errorf("%s is our own, by %s: the service could use its tokens here; name the service, as "+
				"orders", shown(audience), own.key), from, own.key)
			return
		}
	}
}

type ownName struct{ key, value string }

// ownAudiences are names by which tokens made for a service would be taken for ours, and the settings they come from.
func (c Config) ownAudiences() []ownName {
	own := []ownName{
		{"token.audience", cmp.Or(c.Token.Audience, c.ownURL())}, {"token.issuer", cmp.Or(c.Token.Issuer, c.ownURL())},
	}
	for i, f := range c.Frontends {
		own = append(own, ownName{entryKey("frontends", i) + ".public_url", f.PublicURL})
	}
	return own
}

// ownURL is public_url, or what it is by default, as far as that is known.
func (c Config) ownURL() string {
	_, text, _ := net.SplitHostPort(c.Listen)
	port, _ := strconv.Atoi(text)
	return c.URL(port)
}

// listeners are the addresses that lead to us.
func (c Config) listeners() []string {
	if c.Admin.Listen == "" {
		return []string{c.Listen}
	}
	return []string{c.Listen, c.Admin.Listen}
}

// takenBy names what we serve ourselves before any route is looked at, what else could be done about it, and the setting that
// it follows from; empty if a route of this path is reached. One above all that is: it has the rest.
func (c Config) takenBy(path string) (own, fix string, settings []string) {
	if c.Auth.Path != "" && covers(c.Auth.Path, path) {
		return "all below " + c.Auth.Path, ", or set auth.path to another", []string{"auth.path"}
	}
	for _, own := range []string{"/.well-known/jwks.json", "/healthz", "/readyz"} {
		if covers(own, path) {
			return own, "", nil
		}
	}
	if c.Auth.Docs {
		for _, own := range []string{"/docs", "/openapi.json"} {
			if covers(own, path) {
				return own, ", or set auth.docs to false", []string{"auth.docs"}
			}
		}
	}
	return "", "", nil
}

// bare returns a path prefix without the slash at its end, which makes no difference.
func bare(path string) string { return strings.TrimSuffix(path, "/") }

func badPath(path string) bool { return proxy.CheckPath(path) != nil }

// covers reports whether a path is a prefix or lies below it, in whole segments.
func covers(prefix, path string) bool {
	rest, ok := strings.CutPrefix(bare(path), bare(prefix))
	return ok && (rest == "" || rest[0] == '/')
}

// routeAt returns the route that a path leads to, the longest that matches; -1 if there is none.
func routeAt(routes []Route, path string) int {
	best := -1
	for i, r := range routes {
		if !badPath(r.Path) && covers(r.Path, path) && (best < 0 || len(bare(r.Path)) > len(bare(routes[best].Path))) {
			best = i
		}
	}
	return best
}

// getRule is what a route asks of a browser that opens a page.
func getRule(r Route) string {
	if rule, ok := r.Methods["GET"]; ok {
		return rule.Auth
	}
	return cmp.Or(r.Auth, "required")
}

// authenticates reports whether any request on a route is asked who sends it.
func authenticates(r Route) bool {
	named := 0
	for _, rule := range r.Methods {
		if rule.Auth != "none" {
			return true
		}
		named++
	}
	return r.Auth != "none" && named < len(methodNames)
}

func entryKey(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// routeKeys are the fields of [proxy.Route] and the settings they come from.
var routeKeys, routeFields = func() (map[string]string, *regexp.Regexp) {
	keys, names := map[string]string{"InsecureSkipCSRF": "csrf"}, []string{"InsecureSkipCSRF"}
	for field := range reflect.TypeFor[Route]().Fields() {
		keys[field.Name] = field.Tag.Get("key")
		names = append(names, field.Name)
	}
	return keys, regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\b(?:` + strings.Join(names, "|") + `)\b`)
}()

// routeMistake says an error of [proxy.Route.Check] by the names of the settings.
func routeMistake(err error) (key, detail string) {
	detail = err.Error()
	if field, rest, ok := strings.Cut(detail, ": "); ok && routeKeys[field] != "" {
		key, detail = routeKeys[field], rest
	}
	detail = routeFields.ReplaceAllStringFunc(detail, func(word string) string {
		return cmp.Or(routeKeys[word], word) // in quotes: a value
	})
	return key, detail
}

// routeWarnings are about what a route allows that is probably not meant.
func routeWarnings(warn func(format string, args ...any), list string, routes []Route) {
	for i, r := range routes {
		at := entryKey(list, i)
		if r.CSRF == "none" && authenticates(r) {
			warn("%s.csrf is none: any page of any site can make a signed-in browser send any request to %s", at, r.Path)
		}
		if r.Token == string(proxy.Forward) && authenticates(r) {
			warn("%s.token is forward: the service at %s, behind %s, gets the users' own access tokens, and may do with them "+
				"whatever the users may", at, r.Upstream, r.Path)
		}
		if u, err := url.Parse(r.Upstream); err == nil && u.Scheme == "http" && !privateHost(u.Hostname()) {
			warn("%s.upstream %s is plain http to another network: whoever is on the way can read and change what the service gets, "+
				"tokens included; use https", at, r.Upstream)
		}
		for _, name := range r.PassHeaders {
			if proxy.IsIdentity(name) && !strings.EqualFold(name, "Authorization") { // which passes only where no other is set
				warn("%s.pass_headers: services believe %s about who sends a request or how it came, and here anybody may set it", at,
					name)
			}
		}
	}
}

// privateHost reports whether a host is this machine or of a network that is not the internet's: an address of one (RFC 1918,
// 4193, 6598), or a name under no public suffix, as orders or orders.prod.svc.cluster.local. Names are not looked up.
func privateHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() || addr.IsPrivate() || carrierGrade.Contains(addr)
	}
	if strings.HasSuffix(host, ".home.arpa") { // RFC 8375
		return true
	}
	suffix, public := publicsuffix.PublicSuffix(host)
	return !public && !strings.Contains(suffix, ".")
}

var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")
