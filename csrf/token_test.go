package csrf_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/csrf"
)

func key(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }

func newTokens(t testing.TB, k []byte, older ...[]byte) *csrf.Tokens {
	t.Helper()
	tokens, err := csrf.NewTokens(k, older...)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokenRule(t *testing.T) {
	tokens := newTokens(t, key('a'), key('b'))
	const session = "01J0VICTIM"
	good := tokens.Issue(session)
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[42])
	twin := good[:42] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1]) // the same bytes, other spare bits
	for _, tt := range []struct {
		name    string
		h       http.Header
		session string
		want    string
	}{
		{"the session's own token", header(csrf.Header, good), session, ""},
		{"header name in another case", header("x-csrftoken", good), session, ""},
		{"token of the older key", header(csrf.Header, newTokens(t, key('b')).Issue(session)), session, ""},
		{"token of an unknown key", header(csrf.Header, newTokens(t, key('c')).Issue(session)), session, "mismatch"},
		{"X-01 no header", header(), session, "missing"},
		{"X-01 empty header", header(csrf.Header, ""), session, "missing"},
		{"X-01 only in the cookie", header("Cookie", "__Host-csrftoken="+good), session, "missing"},
		{"X-02 header and cookie equal, MAC wrong", header(csrf.Header, strings.Repeat("A", 43), "Cookie", "__Host-csrftoken="+strings.Repeat("A", 43)), session, "mismatch"},
		{"X-02 header right, cookie another", header(csrf.Header, good, "Cookie", "__Host-csrftoken="+strings.Repeat("A", 43)), session, ""},
		{"X-03 the attacker's own valid pair", header(csrf.Header, tokens.Issue("01J0ATTACKER"), "Cookie", "__Host-csrftoken="+tokens.Issue("01J0ATTACKER")), session, "mismatch"},
		{"X-03 session id as long as ours", header(csrf.Header, tokens.Issue("01J0ATTACK")), session, "mismatch"},
		{"X-03 session id that continues ours", header(csrf.Header, good), session + "X", "mismatch"},
		{"X-03 session id that begins ours", header(csrf.Header, good), session[:5], "mismatch"},
		{"X-18 twice the right one", header(csrf.Header, good, csrf.Header, good), session, "duplicate_header"},
		{"X-18 right one, then an empty one", header(csrf.Header, good, csrf.Header, ""), session, "duplicate_header"},
		{"X-18 length 1", header(csrf.Header, good[:1]), session, "malformed"},
		{"X-18 length 31", header(csrf.Header, good[:31]), session, "malformed"},
		{"X-18 length 33", header(csrf.Header, good[:33]), session, "malformed"},
		{"X-18 one less", header(csrf.Header, good[:42]), session, "malformed"},
		{"X-18 one more", header(csrf.Header, good+"A"), session, "malformed"},
		{"X-18 4 kB", header(csrf.Header, strings.Repeat("A", 4096)), session, "malformed"},
		{"X-18 non-ASCII", header(csrf.Header, strings.Repeat("é", 21)+"A"), session, "malformed"},
		{"X-18 blank inside", header(csrf.Header, good[:20]+" "+good[21:]), session, "malformed"},
		{"X-18 blank before", header(csrf.Header, " "+good), session, "malformed"},
		{"X-18 line break inside", header(csrf.Header, good[:20]+"\n"+good[21:]), session, "malformed"},
		{"X-18 padding", header(csrf.Header, good[:42]+"="), session, "malformed"},
		{"X-18 standard base64", header(csrf.Header, "++++"+good[4:]), session, "malformed"},
		{"X-18 masked variant of 64 characters", header(csrf.Header, strings.Repeat("a", 64)), session, "malformed"},
		{"X-18 other spelling of the same bytes", header(csrf.Header, twin), session, "mismatch"},
		{"X-18 other case", header(csrf.Header, strings.ToUpper(good)), session, "mismatch"},
		{"X-18 malformed cookie does not disable the check", header(csrf.Header, strings.Repeat("A", 43), "Cookie", "__Host-csrftoken=\x00"), session, "mismatch"},
		{"X-19 cookie pushed out of the jar", header(csrf.Header, good, "Cookie", strings.Repeat("a=1; ", 3001)), session, ""},
		{"X-19 cookie and header pushed out", header("Cookie", strings.Repeat("a=1; ", 3001)), session, "missing"},
		{"no session, no token", header(csrf.Header, tokens.Issue("")), "", "missing"},
		{"no session, some token", header(csrf.Header, good), "", "no_session"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := reason(t, tokens.Check(tt.h, tt.session), csrf.TokenRule); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestIssue(t *testing.T) {
	tokens := newTokens(t, key('a'), key('b'))
	if got, want := tokens.Issue("s"), newTokens(t, key('a')).Issue("s"); got != want {
		t.Errorf("got %q, want the token of the first key, %q", got, want)
	}
	if tokens.Issue("s") != tokens.Issue("s") {
		t.Error("two tokens of one session differ")
	}
	if got := tokens.Issue(""); got != "" {
		t.Errorf("got %q for no session, want none", got)
	}
	for _, session := range []string{"s", strings.Repeat("s", 300), "s\x00", "é"} {
		got := tokens.Issue(session)
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(got); err != nil || len(raw) != 32 {
			t.Errorf("%q: got %q, want 32 bytes in base64url", session, got)
		}
		if err := tokens.Check(header(csrf.Header, got), session); err != nil {
			t.Errorf("%q: got %v, want its own token to pass", session, err)
		}
	}
}

func TestNewTokens(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys [][]byte
		want string
	}{
		{"one key", [][]byte{key('a')}, ""},
		{"long key", [][]byte{[]byte(strings.Repeat("a", 64))}, ""},
		{"no key", [][]byte{nil}, "key 1 has 0 bytes"},
		{"31 bytes", [][]byte{key('a')[:31]}, "key 1 has 31 bytes"},
		{"short older key", [][]byte{key('a'), key('b')[:8]}, "key 2 has 8 bytes"},
		{"same key twice", [][]byte{key('a'), key('b'), key('a')}, "key 3 equals key 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := csrf.NewTokens(tt.keys[0], tt.keys[1:]...)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	k := key('a')
	tokens := newTokens(t, k)
	before := tokens.Issue("s")
	clear(k)
	if tokens.Issue("s") != before {
		t.Error("the caller's slice is still the key")
	}
}

// FuzzCSRF: a token that passes is the one that was issued for this session.
func FuzzCSRF(f *testing.F) {
	tokens, err := csrf.NewTokens(key('a'), key('b'))
	if err != nil {
		f.Fatal(err)
	}
	old, err := csrf.NewTokens(key('b'))
	if err != nil {
		f.Fatal(err)
	}
	for _, session := range []string{"", "s", "01J0VICTIM", "s\x00"} {
		f.Add(tokens.Issue(session), session)
		f.Add(old.Issue(session), session)
		f.Add(tokens.Issue("other"), session)
		f.Add(tokens.Issue(session)+"A", session)
	}
	f.Fuzz(func(t *testing.T, sent, session string) {
		err := tokens.Check(http.Header{"X-Csrftoken": {sent}}, session)
		issued := session != "" && (sent == tokens.Issue(session) || sent == old.Issue(session))
		if (err == nil) != issued {
			t.Fatalf("token %q for session %q: got %v, issued=%v", sent, session, err, issued)
		}
	})
}

func BenchmarkTokenCheck(b *testing.B) {
	tokens := newTokens(b, key('a'))
	h := header(csrf.Header, tokens.Issue("01J0VICTIM"))
	b.ReportAllocs()
	for b.Loop() {
		if err := tokens.Check(h, "01J0VICTIM"); err != nil {
			b.Fatal(err)
		}
	}
}
