package httpapi_test

import (
	"io"
	"log/slog"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/session"
)

// embedded is a service and a guard of a program of one's own, on the store of a world.
func embedded(t *testing.T, w *servertest.World, changes ...func(*tokenjar.Config)) (*tokenjar.Service, *session.Guard) {
	t.Helper()
	cfg := tokenjar.Config{
		Issuer: w.URL, Secret: secret(t, servertest.Secret), Store: w.Store, Now: w.Clock.Now,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, change := range changes {
		change(&cfg)
	}
	service, err := tokenjar.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := session.New(session.Config{Service: service, PublicURL: w.URL, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return service, guard
}

// embeddedAPI is the API of such a program.
func embeddedAPI(t *testing.T, w *servertest.World, changes ...func(*tokenjar.Config)) (*httpapi.API, *tokenjar.Service) {
	t.Helper()
	service, guard := embedded(t, w, changes...)
	api, err := httpapi.New(httpapi.Config{Guard: guard})
	if err != nil {
		t.Fatal(err)
	}
	return api, service
}
