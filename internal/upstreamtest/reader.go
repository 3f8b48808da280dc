package upstreamtest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// A Reader is a service that answers each request with how it understood it, as the JSON of a [Reading].
type Reader struct {
	Name string
	URL  string
}

// A Reading is how a program understood a request. What there are several ways of reading, it has in each of them.
type Reading struct {
	Target  string      `json:"target"`  // as it came
	Paths   []string    `json:"paths"`   // decoded, cleaned
	Fields  [][2]string `json:"fields"`  // as the program hands them out
	Cookies []string    `json:"cookies"` // names
	Count   int         `json:"count"`   // of requests so far
}

// Readers are the programs there are: Go, Node and Python. Without one of the latter the test is skipped for it, with a
// sentence, and fails if TOKENJAR_REQUIRE_ALL is set.
var Readers = map[string]func(t testing.TB) Reader{
	"Go":     goReader,
	"Node":   func(t testing.TB) Reader { return program(t, "Node", "reader.mjs", nodeReader, "node") },
	"Python": func(t testing.TB) Reader { return program(t, "Python", "reader.py", pythonReader, "python3", "-u") },
}

func goReader(t testing.TB) Reader {
	var count int
	var counting = make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counting <- struct{}{}
		count++
		n := count
		<-counting
		got := Reading{Target: r.RequestURI, Count: n, Paths: []string{r.URL.Path, path.Clean(r.URL.Path)}}
		if escaped, err := url.PathUnescape(r.URL.EscapedPath()); err == nil {
			got.Paths = append(got.Paths, escaped)
		}
		for name, values := range r.Header {
			for _, v := range values {
				got.Fields = append(got.Fields, [2]string{name, v})
			}
		}
		for _, c := range r.Cookies() {
			got.Cookies = append(got.Cookies, c.Name)
		}
		json.NewEncoder(w).Encode(got)
	}))
	t.Cleanup(s.Close)
	return Reader{Name: "Go", URL: s.URL}
}

//go:embed testdata/reader.mjs
var nodeReader string

//go:embed testdata/reader.py
var pythonReader string

// program starts a program that prints the port it listens on, and ends with its standard input.
func program(t testing.TB, name, file, text, command string, args ...string) Reader {
	t.Helper()
	Need(t, command)
	script := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command, append(args, script)...)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s did not start: %v", name, err)
	}
	return Reader{Name: name, URL: "http://127.0.0.1:" + strings.TrimSpace(port)}
}

// Need skips a test when a program is missing, and fails it if TOKENJAR_REQUIRE_ALL is set.
func Need(t testing.TB, command string) {
	t.Helper()
	if _, err := exec.LookPath(command); err != nil {
		if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
			t.Fatalf("%s is not installed", command)
		}
		t.Skipf("%s is not installed", command)
	}
}
