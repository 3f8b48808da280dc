package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
)

// Unmarshal checks data as [Check] does and stores it in v as encoding/json would, with two differences: numbers
// become [json.Number] where v leaves the type open, and a member whose name differs from a field's name only in
// case is refused instead of being taken for it. Unknown members are left to the caller's schema, as encoding/json
// does. The error is a [*SyntaxError], also for a value that does not fit v; only a v that encoding/json can never
// store into gives that package's own error.
//
// Types with an UnmarshalJSON of their own read their part themselves.
func Unmarshal(data []byte, v any, maxDepth int) error {
	p := newBuilder(data, maxDepth)
	value, err := p.document()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *any:
		*v = value
		return nil
	case *map[string]any:
		object, ok := value.(map[string]any)
		if !ok {
			return &SyntaxError{Reason: "not an object"}
		}
		*v = object
		return nil
	}
	if !exactNames(value, reflect.TypeOf(v)) {
		return &SyntaxError{Reason: "member name in the wrong case"}
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err = decoder.Decode(v)
	var wrongTarget *json.InvalidUnmarshalError
	if err != nil && !errors.As(err, &wrongTarget) {
		// The original text may quote the document ("cannot unmarshal number 42 into ...").
		return &SyntaxError{Offset: int(decoder.InputOffset()), Reason: "value of the wrong type"}
	}
	return err
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// exactNames reports whether no member of value would reach a field of t by case folding.
func exactNames(value any, t reflect.Type) bool {
	if t == nil {
		return true
	}
	for t.Kind() == reflect.Pointer {
		if t.Implements(unmarshaler) {
			return true
		}
		t = t.Elem()
	}
	if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
		return true
	}
	switch value := value.(type) {
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return true
		}
		for _, element := range value {
			if !exactNames(element, t.Elem()) {
				return false
			}
		}
	case map[string]any:
		switch t.Kind() {
		case reflect.Map:
			for _, member := range value {
				if !exactNames(member, t.Elem()) {
					return false
				}
			}
		case reflect.Struct:
			fields := fieldTypes(t)
			for name, member := range value {
				if field, ok := fields[name]; ok {
					if !exactNames(member, field) {
						return false
					}
					continue
				}
				for field := range fields {
					if strings.EqualFold(field, name) {
						return false
					}
				}
			}
		}
	}
	return true
}

// fieldTypes lists what encoding/json may store into by name. Fields that a shallower one hides are listed as well,
// which can only refuse more.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type)
	for _, field := range reflect.VisibleFields(t) {
		tag := field.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		if tag == "-" || !field.IsExported() || field.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		if _, taken := fields[name]; !taken {
			fields[name] = field.Type
		}
	}
	return fields
}
