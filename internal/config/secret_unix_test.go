//go:build unix

package config_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func TestASecretThatBecameAPipeIsRefusedWithoutWaiting(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	if _, _, err := config.RereadSecret("pipe"); err == nil || err.Error() != "read secret: pipe is no regular file" {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile("file", []byte(tokenjar.GenerateSecret()), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, _, err := config.RereadSecret("file"); err != nil || s.IsZero() {
		t.Errorf("a file: got %v", err)
	}
}
