package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// How claims are written. encoding/json is the rule; the plain way is for claims as nearly all are, and writes the same
// bytes (TestPlainClaimsAreWrittenAsEncodingJSONDoes).

// marshalClaims writes members in alphabetical order and without the escapes that are only for HTML.
func marshalClaims(claims Claims) ([]byte, error) {
	if payload, ok := plainClaims(claims); ok {
		return payload, nil
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims); err != nil {
		return nil, fmt.Errorf("token: claims: %w", err)
	}
	payload := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
	if hasReplacement(payload) {
		return nil, errors.New("token: claims: text is not valid UTF-8")
	}
	if err := strictjson.Check(payload, maxClaimsDepth); err != nil {
		return nil, fmt.Errorf("token: claims: %w", err)
	}
	return payload, nil
}

// hasReplacement finds the escape \ufffd, which encoding/json writes for a byte that is not UTF-8 and for nothing
// else: a true U+FFFD stays as it is.
func hasReplacement(payload []byte) bool {
	escape := []byte(`\ufffd`)
	for {
		at := bytes.Index(payload, escape)
		if at < 0 {
			return false
		}
		backslashes := at - len(bytes.TrimRight(payload[:at], `\`)) // in pairs they are text, and ours is one of them
		if backslashes%2 == 0 {
			return true
		}
		payload = payload[at+len(escape):]
	}
}

// plainClaims writes claims whose texts are printable ASCII without quotes and backslashes, whose numbers are whole, and
// whose lists hold such texts. What it writes needs no check: names in a map are different ones, and nothing is nested.
func plainClaims(claims Claims) ([]byte, bool) {
	if claims == nil {
		return nil, false
	}
	var room [24]string
	names := room[:0]
	for name := range claims {
		names = append(names, name)
	}
	slices.Sort(names)
	b := append(make([]byte, 0, 512), '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = appendPlainText(b, name); !ok {
			return nil, false
		}
		if b, ok = appendPlainValue(append(b, ':'), claims[name]); !ok {
			return nil, false
		}
	}
	return append(b, '}'), true
}

func appendPlainValue(b []byte, value any) ([]byte, bool) {
	switch value := value.(type) {
	case string:
		return appendPlainText(b, value)
	case json.Number:
		_, rest, ok := digits(string(value), 18)
		if !ok || rest != "" || len(value) > 1 && value[0] == '0' {
			return nil, false
		}
		return append(b, value...), true
	case int:
		return strconv.AppendInt(b, int64(value), 10), true
	case int64:
		return strconv.AppendInt(b, value, 10), true
	case bool:
		return strconv.AppendBool(b, value), true
	case []string:
		if value == nil {
			return nil, false // encoding/json writes null
		}
		b = append(b, '[')
		for i, text := range value {
			if i > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendPlainText(b, text); !ok {
				return nil, false
			}
		}
		return append(b, ']'), true
	}
	return nil, false
}

func appendPlainText(b []byte, text string) ([]byte, bool) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return nil, false
		}
	}
	b = append(append(b, '"'), text...)
	return append(b, '"'), true
}
