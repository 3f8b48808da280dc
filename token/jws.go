package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The compact serialisation of RFC 7515 section 7.1, and nothing else of JOSE: no JSON serialisation, no encryption,
// no compression, no keys or addresses of keys in headers. What is not implemented cannot be attacked.

const (
	// MaxSize is the longest token in bytes that is looked at or made.
	MaxSize = 8 << 10

	maxHeaderSize  = 2 << 10 // of the encoded header; ours have about 100
	maxHeaderDepth = 4
	maxTypeSize    = 64
)

// Header is what a verified token's header says.
type Header struct {
	Algorithm Algorithm
	KeyID     string // kid of the key that verified, also when the token names none
	Type      string // typ, "" when absent
}

// compact is a token taken apart, nothing believed yet.
type compact struct {
	header    Header
	hasKeyID  bool
	input     string // signing input: header and payload as sent, with the dot between them
	payload   string // still base64url
	signature string // still base64url
}

// parse takes raw apart and reads the header. Size and structure are judged before anything is decoded.
func parse(raw string) (compact, bool) {
	if len(raw) > MaxSize {
		return compact{}, false
	}
	first, last := strings.IndexByte(raw, '.'), strings.LastIndexByte(raw, '.')
	if first < 1 || first > maxHeaderSize || last == first || last == len(raw)-1 {
		return compact{}, false
	}
	c := compact{input: raw[:last], payload: raw[first+1 : last], signature: raw[last+1:]}
	if strings.IndexByte(c.payload, '.') >= 0 {
		return compact{}, false
	}
	header, ok := readHeader(raw[:first])
	c.header, c.hasKeyID = header.Header, header.hasKeyID
	return c, ok
}

var strictBase64 = base64.RawURLEncoding.Strict()

// decodeBase64 accepts the one spelling of RFC 7515 section 2: URL alphabet, no padding, unused bits zero.
// encoding/base64 skips CR and LF even when strict.
func decodeBase64(s string) ([]byte, bool) {
	b, ok := appendBase64(make([]byte, 0, strictBase64.DecodedLen(len(s))), s)
	if !ok {
		return nil, false
	}
	return b, true
}

// appendBase64 is decodeBase64 into memory that the caller has.
func appendBase64(b []byte, s string) ([]byte, bool) {
	if strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 {
		return nil, false
	}
	b, err := strictBase64.AppendDecode(b, []byte(s))
	return b, err == nil
}

// verify checks raw with one key of keys; only is that key when there is no choice.
func verify(raw string, keys map[string]*Key, only *Key) (Header, []byte, error) {
	c, ok := parse(raw)
	if !ok {
		return Header{}, nil, ErrMalformed
	}
	key := only
	if c.hasKeyID {
		key = keys[c.header.KeyID]
	}
	if key == nil || c.header.Algorithm != key.alg {
		return Header{}, nil, ErrSignature
	}
	if len(c.signature) != base64.RawURLEncoding.EncodedLen(key.material.signatureSize(key.alg)) {
		return Header{}, nil, ErrSignature
	}
	// What is signed and the signature, one behind the other.
	n := len(c.input)
	signed, ok := appendBase64(append(make([]byte, 0, n+len(c.signature)), c.input...), c.signature)
	if !ok {
		return Header{}, nil, ErrMalformed
	}
	payload, ok := decodeBase64(c.payload)
	if !ok {
		return Header{}, nil, ErrMalformed
	}
	if !key.material.verify(key.alg, signed[:n:n], signed[n:]) {
		return Header{}, nil, ErrSignature
	}
	c.header.KeyID = key.id
	return c.header, payload, nil
}

// sign makes a compact JWS of payload with key.
func sign(key *Key, typ string, payload []byte) (string, error) {
	if err := checkType(typ); err != nil {
		return "", fmt.Errorf("token: typ: %w", err)
	}
	header := append([]byte(`{"alg":"`), key.alg...)
	header = append(append(header, `","kid":`...), key.jsonID...)
	if typ != "" {
		header = append(append(append(header, `,"typ":"`...), typ...), '"')
	}
	header = append(header, '}')

	encoding := base64.RawURLEncoding
	size := encoding.EncodedLen(len(header)) + encoding.EncodedLen(len(payload)) + 2 +
		encoding.EncodedLen(key.material.signatureSize(key.alg))
	if size > MaxSize {
		return "", ErrTooLarge
	}
	token := encoding.AppendEncode(make([]byte, 0, size), header)
	token = encoding.AppendEncode(append(token, '.'), payload)
	signature, err := key.material.sign(key.alg, token)
	if err != nil {
		return "", err
	}
	return string(encoding.AppendEncode(append(token, '.'), signature)), nil
}

// checkType accepts what RFC 7515 section 4.1.9 calls a media type name, with the "application/" left out or not.
// None of its characters needs escaping in JSON.
func checkType(typ string) error {
	if len(typ) > maxTypeSize {
		return errors.New("longer than 64 bytes")
	}
	for _, c := range []byte(typ) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("/!#$^_.+-", c) < 0 {
			return errors.New("not a media type name")
		}
	}
	return nil
}

// appendJSON appends s as a JSON string, without the escapes that are only for HTML: a header stays short.
func appendJSON(b []byte, s string) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // cannot fail for a string
	return append(b, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...)
}
