package config

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// A Setting is what can be known of a setting without a configuration.
type Setting struct {
	Key     string   `json:"key"`            // "session.idle"
	Env     string   `json:"env"`            // "TOKENJAR_SESSION_IDLE"
	Takes   string   `json:"takes"`          // "text", "a whole number", …
	Default any      `json:"default"`        // as [Value.Value]
	Enum    []string `json:"enum,omitempty"` // the only values
	Min     string   `json:"min,omitempty"`
	Max     string   `json:"max,omitempty"`
	Doc     string   `json:"doc"`
}

// Settings returns all of them, in the order of the file.
func Settings() []Setting {
	defaults, list := Defaults(), make([]Setting, len(settings))
	for i, s := range settings {
		list[i] = Setting{
			Key: s.key, Env: s.env, Takes: string(s.kind()), Default: s.value(defaults), Enum: s.enum,
			Min: s.min, Max: s.max, Doc: s.doc,
		}
	}
	return list
}

// A Value is a setting as it came out.
type Value struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // text (durations too), true or false, a number, or a list of texts
	From  string `json:"from"`  // "tokenjar.yaml:3", "TOKENJAR_LISTEN", "--listen", "default"
}

// Values returns every setting, with where it comes from. A secret in the environment is there as [hidden].
func (l Loaded) Values() []Value {
	list := make([]Value, 0, len(settings)+1)
	if l.SecretInEnvironment() {
		list = append(list, Value{Key: "secret", Value: "[hidden]", From: secretEnv})
	}
	for _, s := range settings {
		list = append(list, Value{Key: s.key, Value: s.value(l.Config), From: l.from(s.key)})
	}
	return list
}

func (l Loaded) from(key string) string {
	if at := l.origin[key]; at.Where != "" { // the name of a file may be anything
		return oneLine(at.Where)
	}
	return "default"
}

// value returns the value of a setting as JSON has it.
func (s setting) value(c Config) any {
	texts := s.get(c)
	switch field := reflect.ValueOf(c).FieldByIndex(s.index); {
	case s.kind() == listKind:
		return append([]string{}, texts...)
	case field.Kind() == reflect.Bool, s.typ != reflect.TypeFor[time.Duration]() && field.CanInt():
		return field.Interface()
	}
	return texts[0]
}

// PrintValues writes l as a file in which each setting says where it comes from.
func PrintValues(w io.Writer, l Loaded) error {
	out := bufio.NewWriter(w)
	if l.SecretInEnvironment() {
		fmt.Fprintf(out, "# the secret: [hidden], from %s\n", secretEnv)
	}
	open := ""
	for _, s := range settings {
		name, indent := s.key, ""
		if section, rest, nested := strings.Cut(s.key, "."); nested {
			name, indent = rest, "  "
			if open != section {
				open = section
				fmt.Fprintf(out, "%s:\n", section)
			}
		}
		line := indent + name + ": " + s.yaml(l.Config)
		if s.key == "secret_file" && l.SecretInEnvironment() { // the two together would be a mistake
			line = "# " + line
		}
		fmt.Fprintf(out, "%-46s # %s\n", line, l.from(s.key))
	}
	return out.Flush()
}
