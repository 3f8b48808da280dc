package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// What is there at all: the certificate, tokenjar itself, its host and scheme, its keys, its readiness.

// endsSoon is how long before its end a certificate is told of. Those that renew themselves do so earlier.
const endsSoon = 7 * 24 * time.Hour

// sayHello asks who is signed in, as a page does when it opens.
func (e *exam) sayHello(ctx context.Context) ([]found, error) {
	a, err := e.do(ctx, request{path: e.cfg.Path + "/session"})
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil:
	case errors.As(err, &untrusted):
		e.stopped = kindCertificate
		return []found{{kindCertificate, untrusted.Err.Error() + certificateHint(untrusted.Err)}}, nil
	case errors.Is(err, http.ErrSchemeMismatch):
		return nil, &fault{fmt.Sprintf("%s speaks plain HTTP: write it as http://", originOf(e.url))}
	default:
		return nil, &fault{fmt.Sprintf("%s does not answer: %v", originOf(e.url), err)}
	}
	e.hello = a
	list := judgeHello(a)
	if len(list) > 0 {
		e.stopped = list[0].kind
	}
	if !a.expires.IsZero() && a.got.Add(endsSoon).After(a.expires) {
		list = append(list, found{kindCertificate, "the certificate ends at " + a.expires.UTC().Format(time.RFC3339)})
	}
	return list, nil
}

// certificateHint tells a CA of one's own from a certificate that is wrong.
func certificateHint(err error) string {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return "; if that is a CA of your own, name its file in the environment variable SSL_CERT_FILE"
	}
	return ""
}

var addressPattern = regexp.MustCompile(`Its address is (\S+)\.`)

// judgeHello says what is wrong with the answer to the first question.
func judgeHello(a *answer) []found {
	var body struct {
		Authenticated *bool `json:"authenticated"`
	}
	switch {
	case a.status == http.StatusOK && json.Unmarshal(a.body, &body) == nil && body.Authenticated != nil:
		return nil
	case a.redirects():
		return judgeRedirect(a)
	case a.code == "misdirected_host":
		address := addressPattern.FindStringSubmatch(a.detail)
		switch {
		case address == nil && a.url.Scheme == "http":
			return []found{{kindScheme, a.String() + ": " + hideTokens(a.detail)}}
		case address == nil:
			return []found{{kindProto, a.String() + ": " + hideTokens(a.detail)}}
		case strings.EqualFold(address[1], originOf(a.url)):
			return []found{{kindHost, a.String() + ", and yet its address is " + address[1]}}
		}
		return []found{{kindPublicURL, a.String() + ": its address is " + hideTokens(address[1])}}
	case a.status == http.StatusServiceUnavailable && a.ours():
		return []found{{kindNotReady, a.String()}}
	}
	return []found{{kindNoAPI, a.String() + " with " + a.field("Content-Type") + ", which is none of tokenjar's answers"}}
}

// judgeRedirect says where a redirect of the first question leads.
func judgeRedirect(a *answer) []found {
	to, err := a.url.Parse(a.header.Get("Location"))
	switch {
	case err != nil:
	case a.url.Scheme == "http" && to.Scheme == "https":
		return []found{{kindScheme, a.String() + ": examine the https address"}}
	case sameButSlash(a.url, to):
		return []found{{kindSlash, a.String()}}
	}
	return []found{{kindNoAPI, a.String()}}
}

// sameButSlash reports whether two addresses differ by a slash at the end of their paths alone.
func sameButSlash(a, b *url.URL) bool {
	return a.Host == b.Host && a.Path != b.Path && strings.TrimSuffix(a.Path, "/") == strings.TrimSuffix(b.Path, "/")
}

// checkReady asks whether the server can reach its database.
func (e *exam) checkReady(ctx context.Context) ([]found, error) {
	var answers []*answer
	for _, path := range []string{"/readyz", "/healthz"} {
		a, err := e.do(ctx, request{path: path})
		if hungUp(ctx, err) { // chance, or for good?
			a, err = e.do(ctx, request{path: path, fresh: true})
		}
		switch {
		case hungUp(ctx, err): // a moment ago something else was answered: this is kept from us
			return []found{{kindHealth, "GET " + path + ": " + unanswered(a, err)}}, nil
		case err != nil:
			return nil, err
		}
		answers = append(answers, a)
	}
	return judgeReady(answers[0], answers[1]), nil
}

// hungUp reports whether a connection was ended in place of an answer. Who is silent until our patience ends has not hung up.
func hungUp(ctx context.Context, err error) bool {
	late, ok := errors.AsType[net.Error](err)
	return err != nil && ctx.Err() == nil && !(ok && late.Timeout())
}

func judgeReady(ready, healthy *answer) []found {
	var body struct{ Status string }
	if !ready.ours() && (json.Unmarshal(ready.body, &body) != nil || body.Status == "") {
		return []found{{kindHealth, ready.String()}}
	}
	for _, a := range []*answer{ready, healthy} {
		if a.status >= 500 {
			return []found{{kindNotReady, a.String()}}
		}
	}
	return nil
}

// checkKeys asks for the public keys, as services do that verify access tokens.
func (e *exam) checkKeys(ctx context.Context) ([]found, error) {
	a, err := e.do(ctx, request{path: "/.well-known/jwks.json"})
	if err != nil {
		return nil, err
	}
	return judgeKeys(a), nil
}

var (
	maxAgePattern = regexp.MustCompile(`(?:^|[ ,])max-age=([0-9]+)(?:[ ,]|$)`)
	longestAge    = 600 * time.Second // of the keys; ours is 300 s, and new ones are published for twice as long before they sign
)

func judgeKeys(a *answer) []found {
	var body struct{ Keys []json.RawMessage }
	if a.status != http.StatusOK || json.Unmarshal(a.body, &body) != nil || len(body.Keys) == 0 {
		return []found{{kindKeys, a.String()}}
	}
	control := strings.ToLower(a.header.Get("Cache-Control"))
	age := maxAgePattern.FindStringSubmatch(control)
	var seconds time.Duration
	if age != nil {
		seconds, _ = time.ParseDuration(age[1] + "s")
	}
	if strings.Contains(control, "no-store") || seconds <= 0 || seconds > longestAge {
		return []found{{kindKeysCache, a.what + ": " + a.field("Cache-Control")}}
	}
	return nil
}

// checkScheme looks at the address itself.
func (e *exam) checkScheme(context.Context) ([]found, error) {
	if e.url.Scheme != "https" && !isLoopback(e.url.Hostname()) {
		return []found{{kindScheme, originOf(e.url) + " is plain http, on a host that is not this machine"}}, nil
	}
	return nil, nil
}

// checkHSTS looks at what an https address promises (RFC 6797).
func (e *exam) checkHSTS(context.Context) ([]found, error) {
	if e.url.Scheme != "https" {
		return nil, &left{"the address is not https"}
	}
	return judgeHSTS(e.hello), nil
}

// judgeHSTS wants the promise, but not of the one name that all programs on a machine share.
func judgeHSTS(a *answer) []found {
	value := strings.ToLower(strings.ReplaceAll(a.header.Get("Strict-Transport-Security"), " ", ""))
	promised := value != "" && !strings.HasPrefix(value, "max-age=0")
	seen := a.what + ": " + a.field("Strict-Transport-Security")
	switch shared := strings.EqualFold(a.url.Hostname(), "localhost"); {
	case shared && promised:
		return []found{{kindLocalHSTS, seen}}
	case !shared && !promised:
		return []found{{kindHSTS, seen}}
	}
	return nil
}

// checkPlainHTTP sends a POST by plain http to the host of an https address. It bears nothing.
func (e *exam) checkPlainHTTP(ctx context.Context) ([]found, error) {
	if e.url.Scheme != "https" || e.url.Port() != "" && e.url.Port() != "443" {
		return nil, &left{"the address is not https on its own port, so there is no port for plain http"}
	}
	plain := &url.URL{Scheme: "http", Host: e.url.Hostname()}
	if strings.Contains(plain.Host, ":") {
		plain.Host = "[" + plain.Host + "]"
	}
	a, err := e.do(ctx, request{method: http.MethodPost, path: e.cfg.Path + "/logout", url: plain})
	if err != nil {
		return nil, ctx.Err() // nobody there: so be it
	}
	return judgePlainHTTP(a), nil
}

func judgePlainHTTP(a *answer) []found {
	to, err := a.url.Parse(a.header.Get("Location"))
	switch {
	case a.status >= 400:
		return nil
	case !a.redirects() || err != nil || to.Scheme != "https":
		return []found{{kindPlainHTTP, a.String()}}
	case a.status != http.StatusPermanentRedirect && a.status != http.StatusTemporaryRedirect:
		return []found{{kindMethodLost, a.String()}}
	}
	return nil
}

// checkClock compares the server's clock with this machine's, as far as an answer tells.
func (e *exam) checkClock(context.Context) ([]found, error) {
	date, err := http.ParseTime(e.hello.header.Get("Date"))
	if err != nil {
		return nil, &left{"the answer has no Date"}
	}
	return judgeClock("Date", date, e.hello), nil
}

// maxSkew is what a node may differ from its database before it says that it is not ready.
const maxSkew = 5 * time.Second

// judgeClock compares a time in whole seconds, told by an answer, with ours while the answer was under way.
func judgeClock(clock string, at time.Time, a *answer) []found {
	ahead, behind := at.Sub(a.got), a.sent.Sub(at.Add(time.Second))
	switch {
	case ahead > maxSkew:
		return []found{{kindClock, fmt.Sprintf("%s: %s is %s ahead of this machine's clock", a.what, clock, ahead.Round(time.Second))}}
	case behind > maxSkew:
		return []found{{kindClock, fmt.Sprintf("%s: %s is %s behind this machine's clock", a.what, clock, behind.Round(time.Second))}}
	}
	return nil
}
