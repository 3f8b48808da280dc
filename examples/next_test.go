package examples_test

import (
	"bufio"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The snippet of docs/howto/spa.md never leaves the site, whatever stands in the address.
func TestTheReturnPathOfTheSnippetStaysOnTheSite(t *testing.T) {
	need(t, "node")
	good := map[string]string{"/orders/42": "/orders/42", "/a?b=c&d=%2F": "/a?b=c&d=%2F", "/": "/", "/x#y": "/x#y"}
	bad := []string{
		"//evil.example", `/\evil.example`, `\/evil.example`, `\\evil.example`, "/\t/evil.example", "/\n/evil.example", "///evil.example", "https:evil.example",
		"https://evil.example", "http:/evil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "",
		"evil.example", "@evil.example", " //evil.example", "/ /evil.example", "/\u00a0/evil.example", "\u0000//evil.example",
	}
	inside := []string{"/.//evil.example", "/..//evil.example", "/a/../..//evil.example", `/./\evil.example`, "/%2F/evil.example", "/@evil.example", "/:80", "/%5cevil.example"}
	if folder := os.Getenv("TOKENJAR_VECTORS"); folder != "" {
		file, err := os.Open(filepath.Join(folder, "openredirects.txt"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		lines := 0
		for scan := bufio.NewScanner(file); scan.Scan(); lines++ {
			inside = append(inside, scan.Text(), url.QueryEscape(scan.Text()), url.PathEscape(scan.Text()))
		}
		if lines < 500 {
			t.Errorf("only %d lines of openredirects.txt", lines)
		}
	} else if os.Getenv("TOKENJAR_REQUIRE_ALL") != "" {
		t.Fatal("TOKENJAR_VECTORS names no folder with openredirects.txt")
	}
	var all []string
	for next := range good {
		all = append(all, next)
	}
	all = append(append(all, bad...), inside...)

	dir := t.TempDir()
	snippet, err := os.ReadFile("client/next.js")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "next.mjs"), string(snippet))
	write(t, filepath.Join(dir, "asked.json"), string(asked))
	write(t, filepath.Join(dir, "run.mjs"), `
import { readFileSync } from 'node:fs'
import { returnTo } from './next.mjs'
const here = 'https://app.example.com'
const asked = JSON.parse(readFileSync(new URL('./asked.json', import.meta.url)))
// What a browser makes of it: location = text, on a page of ours.
console.log(JSON.stringify(asked.map(next => [next, new URL(returnTo('?next=' + encodeURIComponent(next), here), here + '/deep/page').href])))
`)
	out, err := output1([]string{"node", filepath.Join(dir, "run.mjs")})
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]string
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != len(all) {
		t.Fatalf("%d of %d answers, %v", len(got), len(all), err)
	}
	const here = "https://app.example.com"
	for _, pair := range got {
		next, to := pair[0], pair[1]
		if !strings.HasPrefix(to, here+"/") {
			t.Errorf("%q leads to %s", next, to)
		}
		if want, ok := good[next]; ok && to != here+want {
			t.Errorf("%q: got %s", next, to)
		}
	}
	for i, next := range bad {
		if to := got[len(good)+i][1]; to != here+"/" {
			t.Errorf("%q: got %s, want the front page", next, to)
		}
	}
}
