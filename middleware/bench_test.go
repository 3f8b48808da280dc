package middleware_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/yardstick"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// What authenticating costs a request, against the same handler bare: see package yardstick.
//
//	go test ./middleware -run '^$' -bench . -benchtime 1x

func BenchmarkHit(b *testing.B) {
	p := newProgram(b)
	p.at(time.Now())
	raw, err := p.encoder.Encode(token.Claims{"sub": "01JQ5T7W9Z", "sid": "session-of-ada", "scope": "read write", "roles": []string{"user"}}, time.Hour)
	check(b, err)
	user := &account{ID: "ada"}
	bearerAuth, err := middleware.NewBearer(p.tokens, func(context.Context, token.Claims) (*account, error) { return user, nil })
	check(b, err)
	cookieAuth, err := middleware.NewCookie(p.tokens, func(context.Context, token.Claims) (*account, error) { return user, nil }, p.cookieConfig())
	check(b, err)
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	for name, row := range map[string]struct {
		access middleware.Access[*account]
		how    change
	}{
		"bearer":              {middleware.Required(bearerAuth), bearer(raw)},
		"cookie":              {middleware.Required(cookieAuth), cookies(raw)},
		"cookie and scope":    {middleware.Required(cookieAuth).With(middleware.Scope("read")), cookies(raw)},
		"second of a chain":   {middleware.Required(cookieAuth, bearerAuth), bearer(raw)},
		"anonymous, optional": {middleware.Optional(cookieAuth, bearerAuth), func(*http.Request) {}},
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "https://app.example/things", nil)
			row.how(r)
			yardstick.Compare(b, bare, row.access.Protect(bare), r, 200, 2000)
		})
	}
}
