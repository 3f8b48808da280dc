package tokenjar_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const contract = "docs/reference/client-contract.md"

var (
	contractRow   = regexp.MustCompile(`(?m)^\| ([0-9]+) \| (.+) \| (.+) \|$`)
	comment       = regexp.MustCompile(`(?m)^\s*//.*$`)
	contractTests = regexp.MustCompile("^`([^`]+)`: (`[^`]+`(?:, `[^`]+`)*)$")
)

// A promise is worth what its test is: each names some, and they exist under that name.
func TestTheClientsContractNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	rows := contractRow.FindAllStringSubmatch(string(text), -1)
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) {
			t.Errorf("row %d is numbered %s", i+1, row[1])
		}
		for _, part := range strings.Split(row[3], " <br> ") {
			m := contractTests.FindStringSubmatch(part)
			if m == nil {
				t.Errorf("row %s: %s is not written as `file`: `test`, `test`", row[1], part)
				continue
			}
			if _, read := files[m[1]]; !read {
				file, err := os.ReadFile(m[1])
				if err != nil {
					t.Errorf("row %s: %v", row[1], err)
				}
				files[m[1]] = string(file)
			}
			for _, name := range strings.Split(m[2], ", `") {
				if name = strings.Trim(name, "`"); !namesTest(files[m[1]], name) {
					t.Errorf("row %s: %s has no test %q", row[1], m[1], name)
				}
			}
		}
	}
	if len(rows) != 15 {
		t.Errorf("got %d rows, want 15: is one not written as the others?", len(rows))
	}
}

// namesTest reports whether a file of tests has one of this name: the first argument of a call, which may begin on the line before.
func namesTest(file, name string) bool {
	file = comment.ReplaceAllString(file, "")
	name = strings.ReplaceAll(regexp.QuoteMeta(name), "'", `\\?'`)
	return regexp.MustCompile(`(?m)(?:\b(?:test|it)\(|\)\(|^\s*)(?:'` + name + `'|` + "`" + name + "`" + `),`).MatchString(file)
}

func TestTheNameOfATestIsFoundAsOneAlone(t *testing.T) {
	const file = `
  test('one', async () => {
  test.each([1])('two %s', async () => {
  test.each([1])(
    'three',
  test(` + "`four ${x}`" + `, async () => {
  test('it\'s five', () => {})
  // test('six', () => {})
  expect(said).toBe('seven', 1)
`
	for name, want := range map[string]bool{
		"one": true, "two %s": true, "three": true, "four ${x}": true, "it's five": true,
		"six": false, "seven": false, "on": false, "ne": false, "two": false,
	} {
		if got := namesTest(file, name); got != want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
