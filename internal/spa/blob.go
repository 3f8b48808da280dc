package spa

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	maxInMemory = 8 << 20  // bytes of a file that is kept; larger ones are read from the folder each time
	maxKept     = 64 << 20 // bytes of all that is kept
	minGzip     = 1 << 10  // bytes of a file that is worth to be made smaller

	// settling is how long ago a file must have been written for its time and size to tell whether it is still the same: a
	// deployment that is under way writes a file more than once, and clocks of file systems tick slowly.
	settling = 2 * time.Second
)

// A blob is one file as it was read: its bytes and what is said of them.
type blob struct {
	info    fs.FileInfo
	began   time.Time // when reading began
	settled bool      // it may be taken for unchanged as long as info is
	body    []byte    // nil of a large file
	tag     string    // strong: made of all its bytes
	policy  string    // of a page

	once   sync.Once
	packed *blob // body by gzip; nil when that is not worth it
	extra  int64 // bytes of packed, as far as they are counted
}

// same reports whether a file is, as far as its folder tells, what was read. One that has not settled may be another by now,
// so it does for requests that came before it was read, and were waiting.
func (b *blob) same(info fs.FileInfo, since time.Time) bool {
	return (b.settled || b.began.After(since)) && os.SameFile(b.info, info) && b.info.Size() == info.Size() && b.info.ModTime().Equal(info.ModTime())
}

// errChanging says that a file did not hold still while it was read.
var errChanging = errors.New("spa: the file is being written")

// A folder reads files and keeps what it has read, within bounds. It is safe for concurrent use.
type folder struct {
	dir    string
	most   int64                                 // bytes that are kept
	policy func(name string, page []byte) string // of pages

	seed  maphash.Seed
	loads [16]sync.Mutex // one load of a name at a time

	mu      sync.RWMutex
	kept    map[string]*blob
	used    int64             // bytes
	outputs map[string]output // by folder; as many as there are
}

func newFolder(dir string, policy func(string, []byte) string) *folder {
	return &folder{dir: dir, most: maxKept, policy: policy, seed: maphash.MakeSeed(), kept: map[string]*blob{}, outputs: map[string]output{}}
}

// stat returns what is known of a regular file, [fs.ErrNotExist] if there is none of that name. It may lie outside, where a
// symbolic link leads: only [folder.read] says what is served.
func (f *folder) stat(name string) (fs.FileInfo, error) {
	info, err := os.Stat(filepath.Join(f.dir, filepath.FromSlash(name)))
	return regular(info, err)
}

func regular(info fs.FileInfo, err error) (fs.FileInfo, error) {
	switch {
	case err != nil && (errors.Is(err, fs.ErrPermission) || isExhausted(err)):
		return nil, err
	case err != nil: // also a file in place of a folder, a name too long, a link that leads out
		return nil, fs.ErrNotExist
	case !info.Mode().IsRegular(): // folders; and pipes, on which a reader waits
		return nil, fs.ErrNotExist
	}
	return info, nil
}

// get returns a file, read anew if it has changed.
func (f *folder) get(name string) (*blob, error) {
	since := time.Now()
	info, err := f.stat(name)
	if err != nil {
		return nil, err
	}
	if b := f.look(name, info, since); b != nil {
		return b, nil
	}
	load := &f.loads[maphash.String(f.seed, name)%uint64(len(f.loads))]
	load.Lock()
	defer load.Unlock()
	if b := f.look(name, info, since); b != nil { // read by another request meanwhile
		return b, nil
	}
	for range 3 {
		b, err := f.read(name)
		if err == errChanging {
			continue
		}
		if err == nil {
			f.keep(name, b)
		}
		return b, err
	}
	return nil, errChanging
}

func (f *folder) look(name string, info fs.FileInfo, since time.Time) *blob {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if b := f.kept[name]; b != nil && b.same(info, since) {
		return b
	}
	return nil
}

// read reads a file as a whole.
func (f *folder) read(name string) (*blob, error) {
	began := time.Now()
	file, before, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := &blob{info: before, began: began, settled: began.Sub(before.ModTime()) > settling}
	hash := sha256.New()
	var n int64
	if before.Size() <= maxInMemory {
		if b.body, err = io.ReadAll(io.LimitReader(file, before.Size()+1)); err != nil {
			return nil, err
		}
		hash.Write(b.body)
		n = int64(len(b.body))
	} else if n, err = io.Copy(hash, file); err != nil {
		return nil, err
	}
	after, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if n != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, errChanging
	}
	b.tag = tag(hash.Sum(nil))
	if kindOf(name).mime == htmlType && b.body != nil {
		b.policy = f.policy(name, b.body)
	}
	return b, nil
}

// open opens a regular file below the folder as that is now: it may have been replaced by another of its name.
func (f *folder) open(name string) (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	name = filepath.FromSlash(name)
	if _, err := regular(root.Stat(name)); err != nil { // before it is opened: see there
		return nil, nil, err
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := regular(file.Stat())
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// tag returns a strong entity tag (RFC 9110, section 8.8.3) of a hash.
func tag(sum []byte) string { return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"` }

// gzip returns a file packed, nil when that does not make it smaller. It is made once for each content.
func (f *folder) gzip(name string, b *blob) *blob {
	b.once.Do(func() {
		if len(b.body) < minGzip {
			return
		}
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(b.body)
		w.Close()
		if out.Len() > len(b.body)*9/10 {
			return
		}
		sum := sha256.Sum256(out.Bytes())
		b.packed = &blob{body: bytes.Clone(out.Bytes()), tag: tag(sum[:]), settled: b.settled}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.kept[name] == b {
			b.extra = int64(out.Len())
			f.used += b.extra
			f.shrink()
		}
	})
	return b.packed
}

// keep remembers a file in place of what was known of its name.
func (f *folder) keep(name string, b *blob) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(name)
	f.kept[name] = b
	f.used += b.cost()
	f.shrink()
}

// cost is what is counted for a blob: its bytes, and something for what is around them.
func (b *blob) cost() int64 { return int64(len(b.body)) + b.extra + 1<<10 }

func (f *folder) forget(name string) {
	if b := f.kept[name]; b != nil {
		f.used -= b.cost()
		delete(f.kept, name)
	}
}

// shrink forgets files, whichever, until the others are within the bound.
func (f *folder) shrink() {
	for name := range f.kept {
		if f.used <= f.most {
			return
		}
		f.forget(name)
	}
}

// isExhausted reports whether an error says nothing of a file but of this machine.
func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EIO)
}
