// Package golden compares what is made of the code with the file it is kept in, for tests: the OpenAPI document and the
// pages of the reference. With -update a test writes the file instead, and its difference is read in review.
package golden

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the files that are made of the code anew")

// Compare fails the test when a file does not hold exactly what is wanted.
func Compare(t testing.TB, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what the code says: run go test on this package with -update, and read the difference", file)
	}
}
