package examples_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The tutorial is done as a newcomer does it: its files are written as the page shows them, its commands run as they
// stand there, and a browser's part is played over HTTP. Only the port is another one.
func TestANewcomerWhoFollowsTheTutorialGetsASignedInPage(t *testing.T) {
	need(t, "bash", "curl", "awk")
	parent := t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, filepath.Join(parent, "tokenjar")); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	base := "http://localhost:" + port
	sh := newShell(parent, "PORT="+port)
	sh.replace = strings.NewReplacer("http://localhost:8080", base)

	steps := blocks(t, "docs/tutorial/README.md")
	var printed string // by the last commands
	shown := map[string]bool{}
	for i, step := range steps {
		switch {
		case step.file != "":
			name := strings.TrimPrefix(step.file, "examples/tutorial/")
			shown[name] = true
			write(t, filepath.Join(sh.dir, name), step.text)
		case step.lang == "sh" && strings.TrimSpace(step.text) == "go run .":
			sh.start(t, step.text, "open "+base)
			browse(t, base)
		case step.lang == "sh":
			printed = sh.run(t, step.text)
		case step.lang == "" && i > 0 && steps[i-1].lang == "sh":
			compareOutput(t, steps[i-1].text, printed, step.text)
		}
	}
	for _, name := range []string{"main.go", "web/index.html", "web/app.js"} {
		if !shown[name] {
			t.Errorf("the page does not show %s", name)
		}
	}
}

// browse does in a browser's place what the page says between its commands.
func browse(t *testing.T, base string) {
	t.Helper()
	v := newVisitor(t, base)
	v.call("GET", "/api/note", "").want(t, http.StatusUnauthorized, "not_authenticated")
	v.call("POST", "/auth/login", `{"username":"ada","password":"not-the-password"}`).
		want(t, http.StatusUnauthorized, "invalid_credentials")

	in := v.call("POST", "/auth/login", `{"username":"ada","password":"umbrella-kettle-92"}`)
	in.want(t, http.StatusOK, "")
	for name, secret := range map[string]bool{"access_token": true, "refresh_token": true, "csrftoken": false} {
		if c := in.cookies[name]; c == nil || c.HttpOnly != secret || c.Path != "/" || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %s: got %v, want HttpOnly %v, Path=/, SameSite=Lax", name, c, secret)
		}
	}
	if _, leaked := in.body["access"]; leaked || len(in.body) != 4 {
		t.Errorf("the answer to login has the members %v", in.body)
	}
	if got := v.call("GET", "/auth/session", "").body["authenticated"]; got != true {
		t.Errorf("session: authenticated is %v", got)
	}
	v.call("PUT", "/api/note", "buy milk").want(t, http.StatusOK, "")

	// What anybody but our page can send: the cookies, without the header.
	csrf := v.csrf
	v.csrf = ""
	v.call("PUT", "/api/note", "buy poison").want(t, http.StatusForbidden, "csrf_failed")
	v.csrf = csrf

	// Half a minute later the browser has dropped the access cookie. The same request goes through and renews.
	v.forget("access_token")
	saved := v.call("PUT", "/api/note", "buy bread")
	saved.want(t, http.StatusOK, "")
	if len(saved.cookies) != 3 {
		t.Errorf("the renewed answer sets %d cookies, want 3", len(saved.cookies))
	}
	if got := v.call("GET", "/api/note", "").body["note"]; got != "buy bread" {
		t.Errorf("the note is %q", got)
	}
	v.call("POST", "/auth/logout", "").want(t, http.StatusOK, "")
	v.call("GET", "/api/note", "").want(t, http.StatusUnauthorized, "not_authenticated")
	if got := v.call("GET", "/auth/session", "").body["authenticated"]; got != false {
		t.Errorf("session after sign-out: authenticated is %v", got)
	}
	v.call("POST", "/auth/login", `{"username":"ada","password":"umbrella-kettle-92"}`).want(t, http.StatusOK, "")
	v.call("PUT", "/api/note", "").want(t, http.StatusOK, "")
}

// compareOutput checks that a command prints what the page says. "…" stands for anything on the line, and a line that
// is nothing else for any lines.
func compareOutput(t *testing.T, command, got, want string) {
	t.Helper()
	rest := strings.ReplaceAll(strings.ReplaceAll(got, "\r\n", "\n"), "}{", "}\n{") // curl ends no line
	for line := range strings.Lines(want) {
		for part := range strings.SplitSeq(strings.TrimSuffix(line, "\n"), "…") {
			i := strings.Index(rest, part)
			if i < 0 {
				t.Errorf("%s\nprints\n%s\nThe page also says %q", command, got, part)
				return
			}
			rest = rest[i+len(part):]
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
