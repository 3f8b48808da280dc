package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tokenjar/tokenjar/token"
)

const (
	maxAnswer       = 256 << 10 // bytes of a key set; a hundred RSA keys with certificates fit
	maxAnswerHeader = 16 << 10
	maxReason       = 256 // bytes of an error's text, which may quote what a server wrote
)

// fetch asks the issuer once. It is bounded by Timeout and leaves nothing behind.
func (r *Remote) fetch() (keys []*token.Key, ignored []token.IgnoredKey, err error) {
	// No request's goroutine is around this one to catch a panic, and a given Transport may hold any code.
	defer func() {
		if p := recover(); p != nil {
			r.cfg.Logger.Error("fetching verification keys panicked", "url", r.shown, "panic", p, "stack", string(debug.Stack()))
			keys, ignored, err = nil, nil, errors.New("panic while fetching")
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	defer cancel()
	text, err := r.get(ctx)
	if err != nil {
		return nil, nil, brief(err)
	}
	keys, ignored, err = token.ParseForeignKeySet(text, r.cfg.Algorithms)
	if err != nil && ignored != nil {
		err = fmt.Errorf("%w (ignored: %s)", err, summary(ignored))
	}
	return keys, ignored, err
}

// get returns the body of a good answer. It speaks to the transport without an http.Client, which would follow redirects,
// keep cookies, and repeat the URL in its errors.
func (r *Remote) get(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url.String(), nil)
	if err != nil {
		return nil, errors.New("no request can be made for the URL")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("Accept-Encoding", "identity") // also keeps transports from asking for gzip on their own
	req.Header.Set("User-Agent", "tokenjar")
	transport := r.cfg.Transport
	if transport == nil {
		transport = r.newTransport(ctx)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered with status %d", resp.StatusCode)
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, errors.New("the issuer's answer is compressed, which nobody asked for")
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	// Hanging up may draw the rest out of a server that held it back; it is late all the same.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(text) > maxAnswer {
		return nil, errors.New("the issuer's answer is larger than 256 KiB")
	}
	return text, nil
}

// newTransport returns a transport for one request. It is made anew for each because http.Transport dials on a context of
// its own, which would outlive the fetch: here connecting, and whatever happens on the connection, ends when ctx does.
func (r *Remote) newTransport(ctx context.Context) *http.Transport {
	rule := addressRule{allowed: r.cfg.AllowPrivate, loopbackOnly: r.url.Scheme == "http"}
	dialer := net.Dialer{Control: rule.control}
	return &http.Transport{
		Proxy: nil, // one from the environment would be the one that is checked, instead of the issuer
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			deadline, _ := ctx.Deadline()
			if err := conn.SetDeadline(deadline); err != nil {
				conn.Close()
				return nil, err
			}
			return conn, nil
		},
		TLSClientConfig:        &tls.Config{RootCAs: r.cfg.RootCAs, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
}

// brief keeps the text of an error and lets go of the error: what ended a fetch is not what ended the request that waits
// for it, though both may be a deadline.
func brief(err error) error {
	text := err.Error()
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return errors.New(text)
}

// summary counts the reasons: "private 1, use 2".
func summary(ignored []token.IgnoredKey) string {
	count := map[token.IgnoreReason]int{}
	for _, key := range ignored {
		count[key.Reason]++
	}
	var list []string
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		list = append(list, fmt.Sprintf("%s %d", reason, count[reason]))
	}
	return strings.Join(list, ", ")
}
