package token

import (
	"bytes"
	"errors"
	"strings"
)

// ParseKeys reads the keys that a setting holds, such as an environment variable or a file that it names: one key in PEM (as
// [ParsePEM]), or a JWK or a JWK Set (as [ParseKeySet]), whichever the text is. The kids are the JWKs' own, or thumbprints.
// An RSA key that does not say its algorithm, as in PEM, becomes one for RS256: for another one give a JWK with "alg", or use
// ParsePEM.
//
// Every error begins with the setting's name, as in "JWT_PRIVATE_KEY: is required" for blank text, says what to do, and
// repeats no key.
func ParseKeys(setting string, text []byte) ([]*Key, error) {
	keys, err := parseKeys(bytes.TrimSpace(text))
	if err != nil {
		return nil, &settingError{setting: setting, err: err}
	}
	return keys, nil
}

func parseKeys(text []byte) ([]*Key, error) {
	begin := []byte("-----BEGIN ")
	switch {
	case len(text) == 0:
		return nil, errors.New("is required")
	case text[0] == '{':
		return parseKeySet(text, RS256)
	case text[0] == '"' || text[0] == '\'':
		return nil, errors.New("is in quotes: leave them out")
	case !bytes.Contains(text, begin):
		return nil, errors.New("is neither PEM nor a JWK or a JWK Set: PEM begins with -----BEGIN, the others with {")
	case bytes.IndexByte(text, '\n') < 0 && bytes.Contains(text, []byte(`\n`)):
		return nil, errors.New(`has the two characters \n where PEM has line breaks: put real ones there`)
	case bytes.IndexByte(text, '\n') < 0:
		return nil, errors.New("is PEM without its line breaks: keep them")
	}
	key, err := ParsePEM("", "", text)
	if err != nil {
		return nil, err
	}
	return []*Key{key}, nil
}

// ParseSigningKey is [ParseKeys] for the one key that signs: it refuses a public key, and more than one.
func ParseSigningKey(setting string, text []byte) (*Key, error) {
	keys, err := ParseKeys(setting, text)
	switch {
	case err != nil:
		return nil, err
	case len(keys) > 1:
		return nil, &settingError{setting, errors.New("has several keys: give the one that signs")}
	case !keys[0].CanSign():
		return nil, &settingError{setting, errors.New("is a public key: the private one is needed to sign")}
	}
	return keys[0], nil
}

// settingError puts the name of a setting in front of what is wrong with it.
type settingError struct {
	setting string
	err     error
}

func (e *settingError) Error() string {
	text := strings.TrimPrefix(e.err.Error(), "token: ") // the setting's name says more
	return e.setting + ": " + text
}

func (e *settingError) Unwrap() error { return e.err }
