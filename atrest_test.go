package tokenjar_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/store/memory"
)

// recordingStore keeps what it was given of tokens.
type recordingStore struct {
	*memory.Store
	mu    sync.Mutex
	given []any
}

func (s *recordingStore) CreateSession(ctx context.Context, n tokenjar.NewSession) (tokenjar.Session, []string, error) {
	s.mu.Lock()
	s.given = append(s.given, n)
	s.mu.Unlock()
	return s.Store.CreateSession(ctx, n)
}

func (s *recordingStore) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	s.mu.Lock()
	s.given = append(s.given, r)
	s.mu.Unlock()
	return s.Store.Rotate(ctx, r)
}

// jtiOf reads the id of a token of ours.
func jtiOf(t *testing.T, text string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		ID string `json:"jti"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.ID == "" {
		t.Fatalf("no jti in %s: %v", payload, err)
	}
	return claims.ID
}

// T-17: whoever reads the store, or what is sent to it, finds nothing that is a token or from which one could be made.
func TestT17TheStoreIsGivenHashesAlone(t *testing.T) {
	store := &recordingStore{}
	w := newWorld(t, func(c *tokenjar.Config) {
		store.Store = c.Store.(*memory.Store)
		c.Store = store
	})
	first := w.login(t)
	second := w.mustRefresh(t, first)
	third := w.mustRefresh(t, second)
	ids := []string{jtiOf(t, first.RefreshToken), jtiOf(t, second.RefreshToken), jtiOf(t, third.RefreshToken)}
	hash := func(i int) tokenjar.Hash { return sha256.Sum256([]byte(ids[i])) }

	if len(store.given) != 3 {
		t.Fatalf("the store was given %d things, want a session and two rotations", len(store.given))
	}
	if got := store.given[0].(tokenjar.NewSession).First; got != hash(0) {
		t.Errorf("the first token is kept as %x, want the SHA-256 of its id", got)
	}
	for i, given := range store.given[1:] {
		r := given.(tokenjar.Rotation)
		if r.Presented != hash(i) || r.Successor != hash(i+1) {
			t.Errorf("rotation %d names %x and %x, want the SHA-256 of both ids", i+1, r.Presented, r.Successor)
		}
	}
	row, err := w.store.Session(t.Context(), first.SessionID)
	if err != nil || row.CurrentHash != hash(2) {
		t.Errorf("the row holds %x, %v, want the SHA-256 of the newest id", row.CurrentHash, err)
	}
	for _, given := range append(store.given, row) {
		text := fmt.Sprintf("%+v", given)
		for i, g := range []tokenjar.Grant{first, second, third} {
			for what, secret := range map[string]string{
				"id": ids[i], "refresh token": g.RefreshToken, "access token": g.AccessToken, "access token's id": jtiOf(t, g.AccessToken),
			} {
				if strings.Contains(text, secret) || bytes.Contains(row.CurrentHash[:], []byte(secret)) {
					t.Errorf("the %s of generation %d stands in %s", what, i+1, text)
				}
			}
		}
	}
}
