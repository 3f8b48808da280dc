package middleware_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// J-35: no JOSE vector authenticates anybody, not even one whose signature holds under its own key: none of them carries
// claims. TOKENJAR_VECTORS names the folder with the Wycheproof files.
func TestNoVectorAuthenticates(t *testing.T) {
	folder := os.Getenv("TOKENJAR_VECTORS")
	if folder == "" {
		if os.Getenv("TOKENJAR_REQUIRE_ALL") == "1" {
			t.Fatal("TOKENJAR_REQUIRE_ALL is set, but TOKENJAR_VECTORS names no folder with the Wycheproof files")
		}
		t.Skip("TOKENJAR_VECTORS names no folder with the Wycheproof files")
	}
	p := newProgram(t)
	sent, genuine := 0, 0
	for file, count := range map[string]int{
		"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 83, "json_web_encryption_test.json": 139,
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		check(t, err)
		var vectors struct {
			TestGroups []struct {
				Private, Public json.RawMessage
				Tests           []struct {
					ID       int `json:"tcId"`
					JWS, JWE json.RawMessage
				}
			}
		}
		check(t, json.Unmarshal(text, &vectors))
		before := sent
		for _, group := range vectors.TestGroups {
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
