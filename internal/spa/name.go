package spa

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// fileName returns the name below the folder that a canonical path asks for, "" if it can be none: with an encoded slash, a
// part that begins with a dot, or one that some file system takes for another name than it is. A path that ends in a slash
// asks for the index.html there.
func fileName(canonical string) string {
	if strings.Contains(canonical, "%2F") {
		return ""
	}
	name, err := url.PathUnescape(canonical[1:])
	if err != nil {
		return ""
	}
	if name == "" || strings.HasSuffix(name, "/") {
		name += indexFile
	}
	for i, part := range strings.Split(name, "/") {
		if part == "" || part[0] == '.' && !(i == 0 && part == ".well-known") || isOdd(part) {
			return ""
		}
	}
	return name
}

const indexFile = "index.html"

// isOdd reports whether a name is one that Windows reads in its own way: streams and drives (a:b), short names (ENV~1), blanks
// and dots at the end, which it drops, and wildcards. No build makes such names, so they are served nowhere.
func isOdd(part string) bool {
	if last := part[len(part)-1]; last == '.' || last == ' ' {
		return true
	}
	if i := strings.IndexByte(part, '~'); i >= 0 && i+1 < len(part) && '0' <= part[i+1] && part[i+1] <= '9' {
		return true
	}
	return strings.ContainsAny(part, `:*?"<>|\`) || strings.ContainsFunc(part, unicode.IsControl)
}

// isHashed reports whether a file's name tells its content, so that the content of that name never changes. Only what build
// tools write passes; of a name that people write (user-DataGrid.png, icon-1024x768.png, photo-20240131.jpg) a browser
// would keep the first content for a year, while a hash that is not recognized costs a question that is answered by 304.
//
//   - webpack, Parcel, esbuild: 8 or more hexadecimal digits after a dot or hyphen, with figures and letters: main.073c9b0a.js
//   - Vite, Rollup: the last 8 of letters, figures, - and _, after a hyphen or dot: index-BX3k9f2a.js
//   - Angular: the same of capitals and figures: chunk-4XYZ7ABC.js
//   - SvelteKit: all of _app/immutable/
//
// Some hashes look like words (index-DiwrgTda.js): see [folder.isOutput].
func isHashed(name string) bool {
	return strings.HasPrefix(name, "_app/immutable/") || hasPart(name, func(s string) bool { return isHexHash(s) || isShortHash(s) })
}

// mayBeHashed reports whether a name has a part as Vite and Rollup write them, or people.
func mayBeHashed(name string) bool {
	return isHashed(name) || hasPart(name, func(s string) bool { return shortHash.MatchString(s) && changes(s) > 0 })
}

// hasPart reports whether what stands where build tools put the hash is one.
func hasPart(name string, isHash func(string) bool) bool {
	parts := strings.Split(path.Base(name), ".")
	for i, part := range parts[:len(parts)-1] {
		if i > 0 && isHash(part) { // main.073c9b0a.js
			return true
		}
		if j := strings.LastIndexByte(part, '-'); j > 0 && isHash(part[j+1:]) {
			return true
		}
		if j := len(part) - 8; j > 1 && part[j-1] == '-' && isHash(part[j:]) { // with a hyphen in it
			return true
		}
	}
	return false
}

var (
	hexDigits   = regexp.MustCompile(`^[0-9a-f]{8,64}$`)
	shortHash   = regexp.MustCompile(`^[A-Za-z0-9_-]{8}$`)
	capitalHash = regexp.MustCompile(`^[A-Z2-7]{8}$`)
	// words are what people write: overView, DataGrid, HTML5App, README12.
	words = regexp.MustCompile(`^[A-Za-z]?[a-z]*([A-Z][a-z]+)*[0-9]*$|^[A-Z]+[0-9]*([A-Z][a-z]+)*[0-9]*$`)
)

func isHexHash(s string) bool {
	return hexDigits.MatchString(s) && changes(s) >= 2 && strings.ContainsAny(s, "0123456789")
}

func isShortHash(s string) bool {
	switch {
	case words.MatchString(s) || !shortHash.MatchString(s):
		return false
	case capitalHash.MatchString(s):
		return changes(s) >= 2
	}
	return strings.ContainsFunc(s, unicode.IsUpper) && strings.ContainsFunc(s, unicode.IsLower) && changes(s) >= 3
}

// changes counts how often capitals, small letters, figures and other characters take turns: often in what was drawn, seldom
// in what was written.
func changes(s string) (n int) {
	class := func(c byte) int {
		switch {
		case 'a' <= c && c <= 'z':
			return 0
		case 'A' <= c && c <= 'Z':
			return 1
		case '0' <= c && c <= '9':
			return 2
		}
		return 3
	}
	for i := 1; i < len(s); i++ {
		if class(s[i]) != class(s[i-1]) {
			n++
		}
	}
	return n
}
