package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "../.."

// The table names texts and tests, and both are edited by people who do not think of it.
func TestTheTableIsUpToDate(t *testing.T) {
	tests := make(map[string]string) // by package, the text of its tests
	testsOf := func(pkg string) string {
		if text, read := tests[pkg]; read {
			return text
		}
		files, err := filepath.Glob(filepath.Join(module, filepath.FromSlash(pkg), "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("package %s has no tests: %v", pkg, err)
		}
		var all strings.Builder
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		tests[pkg] = all.String()
		return tests[pkg]
	}
	seen := make(map[string]bool)
	for _, w := range append(table, weakening{is: "visit", pkg: visit.pkg, test: visit.test}) {
		if seen[w.is] {
			t.Errorf("%q stands twice in the table", w.is)
		}
		seen[w.is] = true
		if name, _, _ := strings.Cut(w.test, "/"); !strings.Contains(testsOf(w.pkg), "\nfunc "+name+"(t *testing.T)") {
			t.Errorf("%q: package %s has no %s", w.is, w.pkg, name)
		}
		if w.file == "" {
			continue
		}
		if text, err := w.edited(module); err != nil {
			t.Errorf("%q: %s: %v", w.is, w.file, err)
		} else if w.old == w.new || len(text) == 0 {
			t.Errorf("%q changes nothing", w.is)
		}
	}
	if len(table) < 40 {
		t.Errorf("the table has %d weakenings", len(table))
	}
}

// What go test prints when the test fails, when none does, when the edit does not compile, and when nothing has run.
func TestVerdicts(t *testing.T) {
	const (
		passes = `{"Action":"pass","Package":"p","Test":"TestX"}` + "\n"
		fails  = `{"Action":"output","Package":"p","Test":"TestX","Output":"--- FAIL: TestX (0.00s)\n"}` + "\n" +
			`{"Action":"fail","Package":"p","Test":"TestX/deep_down"}` + "\n" +
			`{"Action":"fail","Package":"p","Test":"TestX"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n"
		other  = `{"Action":"fail","Package":"p","Test":"TestY"}` + "\n" + passes
		skips  = `{"Action":"skip","Package":"p","Test":"TestX"}` + "\n"
		broken = `{"ImportPath":"p","Action":"build-output","Output":"x.go:1:1: undefined: y\n"}` + "\n" +
			`{"ImportPath":"p","Action":"build-fail"}` + "\n" + `{"Action":"fail","Package":"p","FailedBuild":"p"}` + "\n"
		empty = `{"Action":"pass","Package":"p"}` + "\n"
	)
	for out, want := range map[string]string{
		passes: errEscaped.Error(), other: errEscaped.Error(), fails: "", skips: "skipped", broken: "undefined: y", empty: "did not run",
	} {
		r, err := readEvents([]byte(out))
		if err != nil {
			t.Fatal(err)
		}
		err = r.verdict("TestX")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\ngot %v, want %q", out, err, want)
		}
		if errors.Is(err, errEscaped) != (want == errEscaped.Error()) {
			t.Errorf("%s\nit escaped: %v", out, err)
		}
	}
	if _, err := readEvents([]byte("no JSON\n")); err == nil {
		t.Error("what is no event was read")
	}
}

func TestPatternsSelectOneTest(t *testing.T) {
	if got, want := pattern([]string{"TestX", "TestY/a.b"}), `^TestX$|^TestY$/^a\.b$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWeakeningsOfOneFileAreComposed(t *testing.T) {
	dir := t.TempDir()
	const text = "package p\n\nconst n = 1\n\nfunc F(a int) int { return a + n }\n\nfunc G() {\n\tF(1)\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files, together, err := compose(dir, []weakening{
		{is: "minus", file: "p.go", old: "a + n", new: "a - n"}, {file: "p.go", old: "n = 1", new: "n = 2"},
		{is: "two", file: "p.go", old: "F(1)", new: "F(2)"}, {is: "negative", file: "p.go", old: "return a", new: "return -a"},
		{file: "p.go", old: "F", new: "H"}, // which is not one place
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "package p\n\nconst n = 1\n\nfunc F(a int) int {\n" +
		"if weakened == \"0\" {\n//line minus:1\n return a - n \n}\n\n" +
		"if weakened == \"3\" {\n//line negative:1\n return -a + n \n}\n//line p.go:5\n return a + n }\n\n" +
		"func G() {\nif weakened == \"2\" {\n//line two:1\n\n\tF(2)\n\nreturn\n}\n//line p.go:7\n\n\tF(1)\n}\n"
	if got := string(files["p.go"]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(together) != 3 || together[1] || together[4] {
		t.Errorf("compiled together: %v, want 0, 2 and 3", together)
	}
	if got := string(files["weakened.go"]); !strings.Contains(got, "package p\n") || !strings.Contains(got, switchName) {
		t.Errorf("the switch is\n%s", got)
	}
}
