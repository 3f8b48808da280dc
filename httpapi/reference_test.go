package httpapi_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"

	"github.com/tokenjar/tokenjar/internal/golden"
)

const referenceFile = "../docs/reference/http.md"

// The page of the HTTP contract is made of the OpenAPI document: go test ./httpapi -update.
func TestTheReferenceOfHTTPIsTheDocument(t *testing.T) {
	w := servertest.Start(t, servertest.HTTPS)
	var doc openAPI
	if err := json.Unmarshal(w.Send(t, "GET", "/openapi.json", "").Body, &doc); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, referenceFile, []byte(doc.page()))
}

// openAPI is what the page shows of the document.
type openAPI struct {
	Tags  []struct{ Name, Description string }
	Paths map[string]map[string]struct {
		Summary, Description string
		Tags                 []string
		Security             []map[string][]string
		Parameters           []struct {
			Name, In, Description string
		}
		RequestBody struct{ Content map[string]media }
		Responses   map[string]answer
	}
	Components struct {
		Schemas   map[string]shape
		Responses map[string]answer
	}
}

type answer struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]media
	Headers     map[string]struct {
		Description string
		Schema      shape
	}
}

type media struct{ Schema shape }

type shape struct {
	Ref         string `json:"$ref"`
	Type        any
	Format      string
	Description string
	Enum        []any
	Required    []string
	Properties  map[string]shape
	Items       *shape
	MaxLength   int
}

func (d *openAPI) schema(s shape) shape {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Components.Schemas[name]
	}
	return s
}

func (d *openAPI) page() string {
	var b strings.Builder
	b.WriteString(`# HTTP contract

<!-- Made of the OpenAPI document: go test ./httpapi -update -->

What the server answers, with ` + "`auth.path`" + ` at its default. The machine-readable form is the OpenAPI 3.1 document at
` + "`/openapi.json`" + ` (` + "`tokenjar openapi`" + ` prints it); the server shows it for people at ` + "`/docs`" + `. Every answer of the
test suite is held against that document.

- Bodies are ` + "`application/json`" + ` in UTF-8, at most 64 KiB; an empty body needs no type. Members that are not listed are
  422, a member that stands twice is 400.
- A slash at the end of a path makes no difference. HEAD is GET without the body.
- Times are RFC 3339 in UTC and equal the claims of the tokens.
- Everything under ` + "`/auth`" + ` is ` + "`Cache-Control: no-store`" + `.
- Refusals are problem documents: see [errors](errors.md). Any path may also be refused before it is looked at: 421 for
  another host, 405 for another method, 400 for a path that can be read in two ways, 404, and 431 for too large a header.

An unsafe request that a cookie authenticates needs ` + "`X-CSRFToken`" + ` and an origin that is allowed; one with a bearer
(` + "`Authorization: Bearer`" + `) needs neither.
`)
	for _, tag := range d.Tags {
		fmt.Fprintf(&b, "\n## %s\n", tag.Description)
		for _, path := range sortedKeys(d.Paths) {
			for _, method := range []string{"get", "post", "put", "patch", "delete"} {
				if op, ok := d.Paths[path][method]; ok && slices.Contains(op.Tags, tag.Name) {
					d.operation(&b, path, method)
				}
			}
		}
	}
	b.WriteString(streams)
	return b.String()
}

// streams is about what no OpenAPI document can say.
const streams = `
## WebSockets and event streams

Those of a [route](config.md#routes) are judged once, when they open, and end with the session; a renewal does not touch them. An
event stream then ends as if its service had ended it. A WebSocket gets a Close frame, whose code says why and whose reason is a code
of [errors](errors.md):

| code | reason | what has happened | what a client does |
| --- | --- | --- | --- |
| 4401 | ` + "`session_ended`, `session_reused`" + ` | the session is over: signed out here or elsewhere, run out, or ended by an operator | does not connect again; shows that nobody is signed in |
| 4401 | ` + "`token_expired`" + ` | the user's claims have changed, as by a new role; the session lives | connects again at once, with new tokens where it keeps them itself: what is opened anew has the new claims |
| 1001 | none | the server is stopping | connects again: another node answers, or the same one in a moment |
| 1013 | ` + "`store_unavailable`" + ` | the node cannot tell whether sessions live, so it lets nobody in | connects again after a pause that grows with each try |
| any other | | the service's own | what the service has agreed with its clients |

A browser hands code and reason to ` + "`onclose`" + `. A connection that breaks, and a handshake that is refused, have none of ours (1006):
connect again after a pause, and ask ` + "GET `/auth/session`" + ` first whether anybody is signed in. An ` + "`EventSource`" + ` connects again by itself; at
the 401 of a session that is over, and at a 503, it stops for good.
`

func (d *openAPI) operation(b *strings.Builder, path, method string) {
	op := d.Paths[path][method]
	fmt.Fprintf(b, "\n### %s `%s`\n\n%s.", strings.ToUpper(method), path, op.Summary)
	if op.Description != "" {
		fmt.Fprintf(b, " %s", op.Description)
	}
	fmt.Fprintf(b, " Credentials: %s.\n", acceptedBy(op.Security))
	for _, p := range op.Parameters {
		fmt.Fprintf(b, "\n- %s `%s`: %s", p.In, p.Name, p.Description)
	}
	if len(op.Parameters) > 0 {
		b.WriteString("\n")
	}
	if body, ok := op.RequestBody.Content["application/json"]; ok {
		b.WriteString("\nRequest:\n\n")
		d.members(b, body.Schema)
	}
	refusals := []string{}
	for _, status := range sortedKeys(op.Responses) {
		a := op.Responses[status]
		if name, ok := strings.CutPrefix(a.Ref, "#/components/responses/"); ok {
			a = d.Components.Responses[name]
		}
		n, _ := strconv.Atoi(status)
		if n >= 400 {
			refusals = append(refusals, status+" "+d.codes(a))
			continue
		}
		fmt.Fprintf(b, "\n%s %s:\n\n", status, http.StatusText(n))
		empty := true
		for _, name := range sortedKeys(a.Headers) {
			if name != "X-Request-Id" {
				h := a.Headers[name]
				fmt.Fprintf(b, "- header `%s`: %s\n", name, cmp.Or(h.Description, h.Schema.Description))
				empty = false
			}
		}
		for _, kind := range sortedKeys(a.Content) {
			if kind != "application/json" {
				fmt.Fprintf(b, "- `%s`\n", kind)
				empty = false
			} else if d.members(b, a.Content[kind].Schema) > 0 {
				empty = false
			}
		}
		if empty {
			b.WriteString("- no members\n")
		}
	}
	if len(refusals) > 0 {
		fmt.Fprintf(b, "\nRefusals: %s.\n", strings.Join(refusals, " · "))
	}
}

func acceptedBy(security []map[string][]string) string {
	if security == nil {
		return "none"
	}
	var list []string
	add := func(s string) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	for _, scheme := range security {
		switch {
		case len(scheme) == 0:
			add("none")
		case scheme["bearer"] != nil:
			add("bearer")
		case scheme["accessCookie"] != nil:
			add("access cookie")
		default:
			add("refresh cookie")
		}
	}
	if last := len(list) - 1; last > 0 {
		return strings.Join(list[:last], ", ") + " or " + list[last]
	}
	return strings.Join(list, "")
}

// members lists the members of an object and returns how many there are.
func (d *openAPI) members(b *strings.Builder, s shape) int {
	s = d.schema(s)
	for _, name := range sortedKeys(s.Properties) {
		p := s.Properties[name]
		fmt.Fprintf(b, "- `%s` (%s", name, d.typeOf(p))
		if slices.Contains(s.Required, name) {
			b.WriteString(", always")
		}
		b.WriteString(")")
		if p.Description != "" {
			fmt.Fprintf(b, ": %s", p.Description)
		}
		b.WriteString("\n")
	}
	return len(s.Properties)
}

func (d *openAPI) typeOf(s shape) string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return name + ": " + strings.Join(sortedKeys(d.Components.Schemas[name].Properties), ", ")
	}
	text := ""
	switch t := s.Type.(type) {
	case string:
		text = t
	case []any:
		for i, each := range t {
			if i > 0 {
				text += " or "
			}
			text += fmt.Sprint(each)
		}
	}
	if s.Items != nil {
		text += " of " + d.typeOf(*s.Items)
	}
	if s.Format == "date-time" {
		text = strings.Replace(text, "string", "time", 1)
	}
	if len(s.Enum) > 0 {
		text = strings.Trim(fmt.Sprintf("%q", s.Enum), "[]")
	}
	if s.MaxLength > 0 {
		text += fmt.Sprintf(", at most %d", s.MaxLength)
	}
	return text
}

// codes lists the codes of a refusal.
func (d *openAPI) codes(a answer) string {
	var codes []string
	for _, c := range a.Content {
		for _, code := range c.Schema.Properties["code"].Enum {
			codes = append(codes, "`"+fmt.Sprint(code)+"`")
		}
	}
	slices.Sort(codes)
	return strings.Join(codes, " ")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
