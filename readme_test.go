package tokenjar_test

import (
	"os"
	"strings"
	"testing"
)

func TestTheREADMEShowsTheProgramThatIsBuilt(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("examples/embed/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
		t.Error("the Go program in README.md is not examples/embed/main.go")
	}
}
