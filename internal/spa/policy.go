package spa

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// The Content Security Policy of the pages (CSP level 3). It lets a page load what its own origin serves, and run the
// scripts and styles that stand in it, each named by its hash: whatever is put into the page afterwards does not run.
//
//   - data: and blob: images and data: fonts are allowed, since build tools put small ones into the scripts.
//   - Scripts get it as well: a worker is under the policy that its own file came with, not under the page's.
//   - What else an application loads is added by its operator, one directive at a time: see [CheckSources].

// policyOrder are the directives of a policy, as they are written.
var policyOrder = []string{
	"default-src", "script-src", "style-src", "img-src", "font-src", "connect-src", "media-src", "frame-src", "worker-src",
	"manifest-src", "form-action", "base-uri", "object-src", "frame-ancestors",
}

// fixed are not an operator's to widen: they are what stands between a page and being framed or redirected.
var fixed = map[string]bool{"default-src": true, "base-uri": true, "object-src": true, "frame-ancestors": true}

// A policy is the sources of each directive.
type policy map[string][]string

// newPolicy returns the policy of an application at an origin, with what its operator adds.
func newPolicy(public *url.URL, extra string) (policy, error) {
	socket := map[string]string{"http": "ws", "https": "wss"}[public.Scheme] + "://" + public.Host // to some browsers not 'self'
	p := policy{
		"default-src": {"'self'"}, "script-src": {"'self'"}, "style-src": {"'self'"}, "img-src": {"'self'", "data:", "blob:"},
		"font-src": {"'self'", "data:"}, "connect-src": {"'self'", socket}, "form-action": {"'self'"},
		"base-uri": {"'none'"}, "object-src": {"'none'"}, "frame-ancestors": {"'none'"},
	}
	if err := CheckSources(extra); err != nil {
		return nil, err
	}
	for _, words := range additions(extra) {
		name := words[0]
		if p[name] == nil { // would be default-src's
			p[name] = slices.Clone(p["default-src"])
		}
		p[name] = append(p[name], words[1:]...)
	}
	return p, nil
}

// source is what may be added: a keyword, a scheme, or a host with or without scheme, port and path (CSP level 3, section
// 2.3.1). A source that is every host has to be written as such a list.
var source = regexp.MustCompile(`^(data:|blob:|mediastream:|((https?|wss?)://)?(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~/%-]*)?|'sha(256|384|512)-[A-Za-z0-9+/_-]+={0,2}')$`)

// additions returns what is added: each a directive and its sources.
func additions(text string) (all [][]string) {
	for item := range strings.SplitSeq(text, ";") {
		if words := strings.Fields(item); len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// CheckSources reports what is wrong with additions to the policy. They are written as in a policy: directives and their
// sources, with semicolons between them, as in "connect-src https://api.example.com wss://live.example.com; img-src
// https://tiles.example.com".
//
// Scripts cannot be allowed wherever they stand ('unsafe-inline'): that is what the policy is for. Styles can, for libraries
// that write style elements while they run.
func CheckSources(text string) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, words := range additions(text) {
		if len(words) < 2 {
			wrong("%q is no addition: write a directive and its sources, as connect-src https://api.example.com", words[0])
			continue
		}
		name := words[0]
		switch {
		case fixed[name]:
			wrong("%s cannot be changed", name)
			continue
		case !slices.Contains(policyOrder, name):
			wrong("%q is no directive that can be added to: use one of %s", name, strings.Join(addable(), ", "))
			continue
		}
		for _, word := range words[1:] {
			switch {
			case slices.Contains(policyOrder, word):
				wrong("%s: a semicolon is missing before %s", name, word)
			case source.MatchString(word):
			case word == "'unsafe-inline'" && name == "style-src":
			case (word == "'wasm-unsafe-eval'" || word == "'unsafe-eval'") && name == "script-src":
			default:
				wrong("%s: %q is no source that can be added: write addresses, as https://api.example.com", name, word)
			}
		}
		if name == "script-src" && (slices.Contains(words, "data:") || slices.Contains(words, "blob:")) {
			wrong("script-src: data: and blob: let a page run any text as a script")
		}
	}
	return errors.Join(errs...)
}

func addable() (names []string) {
	for _, name := range policyOrder {
		if !fixed[name] {
			names = append(names, name)
		}
	}
	return names
}

// text writes the policy out.
func (p policy) text() string {
	var b strings.Builder
	for _, name := range policyOrder {
		if p[name] == nil {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(name + " " + strings.Join(p[name], " "))
	}
	return b.String()
}

// forPage returns the policy of one page, and what of the page it forbids.
func (p policy) forPage(page []byte) (text string, forbidden []string) {
	in := read(page)
	own := policy{}
	for name, sources := range p {
		own[name] = slices.Clone(sources)
	}
	own["script-src"] = append(own["script-src"], in.scripts...)
	if !slices.Contains(own["style-src"], "'unsafe-inline'") { // which a hash would switch off
		own["style-src"] = append(own["style-src"], in.styles...)
		if in.styleAttribute {
			forbidden = append(forbidden, "style attributes")
		}
	}
	if in.base { // Angular's <base href="/">; that of another origin stays forbidden
		own["base-uri"] = []string{"'self'"}
	}
	if in.handler {
		forbidden = append(forbidden, "event handlers in attributes")
	}
	return own.text(), forbidden
}

// A pageContent is what of a page a policy has to know.
type pageContent struct {
	scripts, styles               []string // hashes
	base, styleAttribute, handler bool
}

// read finds the scripts and styles that stand in a page. It is read twice, as by a browser with scripts and as by one
// without, to which the styles in a noscript element belong.
func read(page []byte) (in pageContent) {
	for _, scripting := range []bool{true, false} {
		root, err := html.ParseWithOptions(bytes.NewReader(page), html.ParseOptionEnableScripting(scripting))
		if err != nil { // only of the reader, or of elements nested absurdly deep: then nothing inline runs
			continue
		}
		for n := range root.Descendants() {
			in.add(n)
		}
	}
	return in
}

func (in *pageContent) add(n *html.Node) {
	if n.Type != html.ElementNode {
		return
	}
	for _, a := range n.Attr {
		switch {
		case a.Key == "style":
			in.styleAttribute = true
		case strings.HasPrefix(a.Key, "on"):
			in.handler = true
		}
	}
	switch n.Data {
	case "base":
		in.base = in.base || n.DataAtom == atom.Base
	case "script":
		if !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "src" }) {
			in.scripts = addHash(in.scripts, n)
		}
	case "style":
		in.styles = addHash(in.styles, n)
	}
}

// addHash adds the hash of an element's text (CSP level 3, section 6.7.3.3).
func addHash(list []string, n *html.Node) []string {
	var text strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.TextNode {
			text.WriteString(c.Data)
		}
	}
	if text.Len() == 0 {
		return list
	}
	sum := sha256.Sum256([]byte(text.String()))
	hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if slices.Contains(list, hash) {
		return list
	}
	return append(list, hash)
}
