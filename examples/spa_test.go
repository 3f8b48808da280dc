package examples_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tutorial of the application is done as a newcomer does it, with the client as it would be published, and ends in a real
// browser. Only the port is another one.
func TestANewcomerWhoFollowsTheTutorialOfTheApplicationIsSignedIn(t *testing.T) {
	if os.Getenv("TOKENJAR_SPA_TUTORIAL") == "" {
		t.Skip("it installs packages for minutes: make spa runs it")
	}
	need(t, "bash", "node", "npm")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	pack := exec.Command("npm", "pack", "--silent", "--pack-destination", parent)
	pack.Dir = filepath.Join(root, "client")
	if out, err := pack.CombinedOutput(); err != nil {
		skip(t, "the client cannot be packed: %v\n%s", err, out)
	}
	packed, err := filepath.Glob(filepath.Join(parent, "*.tgz"))
	if err != nil || len(packed) != 1 {
		t.Fatalf("the packed client is %v, %v", packed, err)
	}

	port := freePort(t)
	base := "http://localhost:" + port
	sh := newShell(parent, "PATH="+cli(t)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"TOKENJAR_LISTEN=127.0.0.1:"+port, "TOKENJAR_PUBLIC_URL="+base, "npm_config_audit=false", "npm_config_fund=false")
	sh.replace = strings.NewReplacer("npm install @tokenjar/client", "npm install "+packed[0])

	steps := blocks(t, "docs/tutorial/spa.md")
	var printed string
	shown := map[string]bool{}
	served := false
	for i, step := range steps {
		switch {
		case step.file != "":
			name := strings.TrimPrefix(step.file, "examples/spa-tutorial/")
			shown[name] = true
			write(t, filepath.Join(sh.dir, name), step.text)
		case step.lang == "sh" && strings.TrimSpace(step.text) == "tokenjar serve":
			served = true
			sh.start(t, step.text, port)
			visit := exec.CommandContext(t.Context(), "node", "visit-tutorial.mjs", base)
			visit.Dir = filepath.Join(root, "test", "spa")
			out, err := visit.CombinedOutput()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == 3 {
				skip(t, "%s", out)
			}
			if err != nil {
				t.Errorf("the page: %v\n%s", err, out)
			}
		case step.lang == "sh":
			printed = sh.run(t, step.text)
		case step.lang == "" && i > 0 && steps[i-1].lang == "sh":
			compareOutput(t, steps[i-1].text, printed, step.text)
		}
	}
	for _, name := range []string{"src/main.tsx", "src/App.tsx", "tokenjar.yaml"} {
		if !shown[name] {
			t.Errorf("the page does not show %s", name)
		}
	}
	if !served {
		t.Error("the page does not start the server")
	}
}
