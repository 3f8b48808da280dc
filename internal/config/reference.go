package config

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
)

// A Setting is what can be known of a setting without a configuration.
type Setting struct {
	Key      string   `json:"key"`                // "session.idle"; of an entry of a list, "routes[].path"
	Env      string   `json:"env,omitempty"`      // "TOKENJAR_SESSION_IDLE"; empty: it can be set in the file alone
	Takes    string   `json:"takes"`              // "text", "a whole number", …
	Default  any      `json:"default"`            // as [Value.Value]
	Required bool     `json:"required,omitempty"` // there is no default
	Example  string   `json:"example,omitempty"`  // of what is required
	Enum     []string `json:"enum,omitempty"`     // the only values
	Min      string   `json:"min,omitempty"`
	Max      string   `json:"max,omitempty"`
	Doc      string   `json:"doc"`
}

// Settings returns all of them, in the order of the file. What can stand in an entry of a list follows the list; of routes
// within frontends, it is what stands in the list routes.
func Settings() []Setting { return root.describe("") }

func (sc *schema) describe(path string) (list []Setting) {
	defaults := reflect.New(sc.typ).Elem()
	sc.fill(defaults)
	for _, s := range sc.settings {
		described := Setting{
			Key: path + s.key, Env: s.env, Takes: string(s.kind()), Default: s.value(defaults), Required: s.required(),
			Example: s.example, Enum: s.enum, Min: s.min, Max: s.max, Doc: s.doc,
		}
		if path != "" || s.entries != nil {
			described.Env = ""
		}
		if len(s.enum) > 0 && s.orEmpty() {
			described.Enum = append([]string{""}, s.enum...)
		}
		list = append(list, described)
		if s.entries != nil && path == "" {
			list = append(list, s.entries.describe(s.key+"[].")...)
		}
	}
	return list
}

// A Value is a setting as it came out.
type Value struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // text (durations and sizes too), true or false, a number, a list of texts, or texts by name
	From  string `json:"from"`  // "tokenjar.yaml:3", "TOKENJAR_LISTEN", "--listen", "default"
}

// Values returns every setting, with where it comes from: of a list of sections those of its entries, as "routes[0].path", or
// the list itself when it is empty. A secret in the environment is there as [hidden].
func (l Loaded) Values() []Value {
	list := make([]Value, 0, len(settings)+1)
	if l.SecretInEnvironment() {
		list = append(list, Value{Key: "secret", Value: "[hidden]", From: secretEnv})
	}
	l.top().each(func(s setting, at spot) {
		if s.entries == nil || s.field(at.in).Len() == 0 {
			list = append(list, Value{Key: at.path + s.key, Value: s.value(at.in), From: l.from(at.path + s.key)})
		}
	})
	return list
}

func (l Loaded) from(key string) string {
	if at := l.origin[key]; at.Where != "" { // the name of a file may be anything
		return oneLine(at.Where)
	}
	return "default"
}

// value returns the value of a setting as JSON has it.
func (s setting) value(in reflect.Value) any {
	field := s.field(in)
	switch s.kind() {
	case entriesKind:
		return []string{} // its entries are said one by one
	case listKind:
		return append([]string{}, s.get(in)...)
	case methodsKind:
		return methodWords(field.Interface().(map[string]MethodRule))
	case boolKind, intKind:
		return field.Interface()
	}
	return s.get(in)[0]
}

// PrintValues writes l as a file in which each setting says where it comes from.
func PrintValues(w io.Writer, l Loaded) error {
	p := printer{out: bufio.NewWriter(w), from: l.from, active: func(key string) bool {
		return key != "secret_file" || !l.SecretInEnvironment() // the two together would be a mistake
	}}
	if l.SecretInEnvironment() {
		fmt.Fprintf(p.out, "# the secret: [hidden], from %s\n", secretEnv)
	}
	p.settings(l.top(), "", "", "")
	return p.out.Flush()
}
