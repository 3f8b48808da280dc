package strictjson_test

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// FuzzCheck holds the reader against encoding/json and against a second strict decoder built on json.Decoder.Token.
func FuzzCheck(f *testing.F) {
	seeds := []string{
		`{}`, `[]`, `null`, `"x"`, `-0.5e+7`, `{"a":1,"a":2}`, `{"alg":1,"\u0061lg":2}`, `{"a":{"b":[{}]}}`, `"\ud83d\ude00"`,
		`"\ud800"`, `"\u0000"`, "\"\xff\"", "\ufeff{}", `[1,]`, `{"a":1}x`, `{"ſub":1}`, "[[[[[[[[[[[[", `1e400`, `"\ufffd"`, "\"\ufffd\"",
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range seeds {
		f.Add([]byte(seed), uint8(8))
	}
	f.Fuzz(func(t *testing.T, data []byte, limit uint8) {
		depth := int(limit)
		err := strictjson.Check(data, depth)
		var value any
		strict := strictjson.Unmarshal(data, &value, depth)
		if (err == nil) != (strict == nil) {
			t.Fatalf("Check says %v, Unmarshal says %v", err, strict)
		}
		walk := strictjson.Members(data, depth, func(string, string) error { return nil })
		if _, isObject := value.(map[string]any); (walk == nil) != (err == nil && isObject) {
			t.Fatalf("Check says %v, Members says %v", err, walk)
		}
		if err != nil {
			return
		}
		reference := json.NewDecoder(bytes.NewReader(data))
		reference.UseNumber()
		var want any
		if err := reference.Decode(&want); err != nil {
			t.Fatalf("accepted, but encoding/json says %v", err)
		}
		if !json.Valid(data) {
			t.Fatal("accepted, but encoding/json finds it invalid")
		}
		if !reflect.DeepEqual(value, want) {
			t.Fatalf("got %#v, encoding/json %#v", value, want)
		}
		if !utf8.Valid(data) {
			t.Fatal("accepted, but not UTF-8")
		}
		second := secondDecoder{json.NewDecoder(bytes.NewReader(data))}
		second.UseNumber()
		if deepest, ok := second.value(t); !ok || deepest > depth {
			t.Fatalf("accepted, but a second decoder finds duplicates, NUL or depth %d", deepest)
		}
		if _, err := second.Token(); err != io.EOF {
			t.Fatalf("accepted, but a second decoder finds more: %v", err)
		}
	})
}

type secondDecoder struct{ *json.Decoder }

// value reads one value and reports its depth and whether it is free of duplicates and NUL.
func (d secondDecoder) value(t *testing.T) (depth int, ok bool) {
	token, err := d.Token()
	if err != nil {
		t.Fatalf("second decoder: %v", err)
	}
	switch token := token.(type) {
	case string:
		return 0, !strings.Contains(token, "\x00")
	case json.Delim:
		seen := make(map[string]bool)
		ok = true
		for d.More() {
			if token == '{' {
				name, err := d.Token()
				if err != nil {
					t.Fatalf("second decoder: %v", err)
				}
				ok = ok && !seen[name.(string)] && !strings.Contains(name.(string), "\x00")
				seen[name.(string)] = true
			}
			below, good := d.value(t)
			depth, ok = max(depth, below), ok && good
		}
		if _, err := d.Token(); err != nil {
			t.Fatalf("second decoder: %v", err)
		}
		return depth + 1, ok
	}
	return 0, true
}

// FuzzUnmarshalStruct: a member reaches a field only under the field's exact name.
func FuzzUnmarshalStruct(f *testing.F) {
	for _, seed := range []string{`{"username":"a"}`, `{"Username":"a"}`, `{"uſername":"a"}`, `{"list":[{"Name":"x"}]}`, `{"next":{"Plain":1}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v struct {
			User string `json:"username"`
			Kind string `json:"kind"`
		}
		if strictjson.Unmarshal(data, &v, 8) != nil {
			return
		}
		var exact map[string]any
		if err := json.Unmarshal(data, &exact); err != nil {
			return // null into a struct
		}
		user, _ := exact["username"].(string)
		kind, _ := exact["kind"].(string)
		if v.User != user || v.Kind != kind {
			t.Fatalf("got %+v, want username %q and kind %q", v, user, kind)
		}
	})
}
