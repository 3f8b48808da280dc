package tokenjar

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"testing"
)

// K-19, F-25: each purpose has a key of its own, and the same one in the next version: what it signed or sealed must still
// open. So the labels stand here once more.
func TestK19EachPurposeHasAKeyOfItsOwnThatStays(t *testing.T) {
	const line = "kV3xQ9wLr7tYb2NzHm5sJd8FgCa4PeUo6iXnTqW1"
	secret, err := ParseSecret([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]string)
	purposes := []struct{ label, want string }{
		{labelRefresh, "tokenjar/1/refresh token"}, {labelSuccessor, "tokenjar/1/refresh successor"},
		{labelCSRF, "tokenjar/1/csrf token"}, {labelKeyRing, "tokenjar/1/key ring"}, {labelLineID, "tokenjar/1/line id"},
	}
	for _, p := range purposes {
		key, err := hkdf.Key(sha256.New, []byte(line), nil, p.want, 32)
		if err != nil {
			t.Fatal(err)
		}
		got := secret.keys(p.label)
		if len(got) != 1 || !bytes.Equal(got[0], key) {
			t.Errorf("%s: the key is another one than in earlier versions", p.label)
		}
		if len(got) == 1 {
			seen[string(got[0])] = p.label
		}
	}
	if len(seen) != len(purposes) {
		t.Errorf("%d purposes have %d keys", len(purposes), len(seen))
	}
}
