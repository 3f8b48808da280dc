package tokenjar

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"

	"github.com/tokenjar/tokenjar/token"
)

// There is one secret, and it is never used itself: each purpose has a key of its own, derived with HKDF-SHA256
// (RFC 5869) under a label. A key for one purpose therefore says nothing about another, and no configuration can make
// two of them equal.
//
// The secret may have several lines. The first signs and seals; all of them verify and open. That is how a secret is
// changed without ending a session: add the new line second on every node, make it first, keep the old one for as long
// as a session may live.
const (
	labelRefresh   = "refresh token"
	labelSuccessor = "refresh successor"
	labelCSRF      = "csrf token"
	labelKeyRing   = "key ring"
	labelLineID    = "line id"
)

const minSecretLine = 32 // bytes

// Secret is the one secret everything is derived from: one or more lines of at least 32 bytes each.
// The zero Secret is not usable. A Secret never prints itself.
type Secret struct {
	lines [][]byte
}

// ParseSecret reads a secret file: one secret a line, blank lines and white space around a line ignored. The first
// line signs and seals; further ones still verify and open.
//
// It fails when there is no line, when a line stands twice, and when a line is no secret: fewer than 32 bytes, a pattern,
// words, a comment, an assignment. The error never contains the secret. [GenerateSecret] makes a good line.
func ParseSecret(text []byte) (Secret, error) {
	var s Secret
	n := 0 // of the line in the file
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		n++
		switch {
		case len(line) == 0:
			continue
		case len(line) < minSecretLine:
			return Secret{}, fmt.Errorf("secret line %d has %d bytes: at least %d are needed", n, len(line), minSecretLine)
		case line[0] == '#':
			return Secret{}, fmt.Errorf("secret line %d begins with #: the file has secrets in it and no comments", n)
		case bytes.ContainsAny(line, " \t"):
			return Secret{}, fmt.Errorf("secret line %d has blanks in it: a secret is one word", n)
		case assignment.Match(line):
			return Secret{}, fmt.Errorf("secret line %d is NAME=VALUE: the file has the secret alone in it", n)
		case token.CheckSecret(line) != nil:
			return Secret{}, fmt.Errorf("secret line %d is well known, has a word in it or follows a pattern: make a random one", n)
		}
		for _, earlier := range s.lines {
			if bytes.Equal(earlier, line) {
				return Secret{}, fmt.Errorf("secret line %d stands twice", n)
			}
		}
		s.lines = append(s.lines, bytes.Clone(line))
	}
	if len(s.lines) == 0 {
		return Secret{}, errEmptySecret
	}
	return s, nil
}

var assignment = regexp.MustCompile(`^[A-Z][A-Z0-9_]*=[^=]`)

var errEmptySecret = errors.New("the secret is empty: at least one line of 32 bytes is needed")

// GenerateSecret returns a fresh secret line: 256 random bits in base64url, 43 characters.
func GenerateSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// IsZero reports whether s holds no line.
func (s Secret) IsZero() bool { return len(s.lines) == 0 }

// String hides the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[secret]" }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// equal reports whether two secrets have the same lines in the same order.
func (s Secret) equal(other Secret) bool {
	return slices.EqualFunc(s.lines, other.lines, bytes.Equal)
}

// keys returns the key of one purpose for each line, 32 bytes each, in the order of the lines.
func (s Secret) keys(label string) [][]byte {
	keys := make([][]byte, len(s.lines))
	for i, line := range s.lines {
		key, err := hkdf.Key(sha256.New, line, nil, "tokenjar/1/"+label, 32)
		if err != nil {
			panic("tokenjar: hkdf: " + err.Error()) // only for a length SHA-256 cannot give
		}
		keys[i] = key
	}
	return keys
}

// lineIDs returns a public name for each line, which tells lines apart and nothing else about them.
func (s Secret) lineIDs() []string {
	keys := s.keys(labelLineID)
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = "s-" + base64.RawURLEncoding.EncodeToString(key[:6])
	}
	return ids
}

// seal encrypts plain under the first line's key of the label with AES-256-GCM and a random nonce. What is in aad must be
// the same when it is opened.
func (s Secret) seal(label, aad string, plain []byte) ([]byte, error) {
	aead, err := newGCM(s.keys(label)[0])
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(label+"\x00"+aad)), nil
}

// open decrypts what seal made under any of the lines. It reports whether the first line did it.
func (s Secret) open(label, aad string, box []byte) (plain []byte, byFirst bool, err error) {
	for i, key := range s.keys(label) {
		aead, err := newGCM(key)
		if err != nil {
			return nil, false, err
		}
		if plain, err := aead.Open(nil, nil, box, []byte(label+"\x00"+aad)); err == nil {
			return plain, i == 0, nil
		}
	}
	return nil, false, errors.New("no line of the secret opens it")
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
