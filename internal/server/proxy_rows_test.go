package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
)

// A proxyRow is a request and what must become of it. In its texts stand {host} for our host, {origin} for our origin, and
// {access}, {refresh}, {csrf} for what Ada's browser has.
type proxyRow struct {
	is     string // ids of the catalogue, and the case
	method string // default GET
	target string // default /api/x
	fields string // after Host and the credentials, each with its line end
	body   string
	who    string // "ada" by default, with her cookies; "nobody"; "raw": fields has all of the head after the request line
	want   int    // default 200
	closes bool   // nothing is served after it on this connection
	sent   string // what the service must have been sent as target; default: that of /api/x
	check  func(t *testing.T, got upstreamtest.Request)
}

const unsafeHead = "Origin: {origin}\r\nX-CSRFToken: {csrf}\r\n"

// nominated makes a Connection field of many names.
func nominated(n int) string {
	return "Connection: " + strings.Repeat("x,", n) + "Authorization, x-forwarded-for\r\n"
}

// identityFields are names by which services are told of clients.
var identityFields = []string{
	"Authorization", "Proxy-Authorization", "Proxy", "Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert",
	"X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Real-IP", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "True-Client-IP",
	"Fastly-Client-IP", "Fly-Client-IP", "CF-Connecting-IP", "Cf-Access-Jwt-Assertion", "X-Originating-IP", "X-Remote-IP", "X-Remote-User", "Remote-User", "Remote-Addr",
	"Remote-Groups", "X-User", "X-User-Id", "X-Username", "X-Auth", "X-Auth-User", "X-Auth-Request-User", "X-Auth-Request-Access-Token", "X-Authenticated-User",
	"X-Authenticated-Userid", "X-WebAuth-User", "X-Original-URL", "X-Original-Host", "X-Rewrite-URL", "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override",
	"X-Client-Cert", "Client-Cert", "X-SSL-Client-Cert", "SSL-Client-Verify", "X-Consumer-Username", "X-Credential-Identifier", "X-Envoy-External-Address",
	"X-Goog-Authenticated-User-Email", "X-Goog-IAP-JWT-Assertion", "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Data", "X-Ms-Client-Principal", "X-Ms-Client-Principal-Id",
	"X-Appengine-User-Email", "X-Azure-ClientIP", "Tailscale-User-Login", "X-Pomerium-Jwt-Assertion", "X-Authentik-Username", "X-Jwt-Assertion", "X-Userinfo",
	"X-Id-Token", "X-Access-Token", "X-Request-Id", "X-Tokenjar-Problem", "X-Tokenjar-Hop", "X-Host", "X-Scheme", "Front-End-Https", "X-Script-Name",
	"X-Middleware-Subrequest", "X-Accel-Mapping", "X-Sendfile-Type",
}

func eachIdentity(line func(name string) string) string {
	var all strings.Builder
	for _, name := range identityFields {
		if name != "Authorization" { // two of them are refused
			all.WriteString(line(name))
		}
	}
	return all.String()
}

var proxyRows = []proxyRow{
	// What is connected with the connection.
	{is: "P-01, M-1: Connection names what we set", fields: "Connection: keep-alive, Authorization, X-Forwarded-For, X-Forwarded-Host, Forwarded, X-Request-Id, Cookie, X-User, Host\r\n"},
	{is: "P-01: close, and what we set", fields: "Connection: close, Authorization, X-Forwarded-For\r\n", closes: true},
	{is: "P-02: in any case, with tabs and empty elements", fields: "Connection: \t,aUTHORIZATION ,,\tx-FORWARDED-for\t,\r\ncOnNeCtIoN: AUTHORIZATION,cookie\r\n"},
	{is: "P-02: 5,000 names", fields: nominated(5000)},
	{is: "P-03: the first Connection is empty", fields: "Connection: \r\nConnection: Authorization, Keep-Alive, X-Forwarded-For\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", check: without("Connection", "Keep-Alive", "Proxy-Connection")},
	{is: "P-03: a field that is named goes, and nothing else", fields: "Connection: X-Hop\r\nX-Hop: 1\r\nX-App: mine\r\n", check: func(t *testing.T, got upstreamtest.Request) {
		without("X-Hop")(t, got)
		if v := got.Values("X-App"); !slices.Equal(v, []string{"mine"}) {
			t.Errorf("X-App: %q", v)
		}
	}},
	{is: "P-29, M-12: trailers", method: "POST", fields: unsafeHead + "TE: trailers\r\nTrailer: Authorization, Cookie, X-User\r\nTransfer-Encoding: chunked\r\n",
		body: "5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\nCookie: evil=1\r\nX-User: evil\r\n\r\n", closes: true, check: func(t *testing.T, got upstreamtest.Request) {
			without("Te", "Trailer")(t, got)
			if got.Body != "hello" {
				t.Errorf("body: %q", got.Body)
			}
		}},
	{is: "P-29: a length as trailer", method: "POST", fields: unsafeHead + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n", body: "0\r\nContent-Length: 5\r\n\r\n", want: 400, closes: true},
	{is: "P-29: trailers that nobody announced", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\n", body: "5\r\nhello\r\n0\r\nX-User: evil\r\n\r\n", closes: true, check: framed("hello")},
	{is: "P-29: TE alone", fields: "TE: trailers, gzip;q=0.5\r\n", check: without("Te")},

	// Who the client is.
	{is: "P-05: every identity field", fields: eachIdentity(func(n string) string { return n + ": evil\r\n" })},
	{is: "P-05: in odd case, twice and empty", fields: eachIdentity(func(n string) string { return strings.ToUpper(n) + ": evil\r\n" + strings.ToLower(n) + ":\r\n" })},
	{is: "P-05, M-3: with a blank value in front", fields: eachIdentity(func(n string) string { return n + ":\r\n" + n + ": evil\r\n" })},
	{is: "P-04, M-2: with underscores", fields: eachIdentity(func(n string) string { return strings.ReplaceAll(n, "-", "_") + ": evil\r\n" }) + "Authorization_: evil\r\n_Authorization: evil\r\nX_User: evil\r\n"},
	{is: "P-04: with other characters that CGI makes underscores of", fields: "X.User: evil\r\nX!User: evil\r\nX~User: evil\r\nX+Forwarded+For: evil\r\nX'User: evil\r\nX|Real|IP: evil\r\n"},
	{is: "P-04: a name that ends in a dot", fields: "Authorization.: evil\r\nX-User.: evil\r\n"},
	{is: "P-06: nobody, where anybody may", target: "/maybe/x", sent: "/r-maybe/maybe/x", who: "nobody", fields: "Authorization: Bearer evil\r\n" + eachIdentity(func(n string) string { return n + ": evil\r\n" })},
	{is: "P-06: nobody, where no credential is looked at", target: "/open/x", sent: "/r-open/open/x", who: "nobody", fields: "Authorization: Bearer evil\r\n" + eachIdentity(func(n string) string { return n + ": evil\r\n" })},
	{is: "P-06: Ada, where no credential is looked at", target: "/open/x", sent: "/r-open/open/x", fields: "Authorization: Bearer evil\r\n"},
	{is: "P-07: forwarded addresses of a peer that is not trusted", fields: "X-Forwarded-For: 6.6.6.6, evil\r\nForwarded: for=evil;host=evil\r\nX-Real-IP: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\nCF-Connecting-IP: 6.6.6.6\r\n"},
	{is: "P-07: a thousand hops", fields: "X-Forwarded-For: " + strings.Repeat("6.6.6.6, ", 1000) + "fe80::1%evil\r\n"},
	{is: "P-11: a bearer beside the cookie", fields: "Authorization: Bearer evil\r\nProxy-Authorization: Basic evil\r\n"},
	{is: "P-11: two bearers beside the cookie", fields: "Authorization: Bearer evil\r\nAuthorization: Bearer evil\r\n", want: 400},
	{is: "P-11: a bearer alone becomes ours", who: "raw", fields: "Host: {host}\r\nAuthorization: Bearer {access}\r\n"},
	{is: "P-23: what monitors send", who: "nobody", fields: "User-Agent: kube-probe/1.30\r\nX-Health: 1\r\n", want: 401},
	{is: "P-23: a health path below a route", who: "nobody", target: "/api/healthz", want: 401},

	// Cookies.
	{is: "P-09: ours go, others stay as they are", check: cookies("theme=dark; lang=en")},
	{is: "P-09: others byte for byte", who: "raw", fields: "Host: {host}\r\nCookie: a=\"x y\"; access_token={access}; b=%3B,;c ; =d; refresh_token={refresh};e=1\r\n", check: cookies(`a="x y"; b=%3B,;c ; =d;e=1`)},
	{is: "P-09: in several lines", who: "raw", fields: "Host: {host}\r\nCookie: access_token={access}\r\nCookie: a=1\r\nCookie: refresh_token={refresh}; b=2\r\n", check: cookies("a=1; b=2")},
	{is: "P-10: in other cases and with other prefixes", fields: lookAlikes("ACCESS_TOKEN", "__Host-access_token", "__host-Refresh_Token", "__Secure-refresh_token", "__http-access_token", "__Host-Http-refresh_token", "__HOST-__Host-access_token")},
	{is: "P-10: with what is cut from names", fields: lookAlikes(" access_token", "access_token ", "\taccess_token\t", "access_token\xa0", "\xc2\xa0refresh_token", `"access_token"`, "csrftoken ", "\tcsrftoken")},
	{is: "P-10: with what becomes an underscore", fields: lookAlikes("access.token", "access token", "refresh[token", "access%5Ftoken", "access%5ftoken", "%61ccess_token", "__%48ost-refresh_token", "refresh+token")},
	{is: "P-10: without a name", fields: "Cookie: =access_token=evil\r\nCookie: ==refresh_token=evil\r\nCookie: = access_token=evil\r\n"},
	{is: "P-10: behind a comma", fields: "Cookie: a=1, access_token=evil\r\nCookie: a=1,refresh_token=evil, b=2\r\n"},
	{is: "P-10: behind a blank", fields: "Cookie: a=1 access_token=evil\r\nCookie: b=2\trefresh_token=evil\r\n"},
	{is: "P-10, CK-05: in a sandwich of quotes", fields: "Cookie: $Version=1; a=\"1; access_token=evil; b=2\"; $Path=\"/\"\r\nCookie: $Version=\"1\"; refresh_token=\"evil\"; $Path=\"/\"; $Domain=\"x\"\r\n"},
	{is: "P-10, M-16: another session's beside ours", fields: "Cookie: access_token=evil\r\nCookie: refresh_token=evil\r\n"},
	{is: "P-10, M-18: 3,001 cookies", fields: "Cookie: " + strings.Repeat("a=1; ", 3001) + "b=2\r\n", want: 431},
	{is: "P-10: no cookie but ours", who: "raw", fields: "Host: {host}\r\nCookie: access_token={access}; refresh_token={refresh}\r\n", check: without("Cookie")},

	// Paths.
	{is: "P-13, M-4: encoded dots", target: "/api/%2e%2e/admin", want: 400}, {is: "P-13: in two cases", target: "/api/%2E%2e/admin", want: 400},
	{is: "P-13: half encoded", target: "/api/.%2e/admin", want: 400}, {is: "P-13: one dot", target: "/api/./x", want: 400}, {is: "P-13: at the end", target: "/api/x/%2e", want: 400},
	{is: "P-13: dots with a blank", target: "/api/..%20/admin", want: 400}, {is: "P-13: dots of another script", target: "/open/%EF%BC%8E%EF%BC%8E/api/x", want: 400},
	{is: "P-13: dots with what is not seen", target: "/open/.%E2%80%8B./api/x", want: 400},
	{is: "P-14: an encoded slash", target: "/api/..%2fadmin", want: 400}, {is: "P-14: two", target: "/api/%2f..%2fadmin", want: 400}, {is: "P-14: a backslash", target: `/api/..\admin`, want: 400},
	{is: "P-14: an encoded backslash", target: "/api/..%5cadmin", want: 400}, {is: "P-14: dots between encoded slashes where they may be", target: "/files/a%2f..%2fb", want: 400},
	{is: "P-14: an encoded slash where it may be stays", target: "/files/a%2fb", sent: "/r-files/files/a%2Fb"},
	{is: "P-14: that leads to another route", target: "/api%2fadmin/x", want: 400}, {is: "P-14: within a route", target: "/api/admin%2fx", want: 400},
	{is: "P-15: encoded twice", target: "/api/%252e%252e/x", sent: "/r-api/%252e%252e/x"}, {is: "P-15: three times", target: "/api/%25252e", sent: "/r-api/%25252e"},
	{is: "P-15: unreserved letters are decoded, once", target: "/%61pi/%7euser/%2541", sent: "/r-api/~user/%2541"},
	{is: "P-17: dots with parameters", target: "/api/..;/admin", want: 400}, {is: "P-17: parameters on a prefix", target: "/api;x=1/admin", want: 400}, {is: "P-17: one dot", target: "/api/.;/", want: 400},
	{is: "P-17: parameters that lead to another route", target: "/api/admin;x/y", want: 400}, {is: "P-17: encoded", target: "/api/admin%3bx/y", want: 400},
	{is: "P-17: an empty segment with parameters", target: "/api/;x/admin/y", want: 400}, {is: "P-17: elsewhere they are part of a name", target: "/api/x;v=1", sent: "/r-api/x;v=1"},
	{is: "P-18, M-5: dots", target: "/api/../auth/login", want: 400}, {is: "P-18: two slashes", target: "//api//x", want: 400}, {is: "P-18: a dot in front", target: "/./api/x", want: 400},
	{is: "P-18: 3,000 slashes", target: strings.Repeat("/", 3000), want: 400}, {is: "P-18: a long path", target: "/api/" + strings.Repeat("a", 9000), want: 400},
	{is: "P-18: another case of a route", target: "/API/x", want: 400}, {is: "P-18: another case of an inner route", target: "/api/Admin/x", want: 400},
	{is: "P-18: a letter that folds", target: "/api/adm%C4%B1n/x", want: 400}, {is: "P-18: a dot behind a prefix", target: "/api/admin./x", want: 400}, {is: "P-18: a blank behind one", target: "/api/admin%20/x", want: 400},
	{is: "P-18: full-width letters", target: "/%EF%BD%81pi/x", want: 400},
	{is: "P-19, M-8: a fragment", target: "/api/x#/open", want: 400}, {is: "P-19: encoded it is part of a name", target: "/api/x%23y", sent: "/r-api/x%23y"},
	{is: "P-13: NUL", target: "/api/x%00", want: 400}, {is: "P-13: eight bits", target: "/api/caf\xe9", want: 400}, {is: "P-13: overlong dots", target: "/api/%c0%ae%c0%ae/x", want: 400},
	{is: "P-21: the query is no path", who: "nobody", target: "/api/x?y=/open/", want: 400 + 1}, {is: "P-21: nor with dots", target: "/api/x?../../open", sent: "/r-api/x?../../open"},
	{is: "P-21: a question mark that is encoded", who: "nobody", target: "/api%3f/open/", want: 404},

	// Hosts and methods.
	{is: "P-22, M-7: absolute form, another host", target: "http://evil.example/api/x", want: 421}, {is: "P-22: absolute form", target: "http://{host}/api/x"},
	{is: "P-22: with user information", target: "http://ada:evil@{host}/api/x", want: 400}, {is: "P-22: empty user information", target: "http://@{host}/api/x", want: 400},
	{is: "P-22: absolute form decides, not Host", who: "raw", target: "http://{host}/open/x", sent: "/r-open/open/x", fields: "Host: evil.example\r\n"},
	{is: "P-22: unknown", who: "raw", fields: "Host: evil.example\r\n", want: 421}, {is: "P-22: in upper case", who: "raw", fields: "Host: LOCALHOST:1\r\n", want: 421},
	{is: "P-22: with a dot", who: "raw", fields: "Host: localhost.\r\n", want: 421}, {is: "P-22: two hosts", fields: "Host: {host}\r\n", want: 400, closes: true},
	{is: "P-22: two hosts in one", who: "raw", fields: "Host: {host}, evil.example\r\n", want: 400, closes: true}, {is: "P-22: none", who: "raw", want: 400, closes: true},
	{is: "P-22: with user information in Host", who: "raw", fields: "Host: evil@{host}\r\n", want: 400, closes: true},
	{is: "P-24, M-6: CONNECT", method: "CONNECT", target: "/api/x", want: 405}, {is: "P-24: TRACE", method: "TRACE", want: 405}, {is: "P-24: lower case", method: "get", want: 405},
	{is: "P-24: a method of WebDAV", method: "PROPFIND", want: 405}, {is: "I-18: one of nobody's", method: "BREW", want: 405},
	{is: "P-24: the query overrides no method", target: "/api/x?_method=DELETE", sent: "/r-api/x?_method=DELETE", fields: "X-HTTP-Method-Override: evil\r\nX-Method-Override: evil\r\n"},

	// Framing.
	{is: "P-25, M-9: length and chunks", method: "POST", fields: unsafeHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", body: "0\r\n\r\n", closes: true, check: framed("")},
	{is: "P-25: chunks and length", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", body: "0\r\n\r\n", closes: true, check: framed("")},
	{is: "P-25: where nobody is asked", method: "POST", target: "/open/x", sent: "/r-open/open/x", who: "nobody", fields: "Content-Length: 50\r\nTransfer-Encoding: chunked\r\n", body: "2\r\nhi\r\n0\r\n\r\n", closes: true, check: framed("hi")},
	{is: "P-26: two lengths", method: "POST", fields: unsafeHead + "Content-Length: 0\r\nContent-Length: 5\r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: a list of lengths", method: "POST", fields: unsafeHead + "Content-Length: 5, 5\r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: a plus", method: "POST", fields: unsafeHead + "Content-Length: +5\r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: a minus", method: "POST", fields: unsafeHead + "Content-Length: -1\r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: hexadecimal", method: "POST", fields: unsafeHead + "Content-Length: 0x5\r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: 2^64", method: "POST", fields: unsafeHead + "Content-Length: 18446744073709551616\r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: an empty length", method: "POST", fields: unsafeHead + "Content-Length: \r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: identity behind chunked", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked, identity\r\n", body: "0\r\n\r\n", want: 501, closes: true},
	{is: "P-26: xchunked", method: "POST", fields: unsafeHead + "Transfer-Encoding: xchunked\r\n", body: "0\r\n\r\n", want: 501, closes: true},
	{is: "P-26: chunked twice", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", body: "0\r\n\r\n", want: 501, closes: true},
	{is: "P-26: a blank before the colon", method: "POST", fields: unsafeHead + "Content-Length : 5\r\n", body: "hello", want: 400, closes: true},
	{is: "P-26: a blank in front of the name", fields: " Transfer-Encoding: chunked\r\n", check: without("Transfer-Encoding")},
	{is: "P-27: a size with a plus", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\n", body: "+5\r\nhello\r\n0\r\n\r\n", want: 400, closes: true},
	{is: "P-27: 17 digits", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\n", body: "00000000000000005\r\nhello\r\n0\r\n\r\n", want: 400, closes: true},
	{is: "P-27, M-11: a bare line feed", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\n", body: "5\nhello\n0\n\n", want: 400, closes: true},
	{is: "P-27: an extension of 64 kB", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\n", body: "5;" + strings.Repeat("x", 64<<10) + "\r\nhello\r\n0\r\n\r\n", want: 400, closes: true},
	{is: "P-27: data behind a chunk", method: "POST", fields: unsafeHead + "Transfer-Encoding: chunked\r\n", body: "2\r\nhello\r\n0\r\n\r\n", want: 400, closes: true},
	{is: "P-28, M-10: a folded field reaches the service in one line", fields: "X-App: a\r\n b\r\n\tc\r\n", check: func(t *testing.T, got upstreamtest.Request) {
		if v := got.Values("X-App"); !slices.Equal(v, []string{"a b c"}) {
			t.Errorf("X-App: %q", v)
		}
	}},
	{is: "P-28: a fold in front of an identity", fields: "X-App: a\r\n X-User: mine\r\nX-Forwarded-User:\r\n evil\r\n", check: without("X-User", "X-Forwarded-User")},
	{is: "P-28: bare line feeds", fields: "X-App: a\nX-Other: b\n", check: func(t *testing.T, got upstreamtest.Request) {
		if strings.Contains(strings.ReplaceAll(got.Bytes, "\r\n", ""), "\n") {
			t.Errorf("got %q", got.Bytes)
		}
	}},
	{is: "P-28: a carriage return in a value", fields: "X-App: a\rX-User: evil\r\n", want: 400, closes: true}, {is: "P-28: NUL in a value", fields: "X-App: a\x00b\r\n", want: 400, closes: true},
	{is: "P-26: a name that is none", fields: "X App: evil\r\n", want: 400, closes: true}, {is: "P-26: a name of eight bits", fields: "X-\xe9: evil\r\n", want: 400, closes: true},
	{is: "P-26: a name with a blank that breaks no line", fields: "X-User\xc2\xa0: evil\r\n", want: 400, closes: true}, {is: "R: a name of 10 kB", fields: strings.Repeat("x", 10<<10) + ": 1\r\n"},
	{is: "R: a head of 70 kB", fields: "X-App: " + strings.Repeat("x", 70<<10) + "\r\n", want: 431, closes: true},

	// Queries.
	{is: "P-30, M-14: semicolons", target: "/api/x?a=1;b=2", want: 400}, {is: "P-30: a bad escape", target: "/api/x?a=%zz", want: 400}, {is: "P-30: half an escape", target: "/api/x?a=%2", want: 400},
	{is: "P-30, R-05: 10,001 fields", target: "/api/x?" + strings.Repeat("a&", 10_000) + "a", want: 400}, {is: "P-30: 64 kB", target: "/api/x?a=" + strings.Repeat("b", 64<<10), want: 431, closes: true},
	{is: "P-30: duplicates byte for byte", target: "/api/x?a=1&a=2&&=&b=%2f%2F+%20&c[]=%ff", sent: "/r-api/x?a=1&a=2&&=&b=%2f%2F+%20&c[]=%ff"},
	{is: "P-30: an empty one", target: "/api/x?", sent: "/r-api/x?"}, {is: "P-30: two question marks", target: "/api/x??a", sent: "/r-api/x??a"},
	{is: "P-30: a fragment in one", target: "/api/x?a#b", want: 400}, {is: "P-30: eight bits in one", target: "/api/x?a=\xe9", want: 400},

	// Other protocols.
	{is: "P-34: a WebSocket where none may be", fields: "Origin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", want: 403},
	{is: "P-34: of another origin", target: "/live/x", fields: "Origin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", want: 403},
	{is: "P-34: of no origin", target: "/live/x", fields: "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", want: 403},
	{is: "P-34: of nobody", target: "/live/x", who: "nobody", fields: "Origin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", want: 401},
	{is: "P-34: two Upgrade fields", target: "/live/x", fields: "Origin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", want: 400},
	{is: "P-34: Upgrade that Connection does not name", target: "/live/x", fields: "Origin: {origin}\r\nUpgrade: websocket\r\n", want: 400},
	{is: "P-34: with a body", target: "/live/x", fields: "Origin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", body: "hello", want: 400},
	{is: "P-34: its fields alone are no handshake", fields: "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nConnection: Upgrade\r\n", check: without("Upgrade", "Connection")},
	{is: "P-35, M-13: h2c", fields: "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", want: 400},
	{is: "P-35: HTTP2-Settings alone", fields: "HTTP2-Settings: AAMAAABk\r\n", want: 400}, {is: "P-35: TLS", fields: "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n", want: 400},
	{is: "P-35: a list of protocols", target: "/live/x", fields: "Origin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n", want: 400},
	{is: "P-39: an expectation that nobody knows", method: "POST", fields: unsafeHead + "Expect: evil\r\nContent-Length: 2\r\n", body: "hi", want: 417, closes: true},
	{is: "P-39: 100-continue is between the two of us", method: "POST", fields: unsafeHead + "Expect: 100-continue\r\nContent-Length: 2\r\n", body: "hi", check: without("Expect")},

	// Who may.
	{is: "P-06: nobody", who: "nobody", want: 401}, {is: "P-06: forged", who: "raw", fields: "Host: {host}\r\nCookie: access_token=eyJhbGciOiJub25lIn0.e30.\r\n", want: 401},
	{is: "X-01: a write without the CSRF token", method: "POST", fields: "Origin: {origin}\r\nContent-Length: 0\r\n", want: 403},
	{is: "X-01: a write from elsewhere", method: "POST", fields: "Origin: https://evil.example\r\nX-CSRFToken: {csrf}\r\nContent-Length: 0\r\n", want: 403},
	{is: "X-01: a write", method: "POST", fields: unsafeHead + "Content-Length: 2\r\nContent-Type: text/plain\r\n", body: "hi", check: func(t *testing.T, got upstreamtest.Request) {
		without("X-CSRFToken")(t, got)
		if got.Body != "hi" {
			t.Errorf("body %q", got.Body)
		}
	}},
	{is: "X-01: the token's name with an underscore is another", method: "POST", fields: "Origin: {origin}\r\nX_CSRFToken: {csrf}\r\nContent-Length: 0\r\n", want: 403},
	{is: "P-43: conditions and ranges are the service's to judge", fields: "Range: bytes=0-1\r\nIf-Range: \"a\"\r\nIf-None-Match: \"b\"\r\nIf-Match: *\r\n", check: func(t *testing.T, got upstreamtest.Request) {
		if len(got.Values("Range"))+len(got.Values("If-Range"))+len(got.Values("If-None-Match")) != 3 {
			t.Errorf("got %v", got.Fields)
		}
	}},
	{is: "P-41: a promise that only the service may give", fields: "Idempotency-Key: mine\r\nX-Idempotency-Key: mine\r\n", check: func(t *testing.T, got upstreamtest.Request) {
		if len(got.Values("Idempotency-Key"))+len(got.Values("X-Idempotency-Key")) != 2 {
			t.Errorf("got %v", got.Fields)
		}
	}},
	{is: "I-15: Accept of 8 kB", fields: "Accept: " + strings.Repeat("text/html;q=0.1,", 512) + "\r\nAccept-Language: " + strings.Repeat("*;", 4096) + "\r\n"},
}

func without(names ...string) func(*testing.T, upstreamtest.Request) {
	return func(t *testing.T, got upstreamtest.Request) {
		for _, name := range names {
			if v := got.Values(name); len(v) > 0 {
				t.Errorf("the service was sent %s: %q", name, v)
			}
		}
	}
}

func cookies(want string) func(*testing.T, upstreamtest.Request) {
	return func(t *testing.T, got upstreamtest.Request) {
		if v := got.Values("Cookie"); !slices.Equal(v, []string{want}) {
			t.Errorf("Cookie: got %q, want %q", v, want)
		}
	}
}

func framed(body string) func(*testing.T, upstreamtest.Request) {
	return func(t *testing.T, got upstreamtest.Request) {
		without("Content-Length")(t, got)
		if got.Body != body || !slices.Equal(got.Values("Transfer-Encoding"), []string{"chunked"}) {
			t.Errorf("got %q", got.Bytes)
		}
	}
}

// lookAlikes makes a Cookie field of each name, with others around it.
func lookAlikes(names ...string) string {
	var all strings.Builder
	for _, name := range names {
		fmt.Fprintf(&all, "Cookie: a=1; %s=evil; b=2\r\n", name)
	}
	return all.String()
}

func TestWhatAServiceGets(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	w := servertest.Start(t, theRoutes(service.URL))
	ada := w.SignIn(t, servertest.Ada)
	fill := strings.NewReplacer("{host}", w.Host(), "{origin}", w.Origin, "{access}", ada.Access, "{refresh}", ada.Refresh, "{csrf}", ada.CSRF)
	second := "GET /api/second HTTP/1.1\r\nHost: " + w.Host() + "\r\n" + credentials(ada) + "Connection: close\r\n\r\n"
	before := w.Digest(t)
	for _, row := range proxyRows {
		t.Run(row.is, func(t *testing.T) {
			if row.method == "" {
				row.method = "GET"
			}
			if row.target == "" {
				row.target = "/api/x"
			}
			if row.sent == "" {
				row.sent = "/r-api/x"
			}
			if row.want == 0 {
				row.want = 200
			}
			head := "Host: " + w.Host() + "\r\n"
			switch row.who {
			case "":
				head += credentials(ada)
			case "raw":
				head = ""
			}
			text := fill.Replace(row.method + " " + row.target + " HTTP/1.1\r\n" + head + row.fields + "\r\n" + row.body)
			service.Take()
			var answers []servertest.RawAnswer
			for _, a := range w.Answers(t, text+second) {
				if a.Status != 100 {
					answers = append(answers, a)
				}
			}
			if len(answers) == 0 || answers[0].Status != row.want {
				t.Fatalf("got %v, want %d", answers, row.want)
			}
			if a := answers[0]; a.Status/100 == 3 || a.Field("Location") != "" || a.Status >= 400 && a.Field("Set-Cookie") != "" {
				t.Errorf("INV-4, OR-10: got %s", a.Head)
			}
			wantAnswers := 2
			if row.closes {
				wantAnswers = 1
			}
			if len(answers) != wantAnswers {
				t.Errorf("P-25: %d answers, want %d: %v", len(answers), wantAnswers, answers)
			}
			// As many whole requests as answers of the service, and none that nobody sent.
			var whole []upstreamtest.Request
			for _, r := range service.Take() {
				if !r.Broken {
					whole = append(whole, r)
				}
			}
			if row.want == 200 {
				if len(whole) == 0 {
					t.Fatal("the service got nothing")
				}
				got := whole[0]
				whole = whole[1:]
				if got.Target != row.sent || got.Method != row.method {
					t.Errorf("the service was sent %s %s, want %s %s", got.Method, got.Target, row.method, row.sent)
				}
				if v := got.Values("Host"); !slices.Equal(v, []string{strings.TrimPrefix(service.URL, "http://")}) {
					t.Errorf("Host: %q", v)
				}
				bearer := row.who != "nobody" && !strings.Contains(row.target, "/open/") && !strings.Contains(row.target, "/maybe/")
				wantOursAlone(t, w, ada, got, bearer)
				if row.check != nil {
					row.check(t, got)
				}
			}
			if len(whole) != wantAnswers-1 || len(whole) == 1 && whole[0].Target != "/r-api/second" {
				t.Errorf("INV-2: the service was sent %v besides", whole)
			}
		})
	}
	if w.Digest(t) != before {
		t.Error("INV-6: something changed")
	}
	if log := w.Log.String(); strings.Contains(log, `"code":"upstream_`) {
		t.Error("P-27: a fault of a client counts as the service's")
	}
}
