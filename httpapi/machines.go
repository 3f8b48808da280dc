package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/tokenjar/tokenjar"
)

// What machines ask for, at the root: keys, health, the OpenAPI document.

// jwksCaching lets the key set be kept for as long as the life of keys reckons with.
var jwksCaching = fmt.Sprintf("public, max-age=%d", int(tokenjar.JWKSMaxAge.Seconds()))

type jwksInput struct {
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of the set the client has"`
}

type jwksOutput struct {
	Status       int
	CacheControl string `header:"Cache-Control"`
	ETag         string `header:"ETag"`
	ContentType  string `header:"Content-Type"`
	Body         json.RawMessage
}

// jwks publishes the keys that verify access tokens (RFC 7517, section 5): public members only.
func (a *API) jwks(_ context.Context, in *jwksInput) (*jwksOutput, error) {
	set := a.service.JWKS()
	out := &jwksOutput{
		Status: http.StatusOK, CacheControl: jwksCaching, ETag: entityTag(set),
		ContentType: "application/jwk-set+json", Body: set,
	}
	if in.IfNoneMatch == out.ETag {
		out.Status, out.Body = http.StatusNotModified, nil
	}
	return out, nil
}

func entityTag(b []byte) string {
	sum := sha256.Sum256(b)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

type healthOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Status string `json:"status" enum:"ok"`
	}
}

func healthy() *healthOutput {
	out := &healthOutput{CacheControl: "no-store"}
	out.Body.Status = "ok"
	return out
}

// healthz tells that the process answers. It asks nothing else, so that a restart is not the cure for a slow store.
func (a *API) healthz(context.Context, *struct{}) (*healthOutput, error) { return healthy(), nil }

// readyz tells whether requests should be sent here: the store answers, and the server is not about to stop.
func (a *API) readyz(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	return healthy(), nil
}

// serveDocument serves the OpenAPI document.
func (a *API) serveDocument(w http.ResponseWriter, r *http.Request) {
	serveFile(w, r, a.openapi, "application/json", "public, max-age=300")
}
