package strictjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// What is built while objects and arrays are open within one another, some of few members and some of many, is what
// encoding/json builds.
func TestNestedValuesAreBuiltAsEncodingJSONBuildsThem(t *testing.T) {
	var value func(t *rapid.T, depth int) any
	value = func(t *rapid.T, depth int) any {
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		if depth == 0 {
			kind %= 5
		}
		switch kind {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.String().Draw(t, "text")
		case 3, 4:
			return rapid.Int().Draw(t, "number")
		case 5, 6:
			list := make([]any, rapid.SampledFrom([]int{0, 1, 3, 20}).Draw(t, "elements"))
			for i := range list {
				list[i] = value(t, depth-1)
			}
			return list
		}
		object := map[string]any{}
		for i := range rapid.SampledFrom([]int{0, 1, 2, 15, 16, 17, 18, 40}).Draw(t, "members") {
			object[fmt.Sprint("m", i)] = value(t, depth-1)
		}
		return object
	}
	rapid.Check(t, func(t *rapid.T) {
		data, err := json.Marshal(value(t, 2))
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want, got any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if err := strictjson.Unmarshal(data, &got, 8); err != nil {
			if err.Error() == "strict json: NUL in a string" {
				return
			}
			t.Fatalf("%s: %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
	})
}
