package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"

	"github.com/tokenjar/tokenjar/internal/golden"
)

const referenceFile = "../../docs/reference/config.md"

// TestReferencePageIsTheCode: the page is what the tags say. go test ./internal/config -update writes it anew.
func TestReferencePageIsTheCode(t *testing.T) {
	golden.Compare(t, referenceFile, referencePage(t))
}

func referencePage(t *testing.T) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# Settings

`+"Generated from the code by `go test ./internal/config -update`. The same as a file: `tokenjar config print --defaults`."+`

Settings come from the file `+"(`tokenjar.yaml` in the working folder, or `--config FILE`)"+`, the environment and the flags; what comes
later wins. An unknown setting is a mistake in the file and among the flags, and a warning in the environment, where others may use
the prefix for purposes of their own. All mistakes are reported at once: `+"`tokenjar config check`"+`.

- In the file a dotted name stands below its section: `+"`session.idle` is `session: {idle: 24h}`"+`. A relative path counts from the
  folder of the file.
- In the environment a list is separated by commas. `+"`routes` and `frontends`"+` are lists of sections, which only the file can hold.
- A duration is written as `+"`90s`, `15m`, `24h` or `30d`, and combined as `1d12h`; a size in bytes, or as `64KiB`, `10MiB` or `1GiB`"+`.
- The secret is the only secret there is. It lies in a file `+"(`secret_file`, or `TOKENJAR_SECRET_FILE` in the environment, as for a\n"+
		"  mounted secret), or is the value of `TOKENJAR_SECRET`"+`; both at once are a mistake.
`)
	section := "-"
	for _, s := range config.Settings() {
		name, _, nested := strings.Cut(s.Key, ".")
		name = strings.TrimSuffix(name, "[]")
		if !nested && s.Takes != "a list of sections" {
			name = ""
		}
		if name != section {
			section = name
			title := "`" + name + "`"
			if name == "" {
				title = "At the top"
			}
			fmt.Fprintf(&b, "\n## %s\n", title)
			b.WriteString(example(name))
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n", s.Key, strings.ReplaceAll(s.Doc, "<", "\\<"))
		if s.Required {
			fmt.Fprintf(&b, "- required, as `%s`\n", s.Example)
		} else {
			value, err := json.Marshal(s.Default)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "- default: `%s`\n", value)
		}
		if s.Env != "" {
			fmt.Fprintf(&b, "- environment: `%s`\n", s.Env)
		}
		fmt.Fprintf(&b, "- takes: %s\n", takes(s))
	}
	return b.Bytes()
}

// example is a whole list, which [TestTheExamplesOfTheReference] reads.
func example(section string) string {
	if text := examples[section]; text != "" {
		return "\n```yaml\n" + text + "```\n"
	}
	return ""
}

var examples = map[string]string{
	"routes": `routes:
  - path: /api/
    upstream: http://127.0.0.1:9000
    audience: orders
    methods: {GET: none, POST: [cookie, bearer], DELETE: cookie}
  - path: /live/
    upstream: http://127.0.0.1:9001/v2/
    strip_prefix: true
    websocket: true
`,
	"frontends": `public_url: https://app.example.com
frontends:
  - public_url: https://shop.example.com
    spa: {dir: shop/dist}
    routes:
      - {path: /api/, upstream: "http://127.0.0.1:9002"}
`,
}

func takes(s config.Setting) string {
	switch {
	case len(s.Enum) > 0:
		return strings.ReplaceAll("`"+strings.Join(s.Enum, "`, `")+"`", "``", "`\"\"`")
	case s.Min != "" || s.Max != "":
		return fmt.Sprintf("%s; %s to %s", s.Takes, s.Min, s.Max)
	}
	return s.Takes
}

func TestEverySettingIsDocumentedAndNoneButTheSecretIsSecret(t *testing.T) {
	for _, s := range config.Settings() {
		if s.Doc == "" || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s: its meaning is no sentence: %q", s.Key, s.Doc)
		}
		// A setting for a secret would have to be readable from a file of its own, hidden when printed, and never logged.
		for _, word := range []string{"secret", "token", "key", "password", "dsn"} {
			leaf := s.Key[strings.LastIndexByte(s.Key, '.')+1:]
			if strings.Contains(leaf, word) && s.Key != "secret_file" && len(s.Enum) == 0 {
				t.Errorf("%s sounds like a secret", s.Key)
			}
		}
	}
}

func TestValuesSayWhereTheyComeFrom(t *testing.T) {
	const secret = "hunter2-Qw9Lr7tYb2NzHm5sJd8FgCa4PeUo6"
	l, err := config.LoadText(config.Source{
		Environ: []string{"TOKENJAR_SESSION_IDLE=2h", "TOKENJAR_SECRET=" + secret, "TOKENJAR_PASSWORD_MIN_LENGTH=12"},
		Flags:   map[string]string{"listen": "127.0.0.1:1"},
	}, "a\nb.yaml", "listen: 127.0.0.1:2\nsession:\n  idle: 1h\n  grace: 0\ncors: {allowed_origins: [\"http://localhost:1\"]}\n")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]config.Value{}
	for _, v := range l.Values() {
		got[v.Key] = v
	}
	for _, want := range []config.Value{
		{Key: "secret", Value: "[hidden]", From: "TOKENJAR_SECRET"},
		{Key: "listen", Value: "127.0.0.1:1", From: "--listen"},
		{Key: "public_url", Value: "", From: "default"},
		{Key: "session.idle", Value: "2h", From: "TOKENJAR_SESSION_IDLE"},
		{Key: "session.grace", Value: "0s", From: "a"},
		{Key: "session.transparent_renewal", Value: false, From: "follows from session.grace"},
		{Key: "password.min_length", Value: 12, From: "TOKENJAR_PASSWORD_MIN_LENGTH"},
		{Key: "cors.allowed_origins", Value: []string{"http://localhost:1"}, From: "a"},
		{Key: "cors.allowed_headers", Value: []string{}, From: "default"},
		{Key: "token.rotate_every", Value: "90d", From: "default"},
	} {
		if !reflect.DeepEqual(got[want.Key], want) {
			t.Errorf("got %#v, want %#v", got[want.Key], want)
		}
	}
	var out bytes.Buffer
	if err := config.PrintValues(&out, l); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), secret) {
		t.Error("the secret is printed")
	}
	again, err := config.LoadText(config.Source{}, "tokenjar.yaml", out.String())
	if err != nil || !reflect.DeepEqual(again.Config, l.Config) {
		t.Errorf("what is printed is read back as %+v, %v, want %+v; it was:\n%s", again.Config, err, l.Config, out.String())
	}
}
