//go:build unix

package cli_test

import (
	"os"
	"syscall"
	"testing"
)

func TestTheSecretStaysWithItsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	t.Chdir(t.TempDir())
	tokenjarDo(t, goodPassword, "users", "create", "ada", "--email", "ada@example.com", "--password-stdin")
	if err := os.Chown("tokenjar.secret", 12345, 54321); err != nil {
		t.Skipf("this file system has no owners: %v", err)
	}
	tokenjarDo(t, "", "secret", "rotate")
	info, err := os.Stat("tokenjar.secret")
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 12345 || s.Gid != 54321 || info.Mode().Perm() != 0o600 {
		t.Errorf("it belongs to %d:%d and has mode %v", s.Uid, s.Gid, info.Mode())
	}
}
