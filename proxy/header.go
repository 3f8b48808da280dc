package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenjar/tokenjar/cookie"
)

// What of a request's head reaches a service, and what of an answer's reaches the browser.
//
// A service believes what a proxy says of the client, so nothing that looks like it may come from the client itself:
//
//   - names with another character than letters, digits and hyphens: CGI and its heirs read X_User as X-User
//   - names by which some proxy says who the client is or how it came: the families below
//   - what is ours: the cookies, the CSRF token, Authorization
//   - what is for one connection (RFC 9110, section 7.6.1), trailers, and upgrades but WebSocket's
//
// What we say ourselves is set afterwards, once, so that no Connection field can name it.

// hopByHop are for one connection, or announce what is not passed on.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true, "Http2-Settings": true, "Expect": true,
}

// identity are names, and families beside them, by which proxies tell services of clients.
var (
	identityNames = map[string]bool{
		"Authorization": true, "Forwarded": true, "X-User": true, "X-Username": true, "X-Forwarded": true, "X-Auth": true,
		"X-Method-Override": true, "Client-Cert": true, "Client-Cert-Chain": true, "X-Userinfo": true, "X-Id-Token": true,
		"X-Access-Token": true, "X-Request-Id": true, "X-Originating-Ip": true, "X-Host": true, "X-Scheme": true, "X-Url-Scheme": true,
		"Front-End-Https": true, "X-Script-Name": true, "Script-Name": true,
		"Proxy": true, // CGI makes HTTP_PROXY of it, through which some libraries then send their own requests
		// What tells one framework that a rule, or a file server in front, has done its part already.
		"X-Middleware-Subrequest": true, "X-Sendfile-Type": true, "X-Accel-Mapping": true,
	}
	identityFamilies = []string{
		"X-Forwarded-", "X-Real-", "X-Original-", "X-Rewrite-", "Cf-", "Remote-", "X-User-", "X-Auth-", "X-Http-Method", "Proxy-",
		"X-Remote-", "Impersonate-", "Oidc-", "X-Authenticated-", "X-Authentik-", "X-Webauth-", "X-Client-Cert", "X-Client-Dn", "X-Client-Verify", "X-Ssl-", "Ssl-",
		"X-Tls-", "X-Envoy-", "X-Consumer-", "X-Credential-", "X-Jwt-", "X-Pomerium-", "X-Goog-Iap-", "X-Goog-Authenticated-",
		"X-Amzn-Oidc-", "X-Amzn-Mtls-", "X-Ms-Client-Principal", "X-Ms-Token-", "X-Appengine-", "X-Azure-", "X-Arr-", "Tailscale-",
		"X-Http-Host", "X-Tokenjar-",
	}
)

// plain are the names of what browsers send, which need no further look.
var plain = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Cache-Control": true, "Content-Length": true,
	"Content-Type": true, "Cookie": true, "If-Modified-Since": true, "If-None-Match": true, "Origin": true, "Pragma": true,
	"Range": true, "Referer": true, "Sec-Ch-Ua": true, "Sec-Ch-Ua-Mobile": true, "Sec-Ch-Ua-Platform": true,
	"Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true, "Sec-Fetch-Site": true, "Sec-Fetch-User": true, "User-Agent": true,
	"Upgrade-Insecure-Requests": true, "X-Requested-With": true,
}

// IsIdentity reports whether services believe a header of this name about the client, so that it is removed unless a route
// names it in PassHeaders.
func IsIdentity(name string) bool { return isIdentity(http.CanonicalHeaderKey(name)) }

// isIdentity reports whether a request header of this name, in its canonical form, is none that a client may send on.
func isIdentity(name string) bool {
	if identityNames[name] || hopByHop[name] {
		return true
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return true
		}
	}
	for _, family := range identityFamilies {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return strings.HasSuffix(name, "Client-Ip") || strings.HasSuffix(name, "-Clientip") || strings.HasSuffix(name, "-Connecting-Ip")
}

// A headerRule is what a route does with the fields of a request.
type headerRule struct {
	pass, strip map[string]bool
	cookies     *cookie.Policy // nil: none are ours
}

func newHeaderRule(r Route, cookies *cookie.Policy) headerRule {
	rule := headerRule{pass: map[string]bool{}, strip: map[string]bool{}, cookies: cookies}
	for _, name := range r.PassHeaders {
		rule.pass[http.CanonicalHeaderKey(name)] = true
	}
	for _, name := range r.StripHeaders {
		rule.strip[http.CanonicalHeaderKey(name)] = true
	}
	return rule
}

// clean removes from a request's head what the service must not see. judged says that the CSRF token was ours to judge.
func (rule *headerRule) clean(h http.Header, judged bool) {
	for name, values := range h {
		switch {
		case rule.strip[name]:
			delete(h, name)
		case name == "Cookie":
			if rule.cookies != nil {
				setOrDelete(h, name, rule.withoutOurs(values))
			}
		case plain[name]:
		case name == csrfHeader:
			if judged && !rule.pass[name] {
				delete(h, name)
			}
		case isIdentity(name) && !rule.pass[name]:
			delete(h, name)
		}
	}
	if values, keyed := h["Idempotency-Key"]; keyed {
		// The transport takes it for a promise that the request may be sent twice, which is the service's to give. It looks
		// for the canonical name.
		delete(h, "Idempotency-Key")
		h["idempotency-key"] = values
	}
	if values, keyed := h["X-Idempotency-Key"]; keyed {
		delete(h, "X-Idempotency-Key")
		h["x-idempotency-key"] = values
	}
}

const csrfHeader = "X-Csrftoken" // as net/http writes X-CSRFToken

func setOrDelete(h http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(h, name)
	} else {
		h[name] = values
	}
}

// withoutOurs returns Cookie fields as one, without the cookies that are ours. All others stay as they are, in their order.
// Several fields are read differently, and one stands for them (RFC 9113, section 8.2.3).
func (rule *headerRule) withoutOurs(lines []string) []string {
	var kept []string
	for _, line := range lines {
		var b strings.Builder
		changed := false
		for pair := range strings.SplitSeq(line, ";") {
			if rule.holdsOurs(pair) {
				changed = true
				continue
			}
			if b.Len() > 0 {
				b.WriteByte(';')
			} else {
				pair = strings.TrimLeft(pair, " \t")
			}
			b.WriteString(pair)
		}
		switch {
		case !changed:
			kept = append(kept, line)
		case b.Len() > 0:
			kept = append(kept, b.String())
		}
	}
	if len(kept) > 1 {
		return []string{strings.Join(kept, "; ")}
	}
	return kept
}

// holdsOurs reports whether a piece of a Cookie field between two semicolons is a cookie of ours to some program. Most read
// name=value. To others a comma or a blank begins the next cookie as well (RFC 2109, section 4.3.4, which is obsolete, and
// http.cookies of Python), and to some what has no name is its own name.
func (rule *headerRule) holdsOurs(piece string) bool {
	if name, _, _ := strings.Cut(piece, "="); rule.isOurs(name) {
		return true
	}
	piece = strings.Trim(piece, " \t")
	if piece == "" || piece[0] != '=' && !strings.ContainsAny(piece, ", \t") {
		return false
	}
	for part := range strings.SplitSeq(piece, ",") {
		if rule.isOurs(nameOf(part)) {
			return true
		}
		for word := range strings.FieldsSeq(part) {
			if rule.isOurs(nameOf(word)) {
				return true
			}
		}
	}
	return false
}

func nameOf(pair string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(pair, "= \t"), "=")
	return name
}

// isOurs reports whether some program takes a name for that of a cookie of ours: PHP has an underscore for dots, blanks and
// brackets, and some decode names as if they were values.
func (rule *headerRule) isOurs(name string) bool {
	name = strings.Trim(name, " \t")
	if rule.cookies.IsOurs(name) { // which trims further, but for the CSRF cookie
		return true
	}
	if !strings.ContainsAny(name, "%.[+ ") {
		return false
	}
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	trimmed := strings.TrimSpace(name)
	return rule.cookies.IsOurs(trimmed) || rule.cookies.IsOurs(phpName.Replace(trimmed)) || rule.cookies.IsOurs(phpName.Replace(name))
}

var phpName = strings.NewReplacer(".", "_", " ", "_", "[", "_")

// cleanAnswer removes from an answer's head what is not the service's to say: cookies of our names, who may read the answer
// across origins, what only we say, and what would sign the browser out or lead it to another server.
func (rule *headerRule) cleanAnswer(h http.Header) {
	for name, values := range h {
		switch {
		case name == "Set-Cookie":
			if rule.cookies != nil {
				setOrDelete(h, name, rule.notOurs(values))
			}
		case strings.HasPrefix(name, "Access-Control-"), strings.HasPrefix(name, "X-Tokenjar-"), hopByHop[name] && name != "Upgrade" && name != "Connection",
			name == "Strict-Transport-Security", name == "X-Request-Id", name == "Alt-Svc":
			delete(h, name)
		case name == "Clear-Site-Data":
			text := strings.ToLower(strings.Join(values, ","))
			if strings.Contains(text, "cookies") || strings.Contains(text, "*") {
				delete(h, name)
			}
		}
	}
}

// notOurs returns Set-Cookie fields without those whose cookie has a name of ours.
func (rule *headerRule) notOurs(fields []string) []string {
	var kept []string
	for _, field := range fields {
		pair, _, _ := strings.Cut(field, ";")
		name, _, _ := strings.Cut(pair, "=")
		// A browser takes blanks around the name away, and a field without "=" for a value without a name, which it sends
		// back as it is (RFC 6265bis, section 5.6).
		if value, ok := strings.CutPrefix(strings.TrimLeft(pair, " \t"), "="); ok {
			name, _, _ = strings.Cut(value, "=")
		}
		if !rule.cookies.IsOurs(strings.Trim(name, " \t")) && !rule.cookies.IsOurs(name) {
			kept = append(kept, field)
		}
	}
	return kept
}
