package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tokenjar/tokenjar/problem"
)

// humaConfig is huma without its own documents, links and schemas routes: what it would serve is served by us.
func (a *API) humaConfig(version string) huma.Config {
	config := huma.DefaultConfig("tokenjar", version)
	config.Info.Description = "Sign in, stay in, sign out, with the tokens in HttpOnly cookies."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	config.Transformers = []huma.Transformer{a.transform}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"accessCookie":  {Type: "apiKey", In: "cookie", Name: a.guard.AccessCookieName(), Description: "Access token in an HttpOnly cookie"},
		"refreshCookie": {Type: "apiKey", In: "cookie", Name: a.guard.RefreshCookieName(), Description: "Refresh token in an HttpOnly cookie"},
		"csrfToken":     {Type: "apiKey", In: "header", Name: "X-CSRFToken", Description: "With every unsafe request that a cookie authenticates"},
		"bearer":        {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "Access token, for clients without cookies"},
	}
	return config
}

var jsonFormat = huma.DefaultJSONFormat

// describe completes an operation's part of the document: who may call it and with what problems it answers.
func (a *API) describe(op *operation) {
	safe := op.Method == http.MethodGet
	cookie := func(name string) map[string][]string {
		scheme := map[string][]string{name: {}}
		if !safe {
			scheme["csrfToken"] = []string{}
		}
		return scheme
	}
	access, refresh, bearer, none := cookie("accessCookie"), cookie("refreshCookie"), map[string][]string{"bearer": {}}, map[string][]string{}
	statuses := []int{http.StatusServiceUnavailable}
	switch op.OperationID {
	case "login":
		statuses = append(statuses, 400, 401, 403, 413, 415, 422, 431)
	case "logout":
		op.Security = []map[string][]string{access, refresh, bearer, none}
		statuses = append(statuses, 400, 403, 413, 415, 422, 431)
	case "refresh":
		op.Security = []map[string][]string{refresh, none}
		statuses = append(statuses, 400, 401, 403, 413, 415, 422, 429, 431)
	case "verify":
		op.Security = []map[string][]string{access, refresh, bearer, none}
		statuses = append(statuses, 400, 401, 403, 413, 415, 422, 431)
	case "session":
		op.Security = []map[string][]string{access, refresh, bearer, none}
		statuses = append(statuses, 400, 431)
	case "csrf":
		op.Security = []map[string][]string{access, refresh}
		statuses = append(statuses, 400, 401, 431)
	case "jwks", "healthz":
		statuses = nil
	case "readyz":
	default:
		op.Security = []map[string][]string{access, refresh, bearer}
		statuses = append(statuses, 400, 401, 431)
		if !safe {
			statuses = append(statuses, 403, 404, 422)
		}
		if op.body {
			statuses = append(statuses, 413, 415)
		}
	}
	slices.Sort(statuses)
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	op.Responses = map[string]*huma.Response{}
	for _, status := range statuses {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Headers: map[string]*huma.Param{
				problem.Header: {Description: "The code of the problem", Schema: &huma.Schema{Type: huma.TypeString}},
			},
			Content: map[string]*huma.MediaType{problem.ContentType: {Schema: schema}},
		}
	}
	if op.OperationID == "jwks" {
		op.Responses["304"] = &huma.Response{Description: "Not modified"}
		op.Responses["200"] = &huma.Response{
			Description: "The set",
			Content: map[string]*huma.MediaType{"application/jwk-set+json": {Schema: &huma.Schema{
				Type: huma.TypeObject, Description: "JSON Web Key Set (RFC 7517)",
			}}},
		}
	}
}

// document renders the OpenAPI document and checks that it lists what is served.
func (a *API) document() ([]byte, error) {
	api := a.huma.OpenAPI()
	for path, methods := range a.routes {
		if path == "/openapi.json" {
			continue
		}
		item := api.Paths[path]
		if item == nil {
			return nil, fmt.Errorf("httpapi: %s is served but not described", path)
		}
		described := map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPatch: item.Patch,
			http.MethodDelete: item.Delete, http.MethodPut: item.Put,
		}
		for method := range methods {
			op := described[method]
			if op == nil {
				return nil, fmt.Errorf("httpapi: %s %s is served but not described", method, path)
			}
			delete(op.Responses, "default") // huma's own form of errors, which we never send
		}
	}
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		delete(api.Components.Schemas.Map(), name)
	}
	return json.MarshalIndent(api, "", "  ")
}
