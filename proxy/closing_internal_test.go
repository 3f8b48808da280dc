package proxy

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
)

func TestTheReferenceSaysWhatEveryCloseCodeMeans(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/http.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cause  error
		code   uint16
		reason string
	}{
		{tokenjar.ErrSessionEnded, 4401, "session_ended"}, {tokenjar.ErrSessionReplaced, 4401, "session_ended"}, {tokenjar.ErrSessionReused, 4401, "session_reused"},
		{tokenjar.ErrTokenExpired, 4401, "token_expired"}, {tokenjar.ErrStoreUnavailable, 1013, "store_unavailable"}, {errStopping, 1001, ""},
	} {
		code, reason := closing(fmt.Errorf("bound: %w", c.cause))
		if code != c.code || reason != c.reason {
			t.Errorf("%v: got %d %q, want %d %q", c.cause, code, reason, c.code, c.reason)
		}
		said := false
		for line := range strings.Lines(string(page)) {
			said = said || strings.HasPrefix(line, fmt.Sprintf("| %d | ", c.code)) && (c.reason == "" || strings.Contains(line, "`"+c.reason+"`"))
		}
		if !said {
			t.Errorf("%v: the reference says nothing of %d %q", c.cause, code, reason)
		}
	}
}
