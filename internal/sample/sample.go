// Package sample is the service behind the demo: what a team would write that puts tokenjar in front of an API of its own. It
// listens on loopback, knows nothing of cookies and sessions, and believes the bearer it gets because it verifies it with the
// published keys. It uses nothing but public packages, token and jwks.
package sample

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

// Path is the one path that it serves.
const Path = "/api/hello"

// A Service listens from [Listen] on and answers from [Service.Serve] on. Requests that come between the two wait.
type Service struct {
	listener net.Listener
	server   *http.Server
}

// Listen takes a free port of this machine, which nobody else reaches.
func Listen() (*Service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sample service: %w", err)
	}
	return &Service{listener: l, server: &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}}, nil
}

// URL is where it listens, and so the audience of tokens for it.
func (s *Service) URL() string { return "http://" + s.listener.Addr().String() }

// Config says whose tokens the service believes.
type Config struct {
	Issuer string           // "iss" of the tokens
	Keys   string           // where the issuer's keys are published, over loopback
	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default()
}

// Serve begins to answer, beside the caller.
func (s *Service) Serve(cfg Config) error {
	keys, err := jwks.New(jwks.Config{
		URL: cfg.Keys, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Now: cfg.Now, Logger: cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("sample service: %w", err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: keys, Type: "at+jwt", Issuer: cfg.Issuer, Audience: s.URL(), Now: cfg.Now})
	if err != nil {
		return fmt.Errorf("sample service: %w", err)
	}
	s.server.Handler = handler{decoder}
	go s.server.Serve(s.listener)
	return nil
}

// Close ends it.
func (s *Service) Close() error {
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) { // the server has it already
		err = nil
	}
	return errors.Join(s.server.Close(), err)
}

type handler struct{ decoder *token.Decoder }

// shown are the fields of a request that the answer repeats, where there are any.
var shown = []string{"Cookie", "X-CSRFToken", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// An answer says what arrived here. The token itself stays: it is a credential.
type answer struct {
	Message  string            `json:"message"`
	Method   string            `json:"method"`
	Received map[string]string `json:"received"`
	Claims   token.Claims      `json:"claims"`
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path != Path {
		http.NotFound(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS, POST")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	claims, err := h.verify(r.Context(), r.Header["Authorization"])
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "this service believes tokens alone", http.StatusUnauthorized)
		return
	}
	got := map[string]string{"Host": r.Host, "Authorization": "Bearer, verified with the published keys"}
	for _, name := range shown {
		if values := r.Header.Values(name); len(values) > 0 {
			got[name] = strings.Join(values, ", ")
		}
	}
	if got["Cookie"] != "" {
		got["Cookie"] = "there are some" // of the application's own, whose values are nobody else's
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer{"Hello from a service behind the proxy.", r.Method, got, claims})
}

// verify returns the claims of the one bearer of a request.
func (h handler) verify(ctx context.Context, fields []string) (token.Claims, error) {
	if len(fields) != 1 {
		return nil, errors.New("not one Authorization field")
	}
	scheme, bearer, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, errors.New("no bearer")
	}
	return h.decoder.DecodeContext(ctx, bearer)
}
