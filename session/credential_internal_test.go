package session

import (
	"errors"
	"testing"

	"github.com/tokenjar/tokenjar"
)

func TestBetter(t *testing.T) {
	other := errors.New("other")
	for i, row := range []struct{ a, b, want error }{
		{nil, nil, nil}, {nil, other, other}, {other, nil, other}, {other, tokenjar.ErrTokenInvalid, other},
		{tokenjar.ErrTokenInvalid, tokenjar.ErrTokenExpired, tokenjar.ErrTokenExpired}, {tokenjar.ErrTokenExpired, tokenjar.ErrTokenInvalid, tokenjar.ErrTokenExpired},
		{tokenjar.ErrWrongTokenType, tokenjar.ErrTokenExpired, tokenjar.ErrTokenExpired}, {tokenjar.ErrTokenInvalid, tokenjar.ErrWrongTokenType, tokenjar.ErrWrongTokenType},
		{nil, tokenjar.ErrTokenExpired, tokenjar.ErrTokenExpired},
	} {
		if got := better(row.a, row.b); got != row.want {
			t.Errorf("row %d: got %v, want %v", i, got, row.want)
		}
	}
}

func TestNewer(t *testing.T) {
	for _, row := range []struct {
		session string
		gen     int64
		than    string
		thanGen int64
		want    bool
	}{
		{"b", 1, "a", 9, true}, {"a", 9, "b", 1, false}, {"a", 2, "a", 1, true}, {"a", 1, "a", 2, false}, {"a", 1, "a", 1, false}, {"a", 1, "", 0, true},
	} {
		if got := newer(row.session, row.gen, row.than, row.thanGen); got != row.want {
			t.Errorf("%v: got %v", row, got)
		}
	}
}
