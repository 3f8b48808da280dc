package tokenjartest_test

import (
	"io"
	"testing"

	"github.com/tokenjar/tokenjar/tokenjartest"
)

// What a test pays before it begins.
func BenchmarkNew(b *testing.B) {
	tokenjartest.PasswordHash()
	for b.Loop() {
		s := newStandIn(io.Discard)
		tokenjartest.New(s, tokenjartest.Config{})
		s.finish()
	}
}

// And with somebody signed in.
func BenchmarkNewAndSignIn(b *testing.B) {
	tokenjartest.PasswordHash()
	for b.Loop() {
		s := newStandIn(io.Discard)
		tokenjartest.New(s, tokenjartest.Config{}).SignIn("ada")
		s.finish()
	}
}
