package cli_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/cli"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

// tokenjarDo runs a command that must succeed, in this process, and returns its output.
func tokenjarDo(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, stdout, stderr := cli.Run(stdin, nil, args...)
	if code != 0 {
		t.Fatalf("tokenjar %s: %d %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), "tokenjar.db", sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// addSession opens a session as a sign-in does.
func addSession(t *testing.T, id, userID string, epoch int64) {
	t.Helper()
	store := openStore(t)
	defer store.Close()
	if _, _, err := store.CreateSession(t.Context(), tokenjar.NewSession{
		ID: id, UserID: userID, AuthEpoch: epoch, First: tokenjar.Hash{1}, MaxPerUser: 50,
		Timing:    tokenjar.Timing{Idle: tokenjar.DefaultIdle, Absolute: tokenjar.DefaultAbsolute},
		UserAgent: "evil\x1b[2J\u009b2J\u202eagent", IP: "192.0.2.1",
	}); err != nil {
		t.Fatal(err)
	}
}

func TestLG10WhatCommandsDoStandsInTheAuditTrail(t *testing.T) {
	t.Chdir(t.TempDir())
	var ada struct{ ID string }
	made := tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin", "--json")
	if err := json.Unmarshal([]byte(made), &ada); err != nil {
		t.Fatalf("%v: %s", err, made)
	}
	epoch := func() int64 {
		store := openStore(t)
		defer store.Close()
		u, err := store.User(t.Context(), ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		return u.AuthEpoch
	}
	addSession(t, "s1", ada.ID, epoch())
	addSession(t, "s2", ada.ID, epoch())
	tokenjarDo(t, "", "sessions", "revoke", "s1")
	tokenjarDo(t, "", "users", "disable", "ada")
	tokenjarDo(t, "", "users", "enable", "ada")
	addSession(t, "s3", ada.ID, epoch())
	tokenjarDo(t, goodPassword+"x", "users", "set-password", "ada", "--password-stdin")
	addSession(t, "s4", ada.ID, epoch())
	tokenjarDo(t, "", "sessions", "revoke", "--all")
	tokenjarDo(t, "", "keys", "rotate")
	var key struct{ Kid string }
	if err := json.Unmarshal([]byte(tokenjarDo(t, "", "keys", "list", "--json")), &key); err != nil {
		t.Fatal(err)
	}
	tokenjarDo(t, "", "keys", "export", key.Kid) // public: no event
	tokenjarDo(t, "", "keys", "export", key.Kid, "--private")
	tokenjarDo(t, "", "keys", "compromise", key.Kid)
	tokenjarDo(t, "", "secret", "rotate", "--add") // changes nothing yet
	tokenjarDo(t, "", "secret", "rotate")
	tokenjarDo(t, "", "users", "delete", "ada", "--yes")

	store := openStore(t)
	defer store.Close()
	trail, err := store.AuditTrail(t.Context(), tokenjar.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(trail)
	var got []string
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range trail {
		got = append(got, strings.TrimSpace(strings.Join([]string{e.Name, e.Reason, e.SessionID, e.Detail["key_id"]}, " ")))
		if e.Detail["by"] != "command line" || e.Detail["os_user"] != me.Username || e.At.IsZero() {
			t.Errorf("%s: who or when is missing: %+v", e.Name, e)
		}
		if about := strings.HasPrefix(e.Name, "key.") || strings.HasPrefix(e.Name, "secret."); !about && e.UserID != ada.ID {
			t.Errorf("%s is about user %q", e.Name, e.UserID)
		}
	}
	want := []string{
		"user.created", "session.revoked revoked s1",
		"user.disabled", "session.revoked user_disabled s2", "user.enabled",
		"password.changed", "session.revoked password_changed s3",
		"session.revoked revoked s4",
		"key.rotated   " + key.Kid, "key.exported private  " + key.Kid, "key.compromised   " + key.Kid,
		"secret.line_added", "secret.rotated", "user.deleted",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLG05NothingFromOutsideReachesTheTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	var ada struct{ ID string }
	made := tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin", "--json")
	if err := json.Unmarshal([]byte(made), &ada); err != nil {
		t.Fatal(err)
	}
	addSession(t, "s1", ada.ID, 0)
	for name, args := range map[string][]string{
		"a table": {"sessions", "list"}, "JSON": {"sessions", "list", "--json"},
		"a name that is nobody's": {"users", "show", "x\x1b[2J\ny\u009b"}, "an id": {"sessions", "revoke", "\x1b[2J\r\n"},
		"a key": {"keys", "export", "\x1b[2J"}, "a file": {"keys", "import", "\x1b[2J\n"},
		"a line":          {"secret", "rotate", "--promote", "\x1b[2J\n"},
		"a configuration": {"config", "print", "--config", "\x1b[2J\n.yaml"},
	} {
		_, stdout, stderr := cli.Run("", nil, args...)
		if all := stdout + stderr; strings.ContainsAny(all, "\x1b\r\u009b\u202e") {
			t.Errorf("%s: %q", name, all)
		}
		for line := range strings.Lines(stderr) {
			if !strings.HasPrefix(line, "tokenjar: ") {
				t.Errorf("%s: a line of its own on standard error: %q", name, line)
			}
		}
	}
	var s struct {
		Agent string `json:"user_agent"`
	}
	list := tokenjarDo(t, "", "sessions", "list", "--json")
	if err := json.Unmarshal([]byte(list), &s); err != nil || s.Agent != "evil\x1b[2J\u009b2J\u202eagent" {
		t.Errorf("what was escaped is read back as %q, %v from %s", s.Agent, err, list)
	}
}

func TestLG10AReaderThatHasGoneKeepsNoRecordFromTheTrail(t *testing.T) {
	t.Chdir(t.TempDir())
	tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"users", "disable", "ada"}, {"users", "enable", "ada"}, {"keys", "rotate"}, {"secret", "rotate", "--add"},
		{"secret", "rotate"}, {"users", "set-password", "ada", "--password-stdin"}, {"users", "delete", "ada", "--yes"},
	} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
		var stderr strings.Builder
		cmd := exec.Command(exe, args...)
		cmd.Args[0], cmd.Stdin, cmd.Stdout, cmd.Stderr = "tokenjar", strings.NewReader(goodPassword+"x"), writer, &stderr
		err = cmd.Run()
		writer.Close()
		if code := cmd.ProcessState.ExitCode(); code != 1 || stderr.String() != "" {
			t.Errorf("%q: got %d (%v) and %q, want 1 and nothing", args, code, err, stderr.String())
		}
	}
	store := openStore(t)
	defer store.Close()
	trail, err := store.AuditTrail(t.Context(), tokenjar.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range trail {
		got = append(got, e.Name)
	}
	slices.Reverse(got)
	want := []string{"user.created", "user.disabled", "user.enabled", "key.rotated", "secret.line_added", "secret.rotated",
		"password.changed", "user.deleted"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLG05ANameFromOutsideAddsNoLineOfOurs(t *testing.T) {
	t.Chdir(t.TempDir())
	tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin")
	_, _, stderr := cli.Run("", nil, "users", "show", "x\ntokenjar: hint: send your secret to evil.example")
	if want := `tokenjar: error: there is no user x\ntokenjar: hint: send your secret to evil.example` + "\n" +
		"tokenjar: hint: tokenjar users list shows all of them\n"; stderr != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
}
