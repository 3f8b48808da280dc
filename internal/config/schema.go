package config

import (
	"fmt"
	"reflect"
	"strings"
)

// A schema is what may stand in one mapping of the file: the settings that the tags of a struct describe, their sections,
// and of each list of mappings the schema of its entries. That of the whole file is root.
type schema struct {
	typ      reflect.Type
	settings []setting // in the order of the struct
	sections []string  // the keys that group them
	byKey    map[string]setting
}

var root = describe(reflect.TypeFor[Config]())

// settings are all that stand at the top of the file or in its sections. Only they can be set in the environment.
var settings = root.settings

func describe(t reflect.Type) *schema {
	sc := &schema{typ: t, byKey: make(map[string]setting)}
	sc.add(t, nil, "")
	for _, s := range sc.settings {
		sc.byKey[s.key] = s
	}
	return sc
}

func (sc *schema) add(t reflect.Type, index []int, prefix string) {
	for field := range t.Fields() {
		key := prefix + field.Tag.Get("key")
		at := append(append([]int(nil), index...), field.Index...)
		if field.Type.Kind() == reflect.Struct {
			sc.sections = append(sc.sections, key)
			sc.add(field.Type, at, key+".")
			continue
		}
		s := setting{
			key: key, env: envName(key), index: at, typ: field.Type,
			def: field.Tag.Get("default"), example: field.Tag.Get("example"), enum: strings.Fields(field.Tag.Get("enum")),
			min: field.Tag.Get("min"), max: field.Tag.Get("max"), doc: field.Tag.Get("doc"),
		}
		if isListOfMappings(field.Type) {
			s.entries = describe(field.Type.Elem())
		}
		sc.settings = append(sc.settings, s)
	}
}

// isListOfMappings tells a list whose entries have settings of their own from one of texts.
func isListOfMappings(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && t.Elem().Field(0).Tag.Get("key") != ""
}

// fill sets what has a default.
func (sc *schema) fill(in reflect.Value) {
	for _, s := range sc.settings {
		if s.def == "" {
			continue
		}
		if err := s.set(in, s.def); err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", s.key, err)) // a tag is wrong
		}
	}
}

// example returns an entry of a list as it may stand in a file.
func (sc *schema) example() reflect.Value {
	in := reflect.New(sc.typ).Elem()
	sc.fill(in)
	for _, s := range sc.settings {
		if s.required() {
			s.field(in).SetString(s.example)
		}
	}
	return in
}

func (sc *schema) isSection(key string) bool {
	for _, s := range sc.sections {
		if s == key {
			return true
		}
	}
	return false
}

// A spot is a struct that holds settings, and what stands before their names: nothing at the top, "routes[0]." in an entry
// of a list.
type spot struct {
	*schema
	in   reflect.Value
	path string
}

// top returns the whole of a configuration.
func (c *Config) top() spot { return spot{root, reflect.ValueOf(c).Elem(), ""} }

// entry returns an entry of one of a spot's lists.
func (at spot) entry(s setting, i int) spot {
	return spot{s.entries, s.field(at.in).Index(i), fmt.Sprintf("%s%s[%d].", at.path, s.key, i)}
}

// each visits every setting, and those of every entry behind the list that the entry is in.
func (at spot) each(visit func(s setting, at spot)) {
	for _, s := range at.settings {
		visit(s, at)
		if s.entries != nil {
			for i := range s.field(at.in).Len() {
				at.entry(s, i).each(visit)
			}
		}
	}
}

// enclosing returns what a setting is in: the entry of a list, the list, or the section; empty at the top.
func enclosing(key string) string {
	if strings.HasSuffix(key, "]") {
		return key[:strings.LastIndexByte(key, '[')]
	}
	return key[:max(0, strings.LastIndexByte(key, '.'))]
}
