package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tokenjar/tokenjar/problem"
)

const introduction = `Sign in, stay in, sign out, with the tokens in HttpOnly cookies.

Paths under the prefix may end in a slash. HEAD is GET without the body; OPTIONS answers 204 with the Allow header. Refusals are problem documents (RFC 9457): a program looks at "code" and does what "action" says. What may be refused on any path, before or without an operation, stands once for all in components.responses, with its statuses in x-status; requests that are no HTTP at all are refused without a body of ours.`

// humaConfig is huma without its own documents, links and schemas routes: what it would serve is served by us.
func (a *API) humaConfig(version string) huma.Config {
	config := huma.DefaultConfig("tokenjar", version)
	config.Info.Description = introduction
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	config.Transformers = []huma.Transformer{a.transform}
	config.Components.SecuritySchemes = a.SecuritySchemes()
	return config
}

var jsonFormat = huma.DefaultJSONFormat

// tag begins a group of operations.
func (a *API) tag(name, description string) {
	api := a.huma.OpenAPI()
	api.Tags = append(api.Tags, &huma.Tag{Name: name, Description: description})
}

// describe completes an operation's part of the document before huma sees it: its group, who may call it and with what
// problems it answers.
func (a *API) describe(op *operation) {
	tags := a.huma.OpenAPI().Tags
	op.Tags = []string{tags[len(tags)-1].Name}
	op.Security = op.shown.requirement(op.Method)
	if op.passive {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "X-Passive", In: "header", Description: "1 when no user is behind the request: it does not keep the session from going idle",
			Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"1"}},
		})
	}
	byStatus := map[int][]problem.Code{}
	for _, r := range op.refusals {
		byStatus[r.status] = append(byStatus[r.status], r.code)
	}
	op.Responses = map[string]*huma.Response{}
	for status, codes := range byStatus {
		op.Responses[strconv.Itoa(status)] = a.problemResponse([]int{status}, codes, http.StatusText(status)+".")
	}
	if op.OperationID == "jwks" {
		op.Responses["304"] = &huma.Response{Description: "Not modified"}
		op.Responses["200"] = &huma.Response{Description: "The set", Content: map[string]*huma.MediaType{
			"application/jwk-set+json": {Schema: jwksSchema}}}
	}
}

// problemResponse describes a refusal with one of some codes.
func (a *API) problemResponse(statuses []int, codes []problem.Code, description string) *huma.Response {
	slices.Sort(codes)
	codes = slices.Compact(codes)
	code, status := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeInteger}
	lines := []string{description}
	for _, c := range codes {
		code.Enum = append(code.Enum, string(c))
		lines = append(lines, string(c)+": "+problem.New(c).Title+".")
	}
	for _, s := range statuses {
		status.Enum = append(status.Enum, s)
	}
	any := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	response := &huma.Response{
		Description: strings.Join(lines, " "),
		Headers: map[string]*huma.Header{
			problem.Header: {Description: "The code of the problem", Required: true, Schema: code},
			"X-Request-Id": requestID(true),
		},
		Content: map[string]*huma.MediaType{problem.ContentType: {Schema: &huma.Schema{
			AllOf:      []*huma.Schema{any},
			Properties: map[string]*huma.Schema{"code": code, "status": status},
		}}},
	}
	header := func(name, description, kind string) {
		response.Headers[name] = &huma.Header{Description: description, Required: true, Schema: &huma.Schema{Type: kind}}
	}
	switch statuses[0] {
	case http.StatusUnauthorized:
		header("WWW-Authenticate", "The bearer challenge (RFC 6750, section 3)", huma.TypeString)
	case http.StatusMethodNotAllowed:
		header("Allow", "The methods that the path knows", huma.TypeString)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header("Retry-After", "Seconds to wait before the next try", huma.TypeInteger)
	}
	return response
}

// requestID describes the header that a server of ours sets on every answer, and we ourselves on every refusal.
func requestID(required bool) *huma.Header {
	return &huma.Header{Description: "Names this request in the log", Required: required, Schema: &huma.Schema{Type: huma.TypeString}}
}

// jwksSchema is a set of public keys (RFC 7517, section 5): a private or symmetric member is not one of them.
var jwksSchema = &huma.Schema{
	Type: huma.TypeObject, Description: "JSON Web Key Set (RFC 7517)", Required: []string{"keys"}, AdditionalProperties: false,
	Properties: map[string]*huma.Schema{"keys": {Type: huma.TypeArray, Items: &huma.Schema{
		Type: huma.TypeObject, Required: []string{"kty", "kid", "alg", "use"}, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"kty": {Type: huma.TypeString, Enum: []any{"EC", "OKP", "RSA"}}, "kid": {Type: huma.TypeString},
			"alg": {Type: huma.TypeString}, "use": {Type: huma.TypeString, Enum: []any{"sig"}},
			"crv": {Type: huma.TypeString}, "x": {Type: huma.TypeString}, "y": {Type: huma.TypeString},
			"n": {Type: huma.TypeString}, "e": {Type: huma.TypeString},
		},
	}}},
}

// serve registers a handler that is no huma operation: it reads nothing and answers with a file.
func (a *API) serve(op operation, contentType string, handler http.HandlerFunc) {
	a.describe(&op)
	op.Responses["200"] = &huma.Response{Description: "The file", Content: map[string]*huma.MediaType{contentType: {}}}
	op.Responses["304"] = &huma.Response{Description: "Not modified"}
	a.huma.OpenAPI().AddOperation(&op.Operation)
	a.routes[op.Path] = methodTable{op.Method: handler}
	a.operations = append(a.operations, op)
}

// complete adds what is known once huma has described an operation's success: the headers, and that a body may be left
// out.
func (op operation) complete(described *huma.Operation) {
	delete(described.Responses, "default") // huma's own form of errors, which we never send
	if op.optional && described.RequestBody != nil {
		described.RequestBody.Required = false
	}
	for text, response := range described.Responses {
		if response.Headers == nil {
			response.Headers = map[string]*huma.Header{}
		}
		if response.Headers["X-Request-Id"] == nil {
			response.Headers["X-Request-Id"] = requestID(false)
		}
		status, _ := strconv.Atoi(text)
		always, ever := op.cookies[status]
		if ever || op.renews {
			c := response.Headers["Set-Cookie"]
			if c == nil {
				c = &huma.Header{Description: "New cookies, when the session was renewed on the way", Schema: &huma.Schema{Type: huma.TypeString}}
				switch {
				case op.renews && ever && status < 300:
					c.Description = "New cookies, unless the request came with a bearer"
				case !op.renews:
					c.Description = "Deletions of our cookies, when they are dead for good"
				}
			}
			c.Required = always
			response.Headers["Set-Cookie"] = c
		}
	}
}

// share moves refusals that several operations describe alike into the components, under the name of the first of them.
func share(described []*huma.Operation, components map[string]*huma.Response) error {
	type use struct {
		op     *huma.Operation
		status string
	}
	uses := map[string][]use{}
	var order []string
	for _, op := range described {
		for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
			if op.Responses[status].Content[problem.ContentType] == nil {
				continue
			}
			text, err := json.Marshal(op.Responses[status])
			if err != nil {
				return fmt.Errorf("httpapi: describe %s: %w", op.OperationID, err)
			}
			if uses[string(text)] == nil {
				order = append(order, string(text))
			}
			uses[string(text)] = append(uses[string(text)], use{op, status})
		}
	}
	for _, text := range order {
		all := uses[text]
		if len(all) == 1 {
			continue
		}
		name := all[0].op.OperationID + "-" + all[0].status
		components[name] = all[0].op.Responses[all[0].status]
		for _, each := range all {
			each.op.Responses[each.status] = &huma.Response{Ref: "#/components/responses/" + name}
		}
	}
	return nil
}

// document renders the OpenAPI document and checks that it lists what is served.
func (a *API) document() ([]byte, error) {
	api := a.huma.OpenAPI()
	served := 0
	var described []*huma.Operation
	for _, op := range a.operations {
		item := api.Paths[op.Path]
		if item == nil || a.routes[op.Path][op.Method] == nil {
			return nil, fmt.Errorf("httpapi: %s %s is not both served and described", op.Method, op.Path)
		}
		one := map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPatch: item.Patch,
			http.MethodDelete: item.Delete, http.MethodPut: item.Put,
		}[op.Method]
		op.complete(one)
		described = append(described, one)
		served++
	}
	for path, methods := range a.routes {
		served -= len(methods)
		if api.Paths[path] == nil {
			return nil, fmt.Errorf("httpapi: %s is served but not described", path)
		}
	}
	if served != 0 {
		return nil, fmt.Errorf("httpapi: what is served and what is described differ by %d operations", served)
	}
	api.Components.Responses = map[string]*huma.Response{}
	for _, r := range everywhere {
		response := a.problemResponse(r.statuses, []problem.Code{r.code}, r.when)
		response.Extensions = map[string]any{"x-status": r.statuses}
		api.Components.Responses[string(r.code)] = response
	}
	if err := share(described, api.Components.Responses); err != nil {
		return nil, err
	}
	schemas := api.Components.Schemas.Map()
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		delete(schemas, name)
	}
	members := schemas["Problem"].Properties
	for _, c := range problem.Codes() {
		members["code"].Enum = append(members["code"].Enum, string(c))
	}
	members["action"].Enum = nil
	for _, a := range problem.Actions() {
		members["action"].Enum = append(members["action"].Enum, string(a))
	}
	members["errors"].Nullable = false // left out when there are none
	return json.MarshalIndent(api, "", "  ")
}
