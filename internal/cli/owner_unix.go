//go:build unix

package cli

import (
	"io/fs"
	"os"
	"syscall"
)

// sameOwner gives f the owner and group of another file: a command run as root must not take the secret away from the
// server's user.
func sameOwner(f *os.File, of fs.FileInfo) error {
	want, ok := of.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if got, ok := info.Sys().(*syscall.Stat_t); ok && got.Uid == want.Uid && got.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
