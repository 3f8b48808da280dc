package request_test

import (
	"net/http"
	"testing"

	"github.com/tokenjar/tokenjar/internal/request"
)

func TestBearer(t *testing.T) {
	for field, want := range map[string]string{
		"Bearer a.b-c_d": "a.b-c_d", "bEARER x": "x",
		"Bearer": "bad", "Bearer ": "bad", "Bearer  x": "bad", "Bearer x y": "bad", "Bearer x,y": "bad", "Bearer x\t": "bad", "Bearer x=": "bad", "Bearer é": "bad", "": "bad", "x": "bad", "Bearer\tx": "bad",
		"Basic x": "", "Digest a=b, Bearer x": "", "Bearers x": "",
	} {
		token, bad, err := request.Bearer(http.Header{"Authorization": {field}})
		if err != nil {
			t.Error(err)
		}
		if got := map[bool]string{true: "bad", false: token}[bad]; got != want {
			t.Errorf("%q: got %q, %v, want %q", field, token, bad, want)
		}
	}
	if token, bad, err := request.Bearer(http.Header{}); token != "" || bad || err != nil {
		t.Errorf("no field: got %q, %v, %v", token, bad, err)
	}
	if token, _, err := request.Bearer(http.Header{"Authorization": {"Basic x", "Bearer x"}}); token != "" || err != request.ErrSeveralFields {
		t.Errorf("J-26: two fields: got %q, %v", token, err)
	}
}

func TestIsSafe(t *testing.T) {
	for method, want := range map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "POST": false, "PUT": false, "PATCH": false, "DELETE": false, "TRACE": false, "get": false, "": false, "PROPFIND": false} {
		if got := request.IsSafe(method); got != want {
			t.Errorf("%q: got %v, want %v", method, got, want)
		}
	}
}

func TestIsHandshake(t *testing.T) {
	for field, want := range map[string]bool{"websocket": true, "WebSocket": true, "h2c, websocket": true, " websocket ": true, "": false, "h2c": false, "websocket2": false} {
		if got := request.IsHandshake(http.Header{"Upgrade": {field}}); got != want {
			t.Errorf("%q: got %v, want %v", field, got, want)
		}
	}
	if request.IsHandshake(http.Header{}) {
		t.Error("a request without Upgrade is a handshake")
	}
	if !request.IsHandshake(http.Header{"Upgrade": {"h2c", "websocket"}}) {
		t.Error("the second of two fields is not looked at")
	}
}
