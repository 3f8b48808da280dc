package doctor

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// A jar as strict as browsers are (RFC 6265bis, sections 5.6 to 5.8), which says why it refuses a cookie. net/http/cookiejar
// drops such cookies in silence, and does not know of prefixes and SameSite.

const (
	maxCookie    = 4096 // bytes of name and value together (section 5.7, step 5)
	maxAttribute = 1024 // bytes of a value of an attribute; longer ones are ignored (section 5.6)
)

// A setCookie is one Set-Cookie field as browsers read it.
type setCookie struct {
	name, value      string
	domain           string // lower case, without a leading dot; "" is the host alone
	path             string // "" where the field has none that counts
	sameSite         string // as written, "" for none
	secure, httpOnly bool
	deletes          bool
	line             string // as it came, without the value
}

// parseSetCookie reads a field (section 5.6). It reports whether there is a cookie in it at all.
func parseSetCookie(line string, now time.Time) (setCookie, bool) {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return setCookie{}, false
	}
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, found := strings.Cut(pair, "=")
	if !found {
		name, value = "", name
	}
	c := setCookie{name: trim(name), value: trim(value)}
	if c.name == "" && c.value == "" {
		return setCookie{}, false
	}
	c.line = hideTokens(c.name) + "=" + hide(c.value)
	var expires, maxAge *bool
	for _, attribute := range strings.Split(attributes, ";") {
		key, value, _ := strings.Cut(attribute, "=")
		key, value = trim(key), trim(value)
		if key == "" {
			continue
		}
		c.line += "; " + key
		if value != "" {
			c.line += "=" + hideTokens(value)
		}
		if len(value) > maxAttribute {
			continue
		}
		switch strings.ToLower(key) {
		case "domain":
			c.domain = strings.ToLower(strings.TrimPrefix(value, "."))
		case "path":
			if c.path = value; !strings.HasPrefix(value, "/") {
				c.path = ""
			}
		case "samesite":
			c.sameSite = value
		case "secure":
			c.secure = true
		case "httponly":
			c.httpOnly = true
		case "max-age":
			if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
				over := seconds <= 0
				maxAge = &over
			}
		case "expires":
			if at, err := http.ParseTime(value); err == nil {
				over := !at.After(now)
				expires = &over
			}
		}
	}
	if maxAge == nil {
		maxAge = expires
	}
	c.deletes = maxAge != nil && *maxAge
	return c, true
}

func trim(s string) string { return strings.Trim(s, " \t") }

// hide stands for the value of a cookie: it may be a token. That it is empty is no secret.
func hide(value string) string {
	if value == "" {
		return ""
	}
	return "…"
}

// crossSite reports whether the field lets the cookie go with requests of other sites' pages. Without the attribute, or with a
// value that is none, it is Lax where it matters.
func (c setCookie) crossSite() bool { return strings.EqualFold(c.sameSite, "none") }

// knownSameSite reports whether the field says which requests the cookie goes with.
func (c setCookie) knownSameSite() bool {
	return slices.ContainsFunc([]string{"lax", "strict", "none"}, func(s string) bool { return strings.EqualFold(s, c.sameSite) })
}

// prefixed reports whether the name has a prefix, which browsers compare without case.
func (c setCookie) prefixed(prefix string) bool {
	return len(c.name) >= len(prefix) && strings.EqualFold(c.name[:len(prefix)], prefix)
}

// A refusal is why a browser does not store a cookie. It is zero where it does.
type refusal struct{ kind, why string }

// refused says whether a browser stores a cookie that an answer of u sets for a page. Of several reasons it is the one that
// most likely is the cause of the others.
func (c setCookie) refused(u *url.URL, page *url.URL) refusal {
	host := strings.ToLower(u.Hostname())
	switch {
	case u.Scheme != "https" && c.secure && isLoopback(host):
		return refusal{kindLocal, "Secure, and the answer came by plain http"} // WebKit; the others make an exception
	case u.Scheme != "https" && c.secure:
		return refusal{kindScheme, "Secure, and the answer came by plain http"}
	case c.prefixed("__Host-") && (!c.secure || c.domain != "" || c.path != "/"),
		c.prefixed("__Secure-") && !c.secure:
		return refusal{kindPrefix, c.prefixRule()}
	case c.domain != "" && c.domain != host && (isAddress(host) || !strings.HasSuffix(host, "."+c.domain)):
		return refusal{kindDomain, "Domain=" + hideTokens(c.domain) + " is not " + host + " or a parent of it"}
	case c.domain != "" && c.domain != host && isPublicSuffix(c.domain):
		return refusal{kindDomain, "Domain=" + hideTokens(c.domain) + " is a public suffix: its hosts have different owners"}
	case c.crossSite() && !c.secure:
		return refusal{kindSameSite, "SameSite=None without Secure"}
	case len(c.name)+len(c.value) > maxCookie:
		return refusal{kindSize, strconv.Itoa(len(c.name)+len(c.value)) + " bytes of name and value, of 4096"}
	case !sameSite(page, u) && !c.crossSite():
		return refusal{kindOtherSite, "set for a page of another site, without SameSite=None"}
	}
	return refusal{}
}

// prefixRule says what the prefix of the name wants and does not get.
func (c setCookie) prefixRule() string {
	var lacks []string
	if !c.secure {
		lacks = append(lacks, "Secure")
	}
	prefix := "__Secure-"
	if c.prefixed("__Host-") {
		prefix = "__Host-"
		if c.path != "/" {
			lacks = append(lacks, "Path=/")
		}
		if c.domain != "" {
			lacks = append(lacks, "no Domain")
		}
	}
	return "a name with " + prefix + " needs " + strings.Join(lacks, " and ")
}

// A jar holds what a browser would.
type jar struct {
	entries []entry
}

// An entry is a cookie by its name, domain and path: together they are what it is known by (section 5.7, step 23).
type entry struct {
	setCookie
	host string
	only bool // for the host alone
}

// store takes a cookie from an answer of u, or says why not.
func (j *jar) store(c setCookie, u, page *url.URL) refusal {
	if no := c.refused(u, page); no.kind != "" {
		return no
	}
	e := entry{setCookie: c, host: c.domain, only: c.domain == ""}
	if e.only {
		e.host = strings.ToLower(u.Hostname())
	}
	if e.path == "" {
		e.path = defaultPath(u.Path)
	}
	j.entries = slices.DeleteFunc(j.entries, func(old entry) bool {
		return old.name == e.name && old.host == e.host && old.only == e.only && old.path == e.path
	})
	if !c.deletes {
		j.entries = append(j.entries, e)
	}
	return refusal{}
}

// field returns the Cookie field of a request to u by a page, "" for none.
func (j *jar) field(u, page *url.URL) string {
	var pairs []string
	for _, e := range j.matching(u, page) {
		pairs = append(pairs, e.name+"="+e.value)
	}
	return strings.Join(pairs, "; ")
}

// matching returns the cookies that go with a request to u by a script of a page (section 5.8.3).
func (j *jar) matching(u, page *url.URL) []entry {
	host := strings.ToLower(u.Hostname())
	var all []entry
	for _, e := range j.entries {
		switch {
		case e.host != host && (e.only || !strings.HasSuffix(host, "."+e.host)):
		case !pathMatches(u.Path, e.path):
		case e.secure && u.Scheme != "https":
		case !sameSite(page, u) && !e.crossSite():
		default:
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return len(b.path) - len(a.path) })
	return all
}

// defaultPath is that of a cookie without one (section 5.1.4).
func defaultPath(of string) string {
	i := strings.LastIndexByte(of, '/')
	if i <= 0 {
		return "/"
	}
	return of[:i]
}

// pathMatches is section 5.1.4 as well.
func pathMatches(request, of string) bool {
	return request == of || strings.HasPrefix(request, of) && (strings.HasSuffix(of, "/") || request[len(of)] == '/')
}

// sameSite reports whether browsers count two addresses as one site: same scheme and registrable domain, whatever the ports
// (section 5.2).
func sameSite(a, b *url.URL) bool { return a.Scheme == b.Scheme && site(a) == site(b) }

func site(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if isAddress(host) {
		return host
	}
	if registrable, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return registrable
	}
	return host
}

func isAddress(host string) bool { return net.ParseIP(host) != nil }

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// isLoopback reports whether a host cannot be reached over a network (RFC 6761, section 6.3).
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
