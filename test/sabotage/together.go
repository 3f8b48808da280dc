package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// How weakenings are compiled together: each function gets, in front of its own body, the weakened one as often as the
// table names it, and the environment says which is taken.
//
//	func F() error {
//		if weakened == "7" {
//			… the body with weakening 7
//		}
//		… the body as it is
//	}
//
// What lies outside of functions, as constants do, is compiled alone. When the compiler finds a fault it names the sentence
// in the place of a file.

// switchName is the variable of the environment that says which weakening is on.
const switchName = "TOKENJAR_SABOTAGE"

// compose returns the files that have weakenings in their functions, by name, and says which weakenings those are.
func compose(module string, all []weakening) (files map[string][]byte, together map[int]bool, err error) {
	byFile := make(map[string][]int)
	for i, w := range all {
		byFile[w.file] = append(byFile[w.file], i)
	}
	files, together = make(map[string][]byte), make(map[int]bool)
	for file, places := range byFile {
		text, err := os.ReadFile(filepath.Join(module, filepath.FromSlash(file)))
		if err != nil {
			return nil, nil, err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, err
		}
		composed := string(text)
		for _, decl := range slices.Backward(parsed.Decls) { // from the end, so that what is before keeps its place
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			brace := set.Position(f.Body.Lbrace)
			begin, end := brace.Offset+1, set.Position(f.Body.Rbrace).Offset
			body := string(text[begin:end])
			var front strings.Builder
			for _, i := range places {
				if strings.Count(string(text), all[i].old) != 1 || strings.Count(body, all[i].old) != 1 {
					continue
				}
				together[i] = true
				fmt.Fprintf(&front, "\nif weakened == \"%d\" {\n//line %s:1\n%s\n", i, all[i].is, strings.Replace(body, all[i].old, all[i].new, 1))
				if f.Type.Results == nil {
					front.WriteString("return\n")
				}
				front.WriteString("}\n")
			}
			if front.Len() == 0 {
				continue
			}
			fmt.Fprintf(&front, "//line %s:%d\n", path.Base(file), brace.Line)
			composed = composed[:begin] + front.String() + composed[begin:]
		}
		if composed == string(text) {
			continue
		}
		files[file] = []byte(composed)
		files[path.Join(path.Dir(file), "weakened.go")] = fmt.Appendf(nil,
			"package %s\n\nimport \"os\"\n\nvar weakened = os.Getenv(%q)\n", parsed.Name.Name, switchName)
	}
	return files, together, nil
}
