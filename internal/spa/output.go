package spa

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An output is a folder as it was looked at.
type output struct {
	info fs.FileInfo
	is   bool
}

// isOutput reports whether a folder holds what a build tool wrote and nothing else: every file in it may have a hash in its
// name, and one at least has one that nobody would take for words. Of the others there, index-DiwrgTda.js, it is a hash then,
// too. A folder is looked at again when it has changed.
func (f *folder) isOutput(dir string) bool {
	full := filepath.Join(f.dir, filepath.FromSlash(dir))
	info, err := os.Stat(full)
	if err != nil {
		return false
	}
	f.mu.RLock()
	known, ok := f.outputs[dir]
	f.mu.RUnlock()
	if ok && os.SameFile(known.info, info) && known.info.ModTime().Equal(info.ModTime()) {
		return known.is
	}
	is := onlyHashed(full)
	if time.Since(info.ModTime()) > settling {
		f.mu.Lock()
		f.outputs[dir] = output{info, is}
		f.mu.Unlock()
	}
	return is
}

// onlyHashed looks at the names in a folder.
func onlyHashed(full string) bool {
	entries, err := os.ReadDir(full)
	if err != nil {
		return false
	}
	certain := false
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() {
			continue
		}
		if ext := path.Ext(name); slices.ContainsFunc(codings, func(c coding) bool { return c.suffix == ext }) {
			name = strings.TrimSuffix(name, ext)
		}
		if !mayBeHashed(name) {
			return false
		}
		certain = certain || isHashed(name)
	}
	return certain
}
