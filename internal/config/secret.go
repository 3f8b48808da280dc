package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"github.com/tokenjar/tokenjar"
)

// MaxSecret is how large a secret file may be, in bytes.
const MaxSecret = 64 << 10

// Secret returns the secret: that of the environment if there is one, else that of the file. warning, when not empty,
// is a sentence for the operator.
func (l Loaded) Secret() (secret tokenjar.Secret, warning string, err error) {
	if l.secret != nil {
		return l.secret(), "", nil
	}
	return ReadSecret(l.SecretFile)
}

// SecretInEnvironment reports whether the secret is in the environment, so that no file is looked at.
func (l Loaded) SecretInEnvironment() bool { return l.secret != nil }

var secretLike = regexp.MustCompile(`^[A-Za-z0-9+/_=-]{32,}$`)

// looksLikeSecret reports whether a path is rather a secret that was put in its place: 32 characters or more as base64
// and hexadecimal have them, with a slash only among capitals, small letters and digits, and not in front.
func looksLikeSecret(path string) bool {
	return secretLike.MatchString(path) && (!strings.Contains(path, "/") ||
		path[0] != '/' && !strings.ContainsAny(path, "-_") && strings.ContainsAny(path, "0123456789") &&
			path != strings.ToLower(path) && path != strings.ToUpper(path))
}

// RereadSecret is [ReadSecret] for a file that lies there to be read again. It never waits: what has become a pipe or a
// device since is refused.
func RereadSecret(path string) (secret tokenjar.Secret, warning string, err error) {
	// Without the flag, opening a pipe waits for somebody to write. It changes nothing for a file.
	return readSecret(path, syscall.O_NONBLOCK, true)
}

// ReadSecret reads the secret file. Where files have permissions it refuses one that everybody can read or change, and
// warns of one that a group can. No error holds any of the secret; errors.Is finds fs.ErrNotExist.
func ReadSecret(path string) (secret tokenjar.Secret, warning string, err error) {
	return readSecret(path, 0, false)
}

func readSecret(path string, flag int, regular bool) (secret tokenjar.Secret, warning string, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|flag, 0)
	if err != nil {
		return secret, "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return secret, "", fmt.Errorf("read secret: %w", err)
	}
	if info.IsDir() {
		return secret, "", fmt.Errorf("read secret: %s is a directory", path)
	}
	if regular && !info.Mode().IsRegular() {
		return secret, "", fmt.Errorf("read secret: %s is no regular file", path)
	}
	// A pipe or a device has the permissions of whoever opened it.
	if mode := info.Mode(); runtime.GOOS != "windows" && mode.IsRegular() {
		switch {
		case mode.Perm()&0o006 != 0:
			return secret, "", fmt.Errorf("read secret: everybody on this machine can read or change %s: "+
				"run chmod 600 %s", path, path)
		case mode.Perm()&0o060 != 0:
			warning = fmt.Sprintf("the group of %s can read or change the secret: chmod 600 it, unless that is meant", path)
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSecret+1))
	if err != nil {
		return secret, "", fmt.Errorf("read secret: %w", err)
	}
	if len(text) > MaxSecret {
		return secret, "", errors.New("read secret: " + path + " is larger than 64 KiB, which no secret is")
	}
	if secret, err = tokenjar.ParseSecret(text); err != nil {
		return secret, "", fmt.Errorf("%s: %w", path, err)
	}
	return secret, warning, nil
}
