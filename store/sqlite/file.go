package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
)

// applicationID stands in the header of our files ("tkjr"), so that another program's database is not taken for ours.
const applicationID = 0x746b6a72

// prepareFile sees to it that path is a file SQLite can open, and says precisely why not. It returns the absolute path.
//
// A database that does not exist yet is made under another name and then linked to its own: so nobody, not even a
// process that is killed half way, leaves an empty file there. An empty file is therefore never a new database. It is
// what is left of an old one, and starting afresh on it would be to lose all users without a word.
//
// The file is looked at with stat alone. To open and close it would drop the locks that this process may hold on it
// (https://sqlite.org/howtocorrupt.html, section 2.2).
func prepareFile(ctx context.Context, path string) (string, error) {
	if path == "" || path == ":memory:" {
		return "", errors.New("a database file is needed; package store/memory keeps everything in memory")
	}
	// One name for one file, however it is reached: the lock lies beside it, under that name.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return abs, createFile(ctx, abs)
	case err != nil:
		return "", err // names the path
	case info.IsDir():
		return "", fmt.Errorf("%s is a directory", abs)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", abs)
	case info.Size() == 0:
		return "", fmt.Errorf("%s is empty, which a database of ours never is: restore it from a backup, or remove it "+
			"to begin with a new one", abs)
	}
	return abs, nil
}

// createFile makes an empty database with our application id in WAL mode, readable by its owner only.
func createFile(ctx context.Context, path string) (err error) {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database %s, nor its directory", path)
	} else if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	temp := path + ".new-" + uuid.NewString()
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("there is no database %s, and it cannot be created: %w", path, err)
	}
	f.Close()
	defer os.Remove(temp)
	if err := writeHeader(ctx, temp); err != nil {
		return fmt.Errorf("create %s: %w", path, storeError("write header", err))
	}

	// Link fails when the name exists: then another process was faster, and its database is as good.
	err = os.Link(temp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = copyNew(temp, path) // a file system without hard links
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	// The name must survive a power failure as well as the sessions in it do. Not every system can flush a directory.
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
	return nil
}

func writeHeader(ctx context.Context, path string) error {
	c, err := dial(ctx, dsn(path, 0, false))
	if err != nil {
		return err
	}
	defer c.close()
	for _, query := range []string{
		fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
		`PRAGMA journal_mode = WAL`,
	} {
		if _, err := c.c.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return c.close()
}

func copyNew(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// Lock claims the database for one server: a lock of the operating system on a file beside it (path + ".lock"), which
// ends with the process however that ends. It fails when another server holds it. Open does not take it, so that the
// command line can work beside a running server.
func (s *Store) Lock() (release func() error, err error) {
	lock := flock.New(s.path+".lock", flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock database: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("another server is using %s (it holds %s)", s.path, lock.Path())
	}
	return lock.Close, nil
}
