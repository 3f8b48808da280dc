package servertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The contract test: every answer that a test receives is one that the served OpenAPI document describes. Method and
// path are known there, or lead nowhere; status, media type and headers are described; the body fits the schema.
//
// Outside the contract are what other rooms serve: the site, and the demo's sample API. Their refusals are problem
// documents all the same.

// A Contract is an OpenAPI document as answers are held against it. It is safe for concurrent use.
type Contract struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema // by JSON pointer; compiled when first needed
}

// NewContract reads an OpenAPI document.
func NewContract(document []byte) (*Contract, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	object, ok := doc.(map[string]any)
	if !ok || at(object, "paths") == nil || at(object, "components", "schemas", "Problem") == nil {
		return nil, errors.New("this is no OpenAPI document of ours")
	}
	c := &Contract{doc: object, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	return c, c.compiler.AddResource(documentURL, doc)
}

const documentURL = "https://contract.example/openapi.json"

var contracts sync.Map // *Contract by the text of its document: worlds that serve the same one share it

// Contract returns the document that the world's server serves.
func (w *World) Contract(t testing.TB) *Contract {
	t.Helper()
	w.contractOnce.Do(func() {
		document := w.Server.Contract() // not by a request, which would be logged and counted
		c, ok := contracts.Load(string(document))
		if !ok {
			made, err := NewContract(document)
			if err != nil {
				t.Errorf("contract: %v", err)
				return
			}
			c, _ = contracts.LoadOrStore(string(document), made)
		}
		w.contract = c.(*Contract)
	})
	return w.contract
}

// Check returns what an answer to a request has that the document does not describe, or nil. The path is as it was sent.
func (c *Contract) Check(method, path string, a Answer) error {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path
	}
	if foreign(decoded) {
		return c.checkForeign(a)
	}
	operation := c.operation(method, decoded)
	switch {
	case operation == "" && method == http.MethodOptions && a.Status == http.StatusNoContent:
		return wantEmpty(a) // the methods of a path, or what CORS says to a preflight
	case operation == "":
		return c.checkAnywhere(a)
	}
	pointer := c.follow(operation + "/responses/" + strconv.Itoa(a.Status))
	if at(c.doc, split(pointer)...) == nil {
		return c.checkAnywhere(a)
	}
	err = c.checkResponse(method, pointer, a)
	if err != nil && a.Status >= 400 && c.checkAnywhere(a) == nil {
		return nil
	}
	return err
}

// CheckBesideOthers is Check where paths that the document does not know may lead to services and pages.
func (c *Contract) CheckBesideOthers(method, path string, a Answer) error {
	decoded, err := url.PathUnescape(path)
	if err != nil || decoded == "/auth" || strings.HasPrefix(decoded, "/auth/") || slices.ContainsFunc(known, func(m string) bool { return c.operation(m, decoded) != "" }) {
		return c.Check(method, path, a)
	}
	return c.checkForeign(a)
}

var known = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// foreign reports whether a path belongs to another room than the API.
func foreign(path string) bool {
	return path == "/" || path == "/api/hello" || strings.HasPrefix(path, "/assets/")
}

func (c *Contract) checkForeign(a Answer) error {
	if a.Status < 400 || len(a.Body) == 0 || a.Header.Get("X-Tokenjar-Problem") == "" {
		return nil
	}
	return c.validate("/components/schemas/Problem", a.Body)
}

// checkAnywhere is for what may be refused on any path: those are the components with an x-status.
func (c *Contract) checkAnywhere(a Answer) error {
	code := a.Header.Get("X-Tokenjar-Problem")
	response, _ := at(c.doc, "components", "responses", code).(map[string]any)
	statuses, _ := response["x-status"].([]any)
	if code == "" || !slices.Contains(statuses, any(json.Number(strconv.Itoa(a.Status)))) {
		return fmt.Errorf("status %d (code %q) is not described", a.Status, code)
	}
	return c.checkResponse("", "/components/responses/"+code, a)
}

// checkResponse holds an answer against a response object.
func (c *Contract) checkResponse(method, pointer string, a Answer) error {
	response, _ := at(c.doc, split(pointer)...).(map[string]any)
	headers, _ := response["headers"].(map[string]any)
	var errs []error
	for name, header := range headers {
		if object, _ := header.(map[string]any); object["required"] == true {
			errs = append(errs, wantHeader(a, name))
		}
	}
	for _, name := range []string{"Set-Cookie", "WWW-Authenticate", "Retry-After", "Allow"} {
		if a.Header.Get(name) != "" && headers[name] == nil {
			errs = append(errs, fmt.Errorf("the header %s is not described", name))
		}
	}
	content, _ := response["content"].(map[string]any)
	switch media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type")); {
	case method == http.MethodHead, content == nil:
		errs = append(errs, wantEmpty(a))
	case err != nil || content[media] == nil:
		errs = append(errs, fmt.Errorf("the type %q is not described", a.Header.Get("Content-Type")))
	case len(a.Body) == 0 && method == "":
		// a refusal of a HEAD request
	case at(c.doc, append(split(pointer), "content", media, "schema")...) != nil:
		errs = append(errs, c.validate(pointer+"/content/"+escape(media)+"/schema", a.Body))
	}
	return errors.Join(errs...)
}

// validate holds a body against the schema at a JSON pointer into the document.
func (c *Contract) validate(pointer string, body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	schema, err := c.schema(pointer)
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

func (c *Contract) schema(pointer string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.schemas[pointer]; s != nil {
		return s, nil
	}
	s, err := c.compiler.Compile(documentURL + "#" + (&url.URL{Path: pointer}).EscapedPath())
	if err != nil {
		return nil, fmt.Errorf("the schema at %s: %w", pointer, err)
	}
	c.schemas[pointer] = s
	return s, nil
}

// operation returns the pointer to what the document says of a method and a path, "" if it says nothing.
func (c *Contract) operation(method, path string) string {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	candidates := []string{path}
	if slash := strings.LastIndexByte(path, '/'); slash >= 0 && slash < len(path)-1 {
		candidates = append(candidates, path[:slash]+"/{id}")
	}
	for _, name := range candidates {
		item, _ := at(c.doc, "paths", name).(map[string]any)
		switch {
		case item == nil:
			continue
		case item[strings.ToLower(method)] == nil || method != strings.ToUpper(method):
			return ""
		}
		return "/paths/" + escape(name) + "/" + strings.ToLower(method)
	}
	return ""
}

// follow returns where a pointer leads once a $ref there is followed.
func (c *Contract) follow(pointer string) string {
	object, _ := at(c.doc, split(pointer)...).(map[string]any)
	if ref, ok := object["$ref"].(string); ok {
		return strings.TrimPrefix(ref, "#")
	}
	return pointer
}

func wantHeader(a Answer, name string) error {
	if a.Header.Get(name) == "" {
		return fmt.Errorf("the header %s is missing", name)
	}
	return nil
}

func wantEmpty(a Answer) error {
	if len(a.Body) > 0 {
		return fmt.Errorf("a body of %d bytes is not described", len(a.Body))
	}
	return nil
}

func escape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func split(pointer string) []string {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts
}

// at returns what stands at a path of members, nil if there is nothing.
func at(object map[string]any, path ...string) any {
	var v any = object
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}
