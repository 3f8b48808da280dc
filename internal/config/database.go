package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const sqliteScheme = "sqlite:"

func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres:") || strings.HasPrefix(database, "postgresql:")
}

// checkDatabase reports why a text names no database; several errors are joined.
func checkDatabase(s string) error {
	path, isSQLite := strings.CutPrefix(s, sqliteScheme)
	switch {
	case isPostgres(s): // not shown: may hold a password
		_, err := parsePostgres(s)
		return err
	case !isSQLite:
		return errors.New("must be sqlite:<path>, as sqlite:tokenjar.db, or postgres://<user>@<host>/<database>")
	case path == "" || strings.HasSuffix(path, "/"):
		return errors.New("names no file: write sqlite:<path>, as sqlite:tokenjar.db")
	case strings.Contains(path, ":memory:"):
		return errors.New("must be a file: sessions and users would be gone at every restart")
	case strings.HasPrefix(path, "//"), strings.HasPrefix(path, "file:"), strings.Contains(path, "?"):
		return fmt.Errorf("%s is no plain path: write sqlite:tokenjar.db, or sqlite:/var/lib/tokenjar/tokenjar.db", shown(s))
	}
	return nil
}

// hidden stands where a password was.
const hidden = "[hidden]"

// hidePassword returns a database URL without its password. It looks at the text alone, and hides rather too much: a URL that
// is not well formed may be printed as well, and its password may hold what should have been escaped.
func hidePassword(database string) string {
	if !isPostgres(database) {
		return database
	}
	secret := make([]bool, len(database))
	hide := func(from, to int) {
		for i := from; i < to; i++ {
			secret[i] = true
		}
	}
	begin := strings.Index(database, ":") + 1
	begin += len(database[begin:]) - len(strings.TrimLeft(database[begin:], "/"))
	at := strings.LastIndex(database, "@")
	if colon := firstColon.FindStringIndex(database[begin:]); colon != nil {
		hide(begin+colon[1], at)
	}
	for _, found := range passwordParameter.FindAllStringSubmatchIndex(database, -1) {
		hide(found[2], found[3])
	}
	var b strings.Builder
	for i, c := range []byte(database) {
		switch {
		case !secret[i]:
			b.WriteByte(c)
		case !secret[i-1]:
			b.WriteString(hidden)
		}
	}
	return b.String()
}

// firstColon finds what separates a user from a password, also where somebody has escaped it.
var firstColon = regexp.MustCompile(`(?i):|%3a`)

// passwordParameter finds the value of a parameter that is a password, or whose name is escaped. A semicolon separates
// nothing, so what stands behind one may be meant as another parameter.
var passwordParameter = regexp.MustCompile(`(?i)[?&;][^=&;]*(?:pass|%)[^=&;]*=([^&]+)`)
