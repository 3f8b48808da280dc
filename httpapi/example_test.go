package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
)

// A program that embeds the API and has an OpenAPI document of its own says in it, by our schemes, which of its
// operations need a signed-in user. The guard around its handler is what makes it true.
func ExampleAPI_SecuritySchemes() {
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret())) // in a program: from a file
	if err != nil {
		log.Fatal(err)
	}
	service, err := tokenjar.New(context.Background(), tokenjar.Config{
		Issuer: "https://app.example.com", Secret: secret, Store: memory.New(memory.Config{}),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := session.New(session.Config{Service: service, PublicURL: "https://app.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := httpapi.New(httpapi.Config{Guard: guard})
	if err != nil {
		log.Fatal(err)
	}

	inner := http.NewServeMux()
	config := huma.DefaultConfig("Orders", "1.0.0")
	config.Components.SecuritySchemes = auth.SecuritySchemes()
	orders := humago.New(inner, config)
	huma.Register(orders, huma.Operation{
		OperationID: "order", Method: http.MethodPost, Path: "/api/orders", Security: auth.SignedIn(http.MethodPost),
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body string }, error) {
		id, _ := tokenjar.IdentityFromContext(ctx)
		return &struct{ Body string }{"ordered by " + id.UserID}, nil
	})

	mux := http.NewServeMux()
	mux.Handle("/auth/", auth)
	mux.Handle("/api/", guard.Required(inner))

	document := orders.OpenAPI()
	for _, name := range slices.Sorted(maps.Keys(document.Components.SecuritySchemes)) {
		scheme := document.Components.SecuritySchemes[name]
		fmt.Printf("%s: %s %s\n", name, scheme.Type, scheme.In+scheme.Scheme)
	}
	needs, err := json.Marshal(document.Paths["/api/orders"].Post.Security)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(needs))
	// Output:
	// accessCookie: apiKey cookie
	// bearer: http bearer
	// csrfToken: apiKey header
	// refreshCookie: apiKey cookie
	// [{"accessCookie":[],"csrfToken":[]},{"csrfToken":[],"refreshCookie":[]},{"bearer":[]}]
}
