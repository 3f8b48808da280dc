package cli_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/cli"
	"github.com/tokenjar/tokenjar/password"
)

func TestEveryCommandsHelpEndsInItsExample(t *testing.T) {
	commands := cli.Commands()
	if len(commands) < 7 {
		t.Fatalf("got %d commands: %q", len(commands), commands)
	}
	for _, words := range commands {
		name := strings.Join(append([]string{"tokenjar"}, words...), " ")
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := cli.Run("", nil, append(words, "--help")...)
			if code != 0 || stderr != "" {
				t.Errorf("got %d, %q", code, stderr)
			}
			last := regexp.MustCompile(`(?s)\nExample:\n(  [^\n]*tokenjar [^\n]+\n)+$`)
			if !last.MatchString(stdout) {
				t.Errorf("it does not end in an example:\n%s", stdout)
			}
			if !strings.Contains(stdout, "--config file") {
				t.Error("it does not take --config")
			}
			for line := range strings.Lines(stdout) {
				if len(strings.TrimSuffix(line, "\n")) > 140 {
					t.Errorf("too long for a terminal: %q", line)
				}
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		args string
		code int
		want string // standard error
	}{
		{"", 0, ""},
		{"--help", 0, ""},
		{"users", 0, ""},
		{"srve", 2, "tokenjar: error: unknown command \"srve\" for \"tokenjar\"; did you mean serve?\ntokenjar: hint: see tokenjar --help\n"},
		{"users creat", 2, "tokenjar: error: unknown command \"creat\" for \"tokenjar users\"\ntokenjar: hint: see tokenjar users --help\n"},
		{"serve --lisen :1", 2, "tokenjar: error: unknown flag: --lisen\ntokenjar: hint: see tokenjar serve --help\n"},
		{"serve extra", 2, "tokenjar: error: unknown command \"extra\" for \"tokenjar serve\"\ntokenjar: hint: see tokenjar serve --help\n"},
		{"serve --listen", 2, "tokenjar: error: flag needs an argument: --listen\ntokenjar: hint: see tokenjar serve --help\n"},
		{"users create ada", 2, "tokenjar: error: required flag(s) \"email\" not set\ntokenjar: hint: see tokenjar users create --help\n"},
		{"users create --email a@b.example", 2, "tokenjar: error: one user name is needed, not 0\ntokenjar: hint: see tokenjar users create --help\n"},
		{"serve --config missing.yaml", 1, "tokenjar: error: read configuration: open missing.yaml: no such file or directory\n" +
			"tokenjar: hint: name the right file with --config, or make one with tokenjar init\n"},
		{"serve --listen \x1b[2J", 1, "tokenjar: error: --listen: listen: contains U+001B, which cannot be printed: remove it\n" +
			"tokenjar: hint: nothing was done; correct the settings and try again\n"},
	} {
		t.Run(strings.ToValidUTF8(tt.args, ""), func(t *testing.T) {
			code, _, stderr := cli.Run("", nil, strings.Fields(tt.args)...)
			if code != tt.code || stderr != tt.want {
				t.Errorf("got %d\n%s\nwant %d\n%s", code, stderr, tt.code, tt.want)
			}
		})
	}
}

func TestAnEmptyFlagIsNoFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin")
	before := secretLines(t)
	for _, words := range []string{
		"secret rotate --promote=", "sessions list --user=", "sessions revoke --all --user=", "config print --config=",
		"serve --public-url=", "demo --password=", "init --dir=", "users create grace --email=",
	} {
		code, stdout, stderr := cli.Run(goodPassword, nil, strings.Fields(words)...)
		empty := strings.TrimSuffix(words[strings.LastIndex(words, "--"):], "=")
		want := `tokenjar: error: invalid argument "" for "` + empty + `" flag: it is empty: give it a value, or leave it out` + "\n"
		if code != 2 || stdout != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: got %d %q %q, want 2 and %q", words, code, stdout, stderr, want)
		}
	}
	if after := secretLines(t); !slices.Equal(before, after) {
		t.Error("the secret was changed")
	}
}

func TestDemoPasswordsPassThePolicyAndDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for range 200 {
		p := cli.Memorable()
		if err := (password.Policy{}).Check(p, "demo", "demo@example.com"); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if seen[p] {
			t.Errorf("%s twice in 200", p)
		}
		seen[p] = true
	}
}
