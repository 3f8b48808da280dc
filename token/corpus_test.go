package token_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fuzz target without seeds of its own would pass in every ordinary run and try nothing.
func TestEveryFuzzTargetHasSeeds(t *testing.T) {
	targets := 0
	for _, folder := range []string{".", "../internal/tokencache"} {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Fuzz") {
					continue
				}
				targets++
				seeds, err := os.ReadDir(filepath.Join(folder, "testdata", "fuzz", f.Name.Name))
				if err != nil || len(seeds) < 3 {
					t.Errorf("%s has %d seeds, %v: see testdata/fuzz", f.Name.Name, len(seeds), err)
				}
			}
		}
	}
	if targets < 6 {
		t.Errorf("only %d targets were found", targets)
	}
}
