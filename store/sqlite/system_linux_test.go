package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// asNobody runs f on a thread whose file accesses are checked as those of nobody: the superuser may do everything, and
// tests often run as such.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		const nobody = 65534
		syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		f()
	})
	wg.Wait()
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestF06FilesThatCannotBeWrittenAreRefusedAtStart(t *testing.T) {
	for _, row := range []struct {
		name      string
		exists    bool
		file, dir os.FileMode
		want      string
	}{
		{"file is read-only", true, 0o444, 0o777, "read-only"},
		{"file is unreadable", true, 0o000, 0o777, "cannot be opened"},
		{"folder is read-only and the database missing", false, 0, 0o555, "cannot be created"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := dbPath(t)
			dir := filepath.Dir(path)
			chmod(t, filepath.Dir(dir), 0o755)
			if row.exists {
				closeStore(t, openAt(t, path, quiet(), tuning{}))
				chmod(t, path, row.file)
			}
			chmod(t, dir, row.dir)
			t.Cleanup(func() { os.Chmod(dir, 0o700) })
			asNobody(t, func() {
				s, err := Open(context.Background(), path, quiet())
				if err == nil {
					s.Close()
					t.Fatal("got no error")
				}
				if !strings.Contains(err.Error(), row.want) {
					t.Errorf("error: got %q, want %q in it", err, row.want)
				}
			})
		})
	}
}

func TestF05FullDiskSpendsNoTokenAndRecovers(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	path := filepath.Join(dir, "tokenjar.db")
	s := openAt(t, path, quiet(), tuning{})
	id := login(t, s)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: got %v, want %v", err, syscall.ENOSPC)
	}
	var err error
	last := int64(0) // the highest token that was acknowledged
	for n := int64(1); n < 200; n++ {
		// What is left of the log's last block may take a rotation or two.
		if _, err = s.Rotate(context.Background(), show(id, n)); err != nil {
			break
		}
		last = n
	}
	wantUnavailable(t, err)
	row, err := s.Session(context.Background(), id)
	if err != nil || row.Generation != last+1 || row.CurrentHash != hash(id, last+1) {
		t.Fatalf("row: got %+v and %v, want generation %d", row, err, last+1)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, s, id, last+1, tokenjar.OutcomeRotated)
	closeStore(t, s)
	integrity(t, path)
}
