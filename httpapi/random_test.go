package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/stress"
)

// cases is how many random bodies an operation gets: TOKENJAR_CONTRACT_CASES, or as many as every run can afford, where
// each password costs a hash.
func cases(t *testing.T, shape *schema) int {
	text := os.Getenv("TOKENJAR_CONTRACT_CASES")
	switch {
	case text == "" && stress.Race:
		return 25 // make test has all of them without the detector
	case text == "" && (shape.Properties["password"] != nil || shape.Properties["old_password"] != nil):
		return 100
	case text == "":
		return 300
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("TOKENJAR_CONTRACT_CASES is %q: want a number", text)
	}
	return n
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       any                `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	MaxLength  int                `json:"maxLength"`
}

// Random bodies by the schemas of the document: as they should be, and with mistakes in them. Whatever comes, the answer
// is one that the document describes (every answer is checked for that) and no fault of ours.
func TestRandomBodiesBySchema(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema *schema `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]*schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(w.Server.Contract(), &doc); err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for method, op := range doc.Paths[path] {
			media, ok := op.RequestBody.Content["application/json"]
			if !ok {
				continue
			}
			operations++
			shape := doc.Components.Schemas[strings.TrimPrefix(media.Schema.Ref, "#/components/schemas/")]
			bodies := randomBodies(shape)
			t.Run("I-19: "+strings.ToUpper(method)+" "+path, func(t *testing.T) {
				ada := w.SignIn(t, servertest.Ada)
				at := strings.Replace(path, "{id}", ada.SessionID, 1)
				seen := map[int]int{}
				for i := range cases(t, shape) {
					body := bodies.Example(i)
					a := w.Send(t, strings.ToUpper(method), at, body, ada.As)
					seen[a.Status]++
					if a.Status >= 500 {
						t.Errorf("%d for %q", a.Status, body)
					}
					if t.Failed() {
						t.Fatalf("number %d: %q", i, body)
					}
				}
				// Both sides must have been tried: what is refused for its form, and what is not.
				if formed := len(seen) - min(1, seen[400]) - min(1, seen[422]); seen[422] == 0 || seen[400] == 0 || formed == 0 {
					t.Errorf("the bodies are not random enough: %v", seen)
				}
			})
		}
	}
	if operations != len(takers) {
		t.Errorf("%d operations take a body, %d are known", operations, len(takers))
	}
}

// randomBodies makes bodies for a schema: about a third are good, others have a mistake or several.
func randomBodies(shape *schema) *rapid.Generator[string] {
	names := slices.Sorted(maps.Keys(shape.Properties))
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		sloppy := rapid.IntRange(0, 2).Draw(t, "sloppy") > 0
		for _, name := range names {
			if !slices.Contains(shape.Required, name) && rapid.Bool().Draw(t, "left out") || sloppy && rapid.IntRange(0, 5).Draw(t, "missed") == 0 {
				continue
			}
			value := goodValue(shape.Properties[name]).Draw(t, name)
			if sloppy && rapid.IntRange(0, 3).Draw(t, "bad value") == 0 {
				value = anyValue().Draw(t, name)
			}
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
		if sloppy && rapid.IntRange(0, 4).Draw(t, "more") == 0 {
			members = append(members, quote(rapid.String().Draw(t, "name"))+":"+anyValue().Draw(t, "value"))
		}
		if sloppy && len(members) > 0 && rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
			members = append(members, rapid.SampledFrom(members).Draw(t, "member"))
		}
		body := "{" + strings.Join(members, ",") + "}"
		if sloppy && rapid.IntRange(0, 9).Draw(t, "broken") == 0 {
			cut := rapid.IntRange(0, len(body)).Draw(t, "cut")
			body = body[:cut] + rapid.SampledFrom([]string{"", "\x00", "\xff", "}", "]", `"`, ","}).Draw(t, "put") + body[cut:]
		}
		return body
	})
}

func goodValue(s *schema) *rapid.Generator[string] {
	if s.Type == "boolean" {
		return rapid.SampledFrom([]string{"true", "false"})
	}
	// Few characters, so that most are names that somebody could have; sometimes as long as is allowed, or longer.
	short := rapid.Map(rapid.StringOfN(rapid.RuneFrom([]rune("abcXYZ019 -_@.éß\u200b\u202e😀")), 0, 12, -1), quote)
	long := rapid.Map(rapid.IntRange(s.MaxLength-1, s.MaxLength+1), func(n int) string { return quote(strings.Repeat("x", max(n, 0))) })
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			return long.Draw(t, "text")
		}
		return short.Draw(t, "text")
	})
}

func anyValue() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"null", "true", "-0", "1e400", "1.0", "18446744073709551616", "[]", "{}", `[["x"]]`, `{"$ne":null}`, `"\u0000"`, `"\ud800"`, `"\ud83d\ude00"`, `""`, "nul", "'x'"}),
		rapid.Map(rapid.String(), quote),
		rapid.Map(rapid.Int64(), func(n int64) string { return strconv.FormatInt(n, 10) }),
		rapid.Map(rapid.Float64(), func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }),
	)
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
