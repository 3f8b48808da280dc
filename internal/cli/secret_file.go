package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

// A secretEdit changes a secret file so that it is the old one or the new one at any moment, also when the power fails:
// the new text is written beside it, flushed, and renamed over it, with the same owner and mode. The file beside it is
// the lock as well: two changes at once would lose a line, and with it everybody's sessions.
type secretEdit struct {
	path  string // of the file itself, links resolved
	temp  *os.File
	info  fs.FileInfo
	lines [][]byte
	done  bool

	secret tokenjar.Secret // as it was
}

// editSecret begins a change. The caller abandons it in the end, which does nothing after a commit.
func editSecret(path string) (_ *secretEdit, err error) {
	resolved, err := filepath.EvalSymlinks(path) // the link stays a link
	if err != nil {
		return nil, fmt.Errorf("change secret: %w", err)
	}
	e := &secretEdit{path: resolved}
	if e.info, err = os.Stat(resolved); err != nil {
		return nil, fmt.Errorf("change secret: %w", err)
	}
	if !e.info.Mode().IsRegular() {
		return nil, fmt.Errorf("change secret: %s is no regular file, so only whoever fills it can change it", path)
	}
	temp := resolved + ".new"
	e.temp, err = os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, withHint(fmt.Errorf("%s is there: the secret is being changed, or a change was interrupted", temp),
			"if no other command is at it, remove that file and try again; the secret itself is whole")
	case err != nil:
		return nil, fmt.Errorf("change secret: %w", err)
	}
	defer func() {
		if err != nil {
			e.abandon()
		}
	}()
	if e.secret, _, err = config.RereadSecret(resolved); err != nil { // only now: who held the lock may have changed it
		return nil, err
	}
	text, err := os.ReadFile(resolved)
	if err != nil {
		return nil, fmt.Errorf("change secret: %w", err)
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			e.lines = append(e.lines, line)
		}
	}
	return e, nil
}

// insert puts a fresh line at a place and returns its name.
func (e *secretEdit) insert(at int) (name string) {
	line := []byte(tokenjar.GenerateSecret())
	e.lines = append(e.lines[:at:at], append([][]byte{line}, e.lines[at:]...)...)
	return lineName(line)
}

// promote puts the line of a name first, and reports whether it was not.
func (e *secretEdit) promote(name string) (changed bool, err error) {
	for i, line := range e.lines {
		if lineName(line) != name {
			continue
		}
		rest := append(e.lines[:i:i], e.lines[i+1:]...)
		e.lines = append([][]byte{line}, rest...)
		return i > 0, nil
	}
	return false, withHint(fmt.Errorf("the secret has no line of the name %q", name),
		"tokenjar secret rotate --add adds one and prints its name")
}

// lineName is a public name of a line. Of a line that is random, as it must be, it tells nothing.
func lineName(line []byte) string {
	sum := sha256.Sum256(append([]byte("tokenjar secret line "), line...))
	return hex.EncodeToString(sum[:4])
}

// commit replaces the file.
func (e *secretEdit) commit() error {
	text := append(bytes.Join(e.lines, []byte("\n")), '\n')
	if len(text) > config.MaxSecret {
		return withHint(fmt.Errorf("change secret: %s would become larger than a secret may be", e.path),
			"remove the lines behind the first that are of no use any more")
	}
	_, err := tokenjar.ParseSecret(text)
	if err == nil {
		_, err = e.temp.Write(text)
	}
	if err := errors.Join(err, sameOwner(e.temp, e.info), e.temp.Chmod(e.info.Mode().Perm()), e.temp.Sync(), e.temp.Close()); err != nil {
		return fmt.Errorf("change secret: %w", err)
	}
	if err := os.Rename(e.temp.Name(), e.path); err != nil {
		return fmt.Errorf("change secret: %w", err)
	}
	e.done = true
	syncFolder(e.path)
	return nil
}

// abandon ends a change that is not to be.
func (e *secretEdit) abandon() {
	if e.done {
		return
	}
	e.temp.Close()
	os.Remove(e.temp.Name())
}
