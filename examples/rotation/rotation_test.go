package rotation_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/examples/rotation"
	"github.com/tokenjar/tokenjar/token"
)

// A program goes on signing and verifying through a rotation, and the old key's tokens end with it.
func TestRotation(t *testing.T) {
	first, second := newKey(t), newKey(t)
	live := newLiveRing(t, first)
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: live, Type: "at+jwt", Issuer: "me", Audience: "me"})
	check(t, err)
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: live, Type: "at+jwt", Issuer: "me", Audience: "me"})
	check(t, err)
	tokens, err := token.NewCache(decoder)
	check(t, err)

	sign := func(by *token.Key) string {
		t.Helper()
		raw, err := encoder.Encode(token.Claims{"sub": "ada"}, time.Hour)
		check(t, err)
		v, err := tokens.Verify(t.Context(), raw)
		check(t, err)
		if v.Header().KeyID != by.ID() {
			t.Fatalf("signed by %s, want %s", v.Header().KeyID, by.ID())
		}
		return raw
	}
	published := func(keys ...*token.Key) {
		t.Helper()
		set := string(live.JWKS())
		for _, key := range keys {
			if !strings.Contains(set, `"`+key.ID()+`"`) {
				t.Errorf("%s is not published", key.ID())
			}
		}
		if n := strings.Count(set, `"kid"`); n != len(keys) || strings.Contains(set, `"d"`) {
			t.Errorf("published is %s", set)
		}
	}

	old := sign(first)
	published(first)
	check(t, rotation.Publish(live, first, second))
	sign(first)
	published(first, second)
	check(t, rotation.Activate(live, second, first))
	sign(second)
	published(first, second)
	_, err = tokens.Verify(t.Context(), old)
	check(t, err)
	check(t, rotation.Retire(live, second))
	sign(second)
	published(second)
	if _, err := tokens.Verify(t.Context(), old); !errors.Is(err, token.ErrSignature) {
		t.Errorf("a token of the retired key: got %v", err)
	}
}

func TestSet(t *testing.T) {
	live := newLiveRing(t, newKey(t))
	get := func(etag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/.well-known/jwks.json", nil)
		r.Header.Set("If-None-Match", etag)
		w := httptest.NewRecorder()
		rotation.Set(live).ServeHTTP(w, r)
		return w
	}
	w := get("")
	h, etag := w.Header(), w.Header().Get("ETag")
	if w.Code != http.StatusOK || w.Body.String() != string(live.JWKS()) || h.Get("Content-Type") != "application/jwk-set+json" ||
		h.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("got %d %v %s", w.Code, h, w.Body)
	}
	if w := get(etag); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("the same set again: got %d %s", w.Code, w.Body)
	}
	check(t, rotation.Retire(live, newKey(t)))
	if w := get(etag); w.Code != http.StatusOK {
		t.Errorf("another set: got %d", w.Code)
	}
}

func newKey(t *testing.T) *token.Key {
	t.Helper()
	key, err := token.GenerateKey(token.ES256)
	check(t, err)
	return key
}

func newLiveRing(t *testing.T, signing *token.Key) *token.LiveRing {
	t.Helper()
	ring, err := token.NewRing(signing)
	check(t, err)
	live, err := token.NewLiveRing(ring)
	check(t, err)
	return live
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
