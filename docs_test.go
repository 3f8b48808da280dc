package tokenjar_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/tokenjar/tokenjar/internal/config"
)

// What documents show is checked here as far as no program has to run for it; examples/ runs the rest.

// documents returns the paths of all Markdown files of the repository and their texts.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case strings.HasSuffix(path, ".md"):
			text, err := os.ReadFile(path)
			all[filepath.ToSlash(path)] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d documents were found", len(all))
	}
	return all
}

var (
	fencePattern = regexp.MustCompile("(?ms)^(?:<!-- (file|part): (\\S+) -->\n)?```([a-z]*)[^\n]*\n(.*?)^```$")
	codeSpan     = regexp.MustCompile("``[^`]+``|`[^`\n]+`")
	linkPattern  = regexp.MustCompile(`!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()\s]*\))?)\)`)
	heading      = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *#*$`)
	htmlAnchor   = regexp.MustCompile(`<a (?:id|name)="([^"]+)">`)
)

func TestEveryLinkInADocumentResolves(t *testing.T) {
	all := documents(t)
	links := 0
	for path, text := range all {
		plain := codeSpan.ReplaceAllStringFunc(fencePattern.ReplaceAllString(text, ""), func(code string) string {
			return strings.Map(func(r rune) rune {
				if r == '(' || r == ')' || r == '[' || r == ']' {
					return '.'
				}
				return r
			}, code)
		})
		for _, m := range linkPattern.FindAllStringSubmatch(plain, -1) {
			links++
			if problem := checkLink(all, path, m[1]); problem != "" {
				t.Errorf("%s: %s: %s", path, m[1], problem)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found: is the pattern right?", links)
	}
}

// home is where the repository is; documents that are shown elsewhere link to it.
const home = "https://github.com/tokenjar/tokenjar/"

var atHome = regexp.MustCompile("^" + regexp.QuoteMeta(home) + "(?:blob|tree)/main/(.+)$")

// checkLink says what is wrong with a link, "" if nothing is. Addresses elsewhere are not asked for.
func checkLink(all map[string]string, from, link string) string {
	if m := atHome.FindStringSubmatch(link); m != nil {
		from, link = "README.md", m[1]
	}
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return err.Error()
	case u.Scheme == "https" || u.Scheme == "http" || u.Scheme == "mailto":
		return ""
	case u.Scheme != "" || u.Host != "" || strings.HasPrefix(u.Path, "/"):
		return "write a path that is relative to the document"
	}
	target := from
	if u.Path != "" {
		target = filepath.ToSlash(filepath.Join(filepath.Dir(from), filepath.FromSlash(u.Path)))
		info, err := os.Stat(target)
		if err != nil {
			return "there is no " + target
		}
		if info.IsDir() {
			target += "/README.md"
		}
	}
	if u.Fragment == "" {
		return ""
	}
	text, ok := all[target]
	if !ok {
		return target + " is no document, so it has no anchors"
	}
	if !slices.Contains(anchors(text), u.Fragment) {
		return fmt.Sprintf("%s has no heading #%s", target, u.Fragment)
	}
	return ""
}

// anchors returns the ids that a document's headings get where it is shown.
func anchors(text string) (ids []string) {
	seen := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(fencePattern.ReplaceAllString(text, ""), -1) {
		id := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		if n := seen[id]; n > 0 {
			ids = append(ids, fmt.Sprintf("%s-%d", id, n))
		} else {
			ids = append(ids, id)
		}
		seen[id]++
	}
	for _, m := range htmlAnchor.FindAllStringSubmatch(text, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// A snippet of code stands in a file that is compiled or run. Whole files are compared byte for byte; a part may be
// indented less than in its file.
func TestCodeInDocumentsStandsInAFile(t *testing.T) {
	files := 0
	for path, text := range documents(t) {
		guide := strings.HasPrefix(path, "docs/tutorial/") || strings.HasPrefix(path, "docs/howto/") || strings.HasPrefix(path, "docs/why/")
		for _, m := range fencePattern.FindAllStringSubmatch(text, -1) {
			kind, name, lang, code := m[1], m[2], m[3], m[4]
			if kind == "" {
				if guide && slices.Contains([]string{"go", "js", "python", "html", "nginx"}, lang) {
					t.Errorf("%s shows %s code that is in no file:\n%s", path, lang, code)
				}
				continue
			}
			files++
			file, err := os.ReadFile(name)
			switch {
			case err != nil:
				t.Errorf("%s: %v", path, err)
			case kind == "file" && code != string(file):
				t.Errorf("%s does not show %s as it is", path, name)
			case kind == "part" && !strings.Contains(undent(string(file)), undent(code)):
				t.Errorf("%s shows what is not in %s:\n%s", path, name, code)
			}
		}
	}
	if files < 10 {
		t.Errorf("only %d snippets name their file", files)
	}
}

func undent(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimLeft(line, "\t"))
	}
	return b.String()
}

// Settings that documents show load without a mistake. Prometheus' rules are no settings.
func TestSettingsInDocumentsLoad(t *testing.T) {
	n := 0
	for path, text := range documents(t) {
		for _, m := range fencePattern.FindAllStringSubmatch(text, -1) {
			if m[3] != "yaml" || m[1] != "" {
				continue
			}
			n++
			file := filepath.Join(t.TempDir(), "tokenjar.yaml")
			if err := os.WriteFile(file, []byte(m[4]), 0o644); err != nil {
				t.Fatal(err)
			}
			loaded, err := config.Load(config.Source{File: file})
			if err != nil {
				t.Errorf("%s:\n%s\n%v", path, m[4], err)
				continue
			}
			for _, w := range loaded.Warnings {
				t.Errorf("%s:\n%s\nwarns: %s", path, m[4], w)
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d files of settings were found", n)
	}
}

var (
	shellCommand = regexp.MustCompile(`(?m)(?:^|[;&|(]|\$\(| - | ` + "`" + `)\s*(?:\./)?tokenjar ((?:[a-z-]+ ?)+)([^|;&\n` + "`" + `)]*)`)
	longFlag     = regexp.MustCompile(`(?:^|\s)(--[a-z-]+)`)
)

// Commands that documents show exist, with the flags they show.
func TestCommandsInDocumentsExist(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "tokenjar")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/tokenjar").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := func(words ...string) (string, bool) {
		c := exec.Command(bin, append(words, "--help")...)
		c.Dir = t.TempDir()
		out, err := c.CombinedOutput()
		return string(out), err == nil
	}
	root, _ := help()
	known := regexp.MustCompile(`(?m)^  ([a-z]+)  `)
	commands := map[string]bool{}
	for _, m := range known.FindAllStringSubmatch(root, -1) {
		commands[m[1]] = true
	}
	n := 0
	for path, text := range documents(t) {
		var code bytes.Buffer
		for _, m := range fencePattern.FindAllStringSubmatch(text, -1) {
			if m[3] == "sh" || m[3] == "" && m[1] == "" {
				code.WriteString(m[4])
			}
		}
		for _, span := range codeSpan.FindAllString(fencePattern.ReplaceAllString(text, ""), -1) {
			code.WriteString("\n" + strings.Trim(span, "`") + "\n")
		}
		for _, m := range shellCommand.FindAllStringSubmatch(code.String(), -1) {
			words := strings.Fields(m[1])
			if end := slices.IndexFunc(words, func(w string) bool { return w[0] == '-' }); end >= 0 {
				words = words[:end]
			}
			if len(words) == 0 || !commands[words[0]] {
				continue // prose in a block of output
			}
			page, ok := "", false
			for len(words) > 0 { // what follows the command are arguments
				if page, ok = help(words...); ok && strings.Contains(page, "tokenjar "+strings.Join(words, " ")) {
					break
				}
				words, ok = words[:len(words)-1], false
			}
			if !ok {
				t.Errorf("%s: there is no command tokenjar %s", path, m[1])
				continue
			}
			n++
			for _, flag := range longFlag.FindAllStringSubmatch(m[2], -1) {
				if !strings.Contains(page, flag[1]) {
					t.Errorf("%s: tokenjar %s has no flag %s", path, strings.Join(words, " "), flag[1])
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d commands were found", n)
	}
}

// Tests that documents name exist.
func TestTestsNamedInDocumentsExist(t *testing.T) {
	var tests strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			tests.Write(text)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, text := range documents(t) {
		if !strings.HasPrefix(path, "docs/") {
			continue // SECURITY.md has a test of its own
		}
		for _, m := range regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]+)`").FindAllStringSubmatch(text, -1) {
			n++
			if !strings.Contains(tests.String(), "func "+m[1]+"(") {
				t.Errorf("%s names %s, which does not exist", path, m[1])
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d tests are named", n)
	}
}

var (
	metricName = regexp.MustCompile(`\btokenjar_[a-z_]+`)
	eventName  = regexp.MustCompile("(?:`|\"|')((?:login|refresh|session|password|key|secret|user)\\.[a-z_]+)(?:`|\"|')")
)

// Metrics and events that the guides and the alerts name are ones that the code makes.
func TestMetricsAndEventsInDocumentsExist(t *testing.T) {
	source := goSource(t)
	texts := map[string]string{}
	for path, text := range documents(t) {
		if strings.HasPrefix(path, "docs/howto/") || strings.HasPrefix(path, "docs/why/") || path == "docs/scaling.md" {
			texts[path] = text
		}
	}
	alerts, err := os.ReadFile("examples/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts["examples/monitoring/alerts.yaml"] = string(alerts)
	settings := map[string]bool{}
	for _, m := range regexp.MustCompile(`key:"([a-z_]+)"`).FindAllStringSubmatch(source, -1) {
		settings[m[1]] = true
	}
	for path, text := range texts {
		for _, name := range metricName.FindAllString(text, -1) {
			if !strings.Contains(source, `"`+name+`"`) {
				t.Errorf("%s names the metric %s, which does not exist", path, name)
			}
		}
		for _, m := range eventName.FindAllStringSubmatch(text, -1) {
			first, word, _ := strings.Cut(m[1], ".")
			if settings[word] || word == "go" { // session.idle, session.go
				continue
			}
			made := strings.Contains(source, `"`+m[1]+`"`) || first == "refresh" && strings.Contains(source, `"`+word+`"`)
			if !made {
				t.Errorf("%s names the event %s, which does not exist", path, m[1])
			}
		}
	}
}

// goSource returns all Go code of the product but the tests.
func goSource(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (path == "examples" || path == "test") {
			return cmpErr(err)
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			b.Write(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func cmpErr(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}
