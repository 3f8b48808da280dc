package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/cli"
)

func TestOfManyChangesOfTheSecretNoneIsLost(t *testing.T) {
	t.Chdir(t.TempDir())
	tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin")
	tokenjarDo(t, "", "keys", "rotate")
	before := secretLines(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	rotated := 0
	for range 8 {
		wg.Go(func() {
			code, _, stderr := cli.Run("", nil, "secret", "rotate")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case code == 0:
				rotated++
			case !strings.Contains(stderr, "tokenjar.secret.new is there"):
				t.Errorf("it failed for another reason: %s", stderr)
			}
		})
	}
	wg.Wait()
	after := secretLines(t)
	if rotated == 0 || len(after) != len(before)+rotated || after[len(after)-1] != before[0] {
		t.Errorf("%d changes made %d lines of %d", rotated, len(after), len(before))
	}
	tokenjarDo(t, "", "keys", "list") // they open
}

func secretLines(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("tokenjar.secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokenjar.ParseSecret(text); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

func TestASecretThatCannotBeChangedStaysWhole(t *testing.T) {
	t.Chdir(t.TempDir())
	tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin")
	before := secretLines(t)
	text := before[0] + "\n"
	for line := tokenjar.GenerateSecret() + "\n"; len(text)+len(line) <= 64<<10; line = tokenjar.GenerateSecret() + "\n" {
		text += line
	}
	if err := os.WriteFile("tokenjar.secret", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	full := secretLines(t)
	code, _, stderr := cli.Run("", nil, "secret", "rotate")
	if code != 1 || !strings.Contains(stderr, "would become larger than a secret may be") {
		t.Errorf("a file that is full: got %d %s", code, stderr)
	}
	if after := secretLines(t); strings.Join(after, "\n") != strings.Join(full, "\n") {
		t.Error("the secret was changed")
	}
	if left, _ := filepath.Glob("*.new"); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestOldLinesAreKeptUntilTheLastSessionThatLivesEnds(t *testing.T) {
	t.Chdir(t.TempDir())
	var ada struct{ ID string }
	made := tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin", "--json")
	if err := json.Unmarshal([]byte(made), &ada); err != nil {
		t.Fatal(err)
	}
	store := openStore(t)
	session, _, err := store.CreateSession(t.Context(), tokenjar.NewSession{ // of a server with a longer session.absolute
		ID: "s1", UserID: ada.ID, First: tokenjar.Hash{1}, MaxPerUser: 50,
		Timing: tokenjar.Timing{Idle: 200 * 24 * time.Hour, Absolute: 200 * 24 * time.Hour},
	})
	store.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := session.ExpiresAt.Add(24 * time.Hour).UTC().Format(time.DateOnly)
	if got := tokenjarDo(t, "", "secret", "rotate"); !strings.Contains(got, "until "+want) {
		t.Errorf("got %q, want the day %s", got, want)
	}
}
