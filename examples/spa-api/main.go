// Command spa-api is the service behind examples/spa-react and examples/spa-vue: it keeps one note for each user. It knows
// nothing of cookies and sessions; who it is comes with each request, as a token that tokenjar makes for it.
package main

import (
	"cmp"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

func main() {
	handler, err := newAPI(cmp.Or(os.Getenv("ISSUER"), "http://localhost:8080"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "9000"))
	if err != nil {
		log.Fatal(err)
	}
	log.Println("listening on", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}

// newAPI returns the service. issuer is the public_url of tokenjar, whose keys are fetched from there.
func newAPI(issuer string) (http.Handler, error) {
	keys, err := jwks.New(jwks.Config{
		URL: issuer + "/.well-known/jwks.json", Algorithms: []token.Algorithm{token.ES256},
		// It is on this machine. Elsewhere leave this out: keys then come from public addresses alone.
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	})
	if err != nil {
		return nil, err
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: issuer, Audience: "notes",
		Rules: map[string]token.Rule{"sub": {Essential: true}},
	})
	if err != nil {
		return nil, err
	}
	tokens, err := token.NewCache(decoder)
	if err != nil {
		return nil, err
	}
	bearer, err := middleware.NewBearer(tokens, middleware.Claims)
	if err != nil {
		return nil, err
	}
	signedIn := middleware.Required(bearer)

	var notes sync.Map // by user id; a service of your own has a table here
	mux := http.NewServeMux()
	mux.Handle("GET /api/note", signedIn.Func(func(w http.ResponseWriter, _ *http.Request, claims token.Claims) {
		text, _ := notes.LoadOrStore(claims.String("sub"), "")
		answer(w, http.StatusOK, map[string]any{"note": text})
	}))
	mux.Handle("PUT /api/note", signedIn.Func(func(w http.ResponseWriter, r *http.Request, claims token.Claims) {
		var in struct {
			Note *string `json:"note"` // null and a missing one are no note, and must not replace one
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 10_000)).Decode(&in); err != nil || in.Note == nil {
			answer(w, http.StatusUnprocessableEntity, map[string]any{"detail": `write {"note": "…"}, at most 10,000 bytes`})
			return
		}
		notes.Store(claims.String("sub"), *in.Note)
		answer(w, http.StatusOK, map[string]any{"note": *in.Note})
	}))
	return mux, nil
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
