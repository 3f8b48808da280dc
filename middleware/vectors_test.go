package middleware_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"testing"

	"github.com/tokenjar/tokenjar/internal/vectors"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// J-35: no JOSE vector authenticates anybody, not even one whose signature holds under its own key: none of them carries
// claims.
func TestNoVectorAuthenticates(t *testing.T) {
	p := newProgram(t)
	sent, genuine := 0, 0
	for file, count := range map[string]int{
		"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 83, "json_web_encryption_test.json": 139,
	} {
		var doc struct {
			TestGroups []struct {
				Private, Public json.RawMessage
				Tests           []struct {
					ID       int `json:"tcId"`
					JWS, JWE json.RawMessage
				}
			}
		}
		vectors.Read(t, file, &doc)
		before := sent
		for _, group := range doc.TestGroups {
			ring := p.ring
			for _, source := range []json.RawMessage{group.Public, group.Private} {
				if keys, err := token.ParseKeySet(source); err == nil {
					ring, err = token.NewRing(nil, keys...)
					check(t, err)
					break
				}
			}
			decoder, err := token.NewDecoder(token.DecoderConfig{
				Keys: ring, Type: token.AnyType, InsecureAnyIssuer: true, InsecureAnyAudience: true, InsecureOptionalExpiry: true,
			})
			check(t, err)
			byBearer, err := middleware.NewBearer(decoder, middleware.Claims)
			check(t, err)
			byCookie, err := middleware.NewCookie(decoder, middleware.Claims, middleware.CookieConfig{
				InsecureSkipCSRF: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
			check(t, err)
			h := middleware.Required(byCookie, byBearer).Protect(whoami)
			for _, c := range group.Tests {
				sent++
				raw := string(append(c.JWS, c.JWE...))
				var plain string
				if json.Unmarshal([]byte(raw), &plain) == nil {
					raw = plain
				}
				if _, _, err := ring.Verify(raw); err == nil {
					genuine++
				}
				for kind, how := range map[string]change{"cookie": cookies(raw), "bearer": bearer(raw)} {
					if w := ask(h, "GET", "/", how); w.Code != 401 {
						t.Errorf("%s %d as %s: %d %s", file, c.ID, kind, w.Code, w.Body)
					}
				}
			}
		}
		if sent-before != count {
			t.Errorf("%s: %d cases were run, want %d", file, sent-before, count)
		}
	}
	if sent != 649 || genuine < 20 {
		t.Errorf("%d cases were run, of which %d hold under their own key", sent, genuine)
	}
}
