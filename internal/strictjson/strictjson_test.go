package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

func TestCheck(t *testing.T) {
	const depth = 4
	for _, c := range []struct {
		name, text string
		reason     string // "" means accepted
	}{
		{name: "object", text: `{"a":1,"b":[true,false,null,"x",{"c":{}}]}`},
		{name: "blanks around everything", text: " \t\r\n{ \"a\" : [ 1 , 2 ] } \n"},
		{name: "bare string", text: `"x"`},
		{name: "bare null", text: `null`},
		{name: "empty array", text: `[ ]`},
		{name: "same name in different objects", text: `{"a":{"a":1},"b":{"a":2}}`},
		{name: "names that differ in case only", text: `{"a":1,"A":2}`},
		{name: "every escape", text: `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`},
		{name: "exactly as deep as allowed", text: `[[[[]]]]`},

		{name: "J-17 I-01 duplicate member", text: `{"a":1,"a":2}`, reason: strictjson.DuplicateMember},
		{name: "J-17 I-01 duplicate member, escaped name", text: `{"alg":1,"\u0061lg":2}`, reason: strictjson.DuplicateMember},
		{name: "J-17 I-01 duplicate member, surrogate pair", text: `{"😀":1,"\ud83d\ude00":2}`, reason: strictjson.DuplicateMember},
		{name: "J-17 I-01 duplicate member, nested", text: `[{"x":{"a":1,"b":2,"a":3}}]`, reason: strictjson.DuplicateMember},
		{name: "J-17 I-01 duplicate member, after a nested object", text: `{"a":{"b":1},"a":2}`, reason: strictjson.DuplicateMember},
		{name: "J-17 I-01 duplicate empty name", text: `{"":1,"":2}`, reason: strictjson.DuplicateMember},
		{name: "J-17 I-01 duplicate among many", text: "{" + members(0, 40) + `,"m3":0}`, reason: strictjson.DuplicateMember},
		{name: "J-17 I-01 duplicate of a late one among many", text: "{" + members(0, 40) + `,"m39":0}`, reason: strictjson.DuplicateMember},
		{name: "many members", text: "{" + members(0, 40) + "}"},

		{name: "J-19 I-05 byte order mark", text: "\ufeff{}", reason: "byte order mark"},
		{name: "J-19 I-05 UTF-16", text: "\xff\xfe{\x00}\x00", reason: "not a value"},
		{name: "J-19 I-05 invalid UTF-8 in a string", text: "\"\xc3\x28\"", reason: "not valid UTF-8"},
		{name: "J-19 I-05 overlong UTF-8", text: "\"\xc0\xaf\"", reason: "not valid UTF-8"},
		{name: "J-19 I-05 surrogate written in UTF-8", text: "\"\xed\xa0\x80\"", reason: "not valid UTF-8"},
		{name: "J-19 I-05 invalid UTF-8 in a name", text: "{\"\xff\":1}", reason: "not valid UTF-8"},
		{name: "J-19 I-05 lone high surrogate", text: `"\ud800"`, reason: "half a surrogate pair"},
		{name: "J-19 I-05 lone low surrogate", text: `"\udc00"`, reason: "half a surrogate pair"},
		{name: "J-19 I-05 high surrogate before another escape", text: `"\ud800\n"`, reason: "half a surrogate pair"},
		{name: "J-19 I-05 two high surrogates", text: `"\ud800\ud800"`, reason: "half a surrogate pair"},
		{name: "J-19 I-05 high surrogate and broken escape", text: `"\ud800\u12"`, reason: "half a surrogate pair"},
		{name: "J-19 I-05 escaped NUL", text: `"a\u0000b"`, reason: "NUL in a string"},
		{name: "J-19 I-05 escaped NUL in a name", text: `{"a\u0000":1}`, reason: "NUL in a string"},
		{name: "J-19 I-05 raw NUL", text: "\"a\x00b\"", reason: "control character in a string"},
		{name: "I-05 raw newline", text: "\"a\nb\"", reason: "control character in a string"},
		{name: "I-05 line separator and right-to-left marks are text", text: "\"\u2028\u202e\u200f\""},
		{name: "a true replacement character is text", text: "\"\ufffd\""},

		{name: "J-21 I-02 too deep", text: `[[[[[]]]]]`, reason: "nested too deeply"},
		{name: "J-21 I-02 100k arrays deep", text: strings.Repeat("[", 100_000), reason: "nested too deeply"},
		{name: "J-21 I-02 100k objects deep", text: strings.Repeat(`{"a":`, 100_000), reason: "nested too deeply"},

		{name: "I-03 numbers", text: `[0,-0,1,-1,10,1.5,1e3,1E+3,1e-3,0.0,1e400,18446744073709551616]`},
		{name: "I-03 leading zero", text: `01`, reason: "text after the value"},
		{name: "I-03 hexadecimal", text: `0x10`, reason: "text after the value"},
		{name: "I-03 plus sign", text: `+1`, reason: "not a value"},
		{name: "I-03 minus alone", text: `-`, reason: "not a number"},
		{name: "I-03 dot without digits", text: `1.`, reason: "not a number"},
		{name: "I-03 dot first", text: `.5`, reason: "not a value"},
		{name: "I-03 exponent without digits", text: `1e+`, reason: "not a number"},

		{name: "I-06 trailing text", text: `{} x`, reason: "text after the value"},
		{name: "I-06 two documents", text: `{}{}`, reason: "text after the value"},
		{name: "I-06 comment", text: `{/**/}`, reason: "no member name"},
		{name: "I-06 single quotes", text: `{'a':1}`, reason: "no member name"},
		{name: "I-06 NaN", text: `NaN`, reason: "not a value"},
		{name: "I-06 Infinity", text: `-Infinity`, reason: "not a number"},
		{name: "I-06 unterminated object", text: `{"a":1`, reason: "no comma or closing brace after a member"},
		{name: "I-06 unterminated array", text: `[1`, reason: "no comma or closing bracket after an array element"},
		{name: "I-06 unterminated string", text: `"a`, reason: "string without end"},
		{name: "I-06 ends in an escape", text: `"\`, reason: "unknown escape in a string"},
		{name: "I-06 ends in a unicode escape", text: `"\u00`, reason: "unknown escape in a string"},
		{name: "I-06 unknown escape", text: `"\x41"`, reason: "unknown escape in a string"},
		{name: "I-06 trailing comma in an object", text: `{"a":1,}`, reason: "no member name"},
		{name: "I-06 trailing comma in an array", text: `[1,]`, reason: "not a value"},
		{name: "I-06 no colon", text: `{"a" 1}`, reason: "no colon after a member name"},
		{name: "I-06 no value", text: `{"a":`, reason: "document ends early"},
		{name: "I-06 literal in another case", text: `True`, reason: "not a value"},
		{name: "I-06 literal with a tail", text: `nullx`, reason: "text after the value"},
		{name: "I-06 other blanks", text: "\u00a0{}", reason: "not a value"},
		{name: "I-06 form feed", text: "\f{}", reason: "not a value"},

		{name: "I-07 empty", text: ``, reason: "empty document"},
		{name: "I-07 blanks only", text: " \n\t", reason: "empty document"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := strictjson.Check([]byte(c.text), depth)
			if c.reason == "" {
				if err != nil {
					t.Fatalf("got %v, want it accepted", err)
				}
				return
			}
			var syntax *strictjson.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			if syntax.Reason != c.reason {
				t.Errorf("got reason %q, want %q", syntax.Reason, c.reason)
			}
			if syntax.Offset < 0 || syntax.Offset > len(c.text) {
				t.Errorf("offset %d is outside the document of %d bytes", syntax.Offset, len(c.text))
			}
		})
	}
}

func members(from, to int) string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf(`"m%d":%d`, i, i))
	}
	return strings.Join(list, ",")
}

func TestErrorsHoldNoInput(t *testing.T) {
	const canary = "hunter2"
	for _, text := range []string{
		`{"hunter2":1,"hunter2":2}`, `"hunter2`, `hunter2`, `{} hunter2`, `{"a":"hunter2\q"}`, `{"HUNTER2":1}`, `{"n":"hunter2"}`,
	} {
		var target struct {
			Hunter2 int `json:"hunter2"`
			N       int `json:"n"`
		}
		err := strictjson.Unmarshal([]byte(text), &target, 4)
		if err == nil {
			t.Errorf("%s: accepted", text)
		} else if strings.Contains(strings.ToLower(err.Error()), canary) {
			t.Errorf("error %q quotes the document", err)
		}
	}
}

func TestDepthStopsTheWalkWhereItIsReached(t *testing.T) {
	// J-21, I-02: what follows the limit is never looked at, however long it is.
	err := strictjson.Check([]byte(strings.Repeat("[", 1_000_000)), 8)
	var syntax *strictjson.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != 8 {
		t.Errorf("got %v, want a fault at offset 8", err)
	}
	if err := strictjson.Check([]byte(strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), 1<<30); err == nil {
		t.Error("a depth above 10,000 was allowed")
	}
	if err := strictjson.Check([]byte(`1`), 0); err != nil {
		t.Errorf("depth 0 refuses a number: %v", err)
	}
	if err := strictjson.Check([]byte(`{}`), 0); err == nil {
		t.Error("depth 0 accepts an object")
	}
}

func TestManyMembersTakeLinearTime(t *testing.T) {
	// J-21, I-02. A quadratic search would take minutes for the large one; the bound is far from both.
	large := []byte("{" + members(0, 200_000) + "}")
	start := time.Now()
	if err := strictjson.Check(large, 2); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("200,000 members took %v", took)
	}
}

func TestUsualDocumentsCostFewAllocations(t *testing.T) {
	data := []byte(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`)
	if n := testing.AllocsPerRun(100, func() { _ = strictjson.Check(data, 4) }); n > 6 {
		t.Errorf("got %v allocations, want at most 6", n)
	}
}

func TestMembers(t *testing.T) {
	var got []string
	collect := func(name, value string) error {
		got = append(got, name+"="+value)
		return nil
	}
	text := ` { "a" : 1 , "b\n":"x\u0041","c":{"d":[1]} , "e":null}`
	if err := strictjson.Members([]byte(text), 4, collect); err != nil {
		t.Fatal(err)
	}
	want := []string{"a=1", "b\n=\"x\\u0041\"", `c={"d":[1]}`, "e=null"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	stop := errors.New("stop")
	if err := strictjson.Members([]byte(text), 4, func(string, string) error { return stop }); err != stop {
		t.Errorf("got %v, want the callback's error", err)
	}
	for _, text := range []string{``, ` `, `null`, `[]`, `"x"`, `[{"a":1}]`, `{"a":1}x`, `{"a":1,"a":2}`, "\ufeff{}"} {
		if err := strictjson.Members([]byte(text), 4, collect); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}

type inner struct {
	Name string `json:"name"`
}

type target struct {
	inner
	User   string           `json:"username"`
	Plain  int              // no tag: the member is called Plain
	Hidden string           `json:"-"`
	List   []inner          `json:"list"`
	Map    map[string]inner `json:"map"`
	Next   *target          `json:"next"`
	Open   any              `json:"open"`
	When   *time.Time       `json:"when"`
}

func TestUnmarshal(t *testing.T) {
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"exact names", `{"username":"u","Plain":1,"name":"n"}`, true},
		{"unknown members are left to the schema", `{"unknown":1}`, true},
		{"nested exact names", `{"list":[{"name":"a"}],"map":{"K":{"name":"b"}},"next":{"username":"c"}}`, true},
		{"names below an open type are free", `{"open":{"USERNAME":1,"Username":2}}`, true},
		{"a type that reads itself", `{"when":"2026-01-02T03:04:05Z"}`, true},
		{"M-19 I-01 other case", `{"Username":"u"}`, false},
		{"M-19 I-01 both cases", `{"username":"u","USERNAME":"v"}`, false},
		{"M-20 J-18 long s", `{"uſername":"u"}`, false},
		{"M-20 J-18 Kelvin sign folds to k", `{"Kname":1}`, true}, // to no field of ours
		{"untagged field in lower case", `{"plain":1}`, false},
		{"promoted field in another case", `{"Name":"n"}`, false},
		{"other case in a list", `{"list":[{"NAME":"a"}]}`, false},
		{"other case in a map value", `{"map":{"k":{"NAME":"a"}}}`, false},
		{"other case behind a pointer", `{"next":{"next":{"USERNAME":"c"}}}`, false},
		{"hidden field's name is unknown", `{"Hidden":"h","hidden":"h"}`, true},
		{"wrong type", `{"username":1}`, false},
		{"number out of range", `{"Plain":1e400}`, false},
		{"I-07 array", `[]`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v target
			if err := strictjson.Unmarshal([]byte(c.text), &v, 8); (err == nil) != c.ok {
				t.Errorf("got %v, want ok %v", err, c.ok)
			} else if v.Hidden != "" {
				t.Error("a hidden field was set")
			}
		})
	}
	var v target
	if err := strictjson.Unmarshal([]byte(`{"open":12345678901234567890}`), &v, 8); err != nil || v.Open != json.Number("12345678901234567890") {
		t.Errorf("got %v, %v, want the number digit by digit", v.Open, err)
	}
	var object map[string]any
	if err := strictjson.Unmarshal([]byte(`{"a":1.0}`), &object, 8); err != nil || object["a"] != json.Number("1.0") {
		t.Errorf("got %v, %v", object, err)
	}
	for _, text := range []string{`null`, `[]`, `"x"`} {
		if err := strictjson.Unmarshal([]byte(text), &object, 8); err == nil {
			t.Errorf("I-07: %s was read as an object", text)
		}
	}
	var invalid *json.InvalidUnmarshalError
	if err := strictjson.Unmarshal([]byte(`{}`), target{}, 8); !errors.As(err, &invalid) {
		t.Errorf("got %v, want encoding/json's own error for a target that is no pointer", err)
	}
	if err := strictjson.Unmarshal([]byte(`{}`), nil, 8); !errors.As(err, &invalid) {
		t.Errorf("got %v for a nil target", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	data := []byte(`{"iss":"https://id.example","aud":"https://api.example","sub":"01J9","exp":1700000300,"iat":1700000000,"jti":"abcdefghijklmnopqrstuvwxyz","scp":["a","b"]}`)
	b.SetBytes(int64(len(data)))
	b.Run("strictjson.Check", func(b *testing.B) {
		for b.Loop() {
			_ = strictjson.Check(data, 8)
		}
	})
	b.Run("strictjson.Unmarshal", func(b *testing.B) {
		for b.Loop() {
			var v map[string]any
			_ = strictjson.Unmarshal(data, &v, 8)
		}
	})
	b.Run("encoding json", func(b *testing.B) {
		for b.Loop() {
			var v map[string]any
			_ = json.Unmarshal(data, &v)
		}
	})
}
