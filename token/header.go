package token

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/tokenjar/tokenjar/internal/strictjson"
)

// How a header is read. There are two ways: the strict one is the rule, and the plain one is for headers as everybody
// writes them, of which there is one at every request. They agree wherever the plain one has an opinion (FuzzHeader).

// refusedMembers are header members that would change what the signature covers or which key checks it, and those
// of encrypted tokens (RFC 7516 section 4.1, RFC 7518 section 4). "crit" demands extensions and we have none (RFC 7515 section 4.1.11), "b64" changes the
// signing input (RFC 7797), the keys and addresses are an attacker's (RFC 8725 section 3.10), and "cty" announces a
// token within the token (RFC 7519 section 5.2).
var refusedMembers = map[string]bool{
	"crit": true, "b64": true, "cty": true,
	"jku": true, "jwk": true, "x5u": true, "x5c": true,
	"enc": true, "zip": true, "epk": true, "apu": true, "apv": true, "iv": true, "tag": true, "p2s": true, "p2c": true,
}

var (
	errRefusedMember = errors.New("refused header member")
	errNotText       = errors.New("header member is not a string")
)

// A sentHeader is a header as sent, nothing believed yet.
type sentHeader struct {
	Header
	hasKeyID bool
}

// readHeader reads an encoded header.
func readHeader(encoded string) (sentHeader, bool) {
	if len(encoded) > maxPlainHeader {
		text, ok := decodeBase64(encoded)
		if !ok {
			return sentHeader{}, false
		}
		return strictHeader(text)
	}
	var buffer [maxPlainHeader]byte
	text, ok := appendBase64(buffer[:0], encoded)
	if !ok {
		return sentHeader{}, false
	}
	if h, ok := plainHeader(string(text)); ok {
		return h, true
	}
	return strictHeader(text)
}

// strictHeader reads the text of a header: one strict JSON object with alg, and perhaps kid and typ, which are texts, and
// with none of the refused members.
func strictHeader(text []byte) (sentHeader, bool) {
	var h sentHeader
	var hasAlgorithm bool
	err := strictjson.Members(text, maxHeaderDepth, func(name, value string) error {
		var err error
		switch name {
		case "alg":
			var alg string
			alg, err = content(value)
			h.Algorithm, hasAlgorithm = Algorithm(alg), true
		case "kid":
			h.KeyID, err = content(value)
			h.hasKeyID = true
		case "typ":
			h.Type, err = content(value)
		default:
			if refusedMembers[name] {
				err = errRefusedMember
			}
		}
		return err
	})
	if err != nil || !hasAlgorithm {
		return sentHeader{}, false
	}
	return h, true
}

// content returns the content of a JSON string that strictjson has checked.
func content(value string) (string, error) {
	if value[0] != '"' {
		return "", errNotText
	}
	if strings.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], nil
	}
	var s string
	err := json.Unmarshal([]byte(value), &s)
	return s, err
}

// maxPlainHeader bounds what is read the plain way, encoded and decoded: a kid of a thumbprint needs 120 bytes.
const maxPlainHeader = 384

// plainHeader reads {"alg":"…","kid":"…","typ":"…"}: these members and no others, alg among them, each at most once, in any
// order, without blanks, and with values of printable ASCII without escapes. Of anything else it says nothing.
func plainHeader(text string) (h sentHeader, ok bool) {
	if len(text) < 2 || text[0] != '{' {
		return sentHeader{}, false
	}
	var hasAlgorithm, hasType bool
	for rest := text[1:]; ; rest = rest[1:] {
		const quoted = len(`"alg":"`)
		if len(rest) < quoted {
			return sentHeader{}, false
		}
		name := rest[:quoted]
		end := plainText(rest[quoted:])
		if end < 0 {
			return sentHeader{}, false
		}
		value := rest[quoted : quoted+end]
		switch {
		case name == `"alg":"` && !hasAlgorithm:
			h.Algorithm, hasAlgorithm = Algorithm(value), true
		case name == `"kid":"` && !h.hasKeyID:
			h.KeyID, h.hasKeyID = value, true
		case name == `"typ":"` && !hasType:
			h.Type, hasType = value, true
		default:
			return sentHeader{}, false
		}
		rest = rest[quoted+end+1:]
		if rest == "}" {
			return h, hasAlgorithm
		}
		if rest == "" || rest[0] != ',' {
			return sentHeader{}, false
		}
	}
}

// plainText returns where the closing quote of a string is whose characters all stand for themselves, and -1 when one does
// not or there is no quote.
func plainText(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			return i
		case c < ' ', c == '\\', c >= 0x7f:
			return -1
		}
	}
	return -1
}
