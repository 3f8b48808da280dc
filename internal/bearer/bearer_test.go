package bearer_test

import (
	"net/http"
	"testing"

	"github.com/tokenjar/tokenjar/internal/bearer"
)

func TestParse(t *testing.T) {
	for field, want := range map[string]string{
		"Bearer a.b-c_d": "a.b-c_d", "bEARER x": "x",
		"Bearer": "bad", "Bearer ": "bad", "Bearer  x": "bad", "Bearer x y": "bad", "Bearer x,y": "bad", "Bearer x\t": "bad", "Bearer x=": "bad", "Bearer é": "bad", "": "bad", "x": "bad", "Bearer\tx": "bad",
		"Basic x": "", "Digest a=b, Bearer x": "", "Bearers x": "",
	} {
		token, bad, err := bearer.Parse(http.Header{"Authorization": {field}})
		if err != nil {
			t.Error(err)
		}
		if got := map[bool]string{true: "bad", false: token}[bad]; got != want {
			t.Errorf("%q: got %q, %v, want %q", field, token, bad, want)
		}
	}
	if token, bad, err := bearer.Parse(http.Header{}); token != "" || bad || err != nil {
		t.Errorf("no field: got %q, %v, %v", token, bad, err)
	}
	if token, _, err := bearer.Parse(http.Header{"Authorization": {"Basic x", "Bearer x"}}); token != "" || err != bearer.ErrSeveral {
		t.Errorf("J-26: two fields: got %q, %v", token, err)
	}
}
