package cli_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar/internal/cli"
)

func TestOfManyFirstUsersAtOnceNoneFails(t *testing.T) {
	t.Chdir(t.TempDir())
	var wg sync.WaitGroup
	made := make([]string, 6)
	for i := range made {
		wg.Go(func() {
			name := fmt.Sprintf("user%d", i)
			code, stdout, stderr := cli.Run(goodPassword, nil, "users", "create", name, "--email", name+"@example.com", "--password-stdin")
			if made[i] = stdout; code != 0 {
				t.Errorf("%s: got %d %s", name, code, stderr)
			}
		})
	}
	wg.Wait()
	if all := strings.Join(made, ""); strings.Count(all, "made the secret") != 1 {
		t.Errorf("not one of them made the secret: %s", all)
	}
	tokenjarDo(t, "", "keys", "list") // it opens
}

func TestALockOfAnotherUserIsNotTakenForAnotherServer(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "x.db.lock", Err: fs.ErrPermission}
	if got := cli.LockHint(fmt.Errorf("lock database: %w", denied), "x.db"); !strings.Contains(got, "give x.db and the files beside it back") {
		t.Errorf("permission denied: got %q", got)
	}
	if got := cli.LockHint(errors.New("another server is using it"), "x.db"); !strings.HasPrefix(got, "stop the other one first") {
		t.Errorf("held: got %q", got)
	}
}

// That the name lasts when the power fails cannot be shown here; that the file is whole or not there can.
func TestAFileThatIsThereIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := cli.CreateFile(path, 0o600, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := cli.CreateFile(path, 0o600, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "first" {
		t.Errorf("got %q, %v", text, err)
	}
}
