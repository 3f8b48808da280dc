package examples_test

import (
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/store/sqlite"
	"github.com/tokenjar/tokenjar/token"
)

// A node is a service on a database file, which can be stopped so that the file may be copied.
type node struct {
	*tokenjar.Service
	store *sqlite.Store
	keys  *tokenjar.KeyRing
}

func openNode(t *testing.T, path string, secret tokenjar.Secret) *node {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	service, err := tokenjar.New(t.Context(), tokenjar.Config{
		Issuer: "http://localhost", Secret: secret, Store: store, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tokenjar.OpenKeyRing(tokenjar.KeyRingConfig{Store: store, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	return &node{service, store, keys}
}

func (n *node) login(t *testing.T, name string) tokenjar.Grant {
	t.Helper()
	g, err := n.Login(t.Context(), tokenjar.Credentials{Username: name, Password: adasPassword}, tokenjar.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (n *node) refresh(t *testing.T, g tokenjar.Grant) (tokenjar.Grant, error) {
	t.Helper()
	return n.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken})
}

// F-26: what a backup of an hour ago has forgotten, row by row of docs/howto/backup.md.
func TestABackupForgets(t *testing.T) {
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokenjar.db")
	n := openNode(t, path, secret)
	hasher := newHasher(t)
	ids := map[string]string{}
	for _, name := range []string{"ada", "grace"} {
		u, err := tokenjar.CreateUser(t.Context(), n.store, hasher, password.Policy{}, tokenjar.NewUser{Username: name, Password: adasPassword})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = u.ID
	}
	refreshed, untouched, signedOut := n.login(t, "ada"), n.login(t, "ada"), n.login(t, "ada")
	disabled := n.login(t, "grace")
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	// The hour.
	n = openNode(t, path, secret)
	newer, err := n.refresh(t, refreshed)
	if err != nil {
		t.Fatal(err)
	}
	if newer, err = n.refresh(t, newer); err != nil {
		t.Fatal(err)
	}
	late := n.login(t, "ada")
	if err := n.Logout(t.Context(), n.SignedSessions(nil, []string{signedOut.RefreshToken})); err != nil {
		t.Fatal(err)
	}
	if err := n.SetUserActive(t.Context(), ids["grace"], false); err != nil {
		t.Fatal(err)
	}
	before, err := n.keys.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.keys.Compromise(t.Context(), before[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}

	restore := func() *node {
		for _, suffix := range []string{"-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, backup, 0o600); err != nil {
			t.Fatal(err)
		}
		return openNode(t, path, secret)
	}
	t.Run("restored and served as it is", func(t *testing.T) {
		n := restore()
		defer n.store.Close()
		for _, row := range []struct {
			what string
			g    tokenjar.Grant
			want error
		}{
			{"a session that was not refreshed goes on", untouched, nil},
			{"a session of that hour is unknown", late, tokenjar.ErrSessionEnded},
			{"a session that was signed out is alive again", signedOut, nil},
			{"a disabled account is active again", disabled, nil},
		} {
			if _, err := n.refresh(t, row.g); !errors.Is(err, row.want) {
				t.Errorf("%s: got %v, want %v", row.what, err, row.want)
			}
		}
		n.login(t, "grace")
		keys, err := n.keys.Keys(t.Context())
		if err != nil || keys[0].ID != before[0].ID || keys[0].Status != tokenjar.KeyActive {
			t.Errorf("a compromised key signs again: got %v, %v", keys, err)
		}
		if _, err := n.Authenticate(n.login(t, "ada").AccessToken); err != nil {
			t.Error(err)
		}
	})
	t.Run("a spent token is the newest again", func(t *testing.T) {
		n := restore()
		defer n.store.Close()
		if _, err := n.refresh(t, refreshed); err != nil {
			t.Errorf("got %v: then the page says too much", err)
		}
	})
	t.Run("the newest token of a session that was refreshed looks stolen", func(t *testing.T) {
		n := restore()
		defer n.store.Close()
		if _, err := n.refresh(t, newer); !errors.Is(err, tokenjar.ErrSessionReused) {
			t.Errorf("got %v, want ErrSessionReused", err)
		}
	})
	t.Run("after all sessions have been ended nothing of them works", func(t *testing.T) {
		n := restore()
		defer n.store.Close()
		for _, id := range ids {
			if _, err := n.LogoutAll(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		for _, g := range []tokenjar.Grant{refreshed, newer, untouched, late, signedOut, disabled} {
			if _, err := n.refresh(t, g); !errors.Is(err, tokenjar.ErrSessionEnded) {
				t.Errorf("got %v, want ErrSessionEnded", err)
			}
		}
		if _, err := n.keys.Rotate(t.Context(), token.ES256, false); err != nil {
			t.Error(err)
		}
		n.login(t, "ada")
	})
}

// What docs/howto/secret.md says of a secret that is lost.
func TestALostSecretCostsTheSessionsAndNoUser(t *testing.T) {
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokenjar.db")
	n := openNode(t, path, secret)
	if _, err := tokenjar.CreateUser(t.Context(), n.store, newHasher(t), password.Policy{}, tokenjar.NewUser{Username: "ada", Password: adasPassword}); err != nil {
		t.Fatal(err)
	}
	before := n.login(t, "ada")
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokenjar.New(t.Context(), tokenjar.Config{Issuer: "http://localhost", Secret: other, Store: store}); !errors.Is(err, tokenjar.ErrKeyRingSealed) {
		t.Fatalf("with another secret: got %v, want ErrKeyRingSealed", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("DELETE FROM keyring"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	n = openNode(t, path, other)
	if _, err := n.refresh(t, before); !errors.Is(err, tokenjar.ErrTokenInvalid) {
		t.Errorf("an old refresh token: got %v, want ErrTokenInvalid", err)
	}
	if _, err := n.Authenticate(before.AccessToken); !errors.Is(err, tokenjar.ErrTokenInvalid) {
		t.Errorf("an old access token: got %v, want ErrTokenInvalid", err)
	}
	n.login(t, "ada")
}
