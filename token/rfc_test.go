package token_test

import (
	"fmt"
	"testing"

	"github.com/tokenjar/tokenjar/token"
)

func TestExamplesOfTheSpecifications(t *testing.T) {
	for _, c := range []struct{ name, jwk, raw, payload, kid string }{
		{
			"RFC 7515 A.3, ES256",
			`{"kty":"EC","crv":"P-256","kid":"a3","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`,
			"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
			"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}", "a3",
		},
		{
			"RFC 8037 A.4, Ed25519, with the thumbprint of A.3",
			`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
			"Example of Ed25519 signing", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := token.ParseKey([]byte(c.jwk))
			if err != nil {
				t.Fatal(err)
			}
			header, payload, err := newRing(t, key).Verify(c.raw)
			if err != nil || string(payload) != c.payload || header.KeyID != c.kid {
				t.Errorf("got %v %q, %v", header, payload, err)
			}
		})
	}
}

func TestErrorsNameTheClaimAndNotItsValue(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.HS256))
	_, err := newDecoder(t, ring, nil).Decode(mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"aud": "canary"}))))
	if got, want := fmt.Sprint(err), "token: claim aud: another audience"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = newDecoder(t, ring, nil).Decode(mustSign(t, ring, testType, marshal(t, goodClaims(map[string]any{"nbf": testNow.Unix() + 1}))))
	if got, want := fmt.Sprint(err), "token: not yet valid: nbf is in the future"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
