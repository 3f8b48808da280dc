package postgres

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// What the environment asks for is refused as it is in the DSN, and a DSN that says better overrules it.
func TestTheEnvironmentCannotAskForAStandby(t *testing.T) {
	dsn := pgtest.Schema(t)
	for _, attrs := range []string{"any", "standby", "prefer-standby", "read-only"} {
		t.Setenv("PGTARGETSESSIONATTRS", attrs)
		s, err := Open(t.Context(), dsn, quiet())
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", attrs)
		} else if !strings.Contains(err.Error(), "PGTARGETSESSIONATTRS") {
			t.Errorf("%s: got %q", attrs, err)
		}
		openAt(t, pgtest.With(dsn, "target_session_attrs", "primary"), quiet(), tuning{})
	}
	for _, attrs := range []string{"read-write", "primary", ""} {
		t.Setenv("PGTARGETSESSIONATTRS", attrs)
		openAt(t, dsn, quiet(), tuning{})
	}
}

// A wire is a connection as far as it is looked at.
type wire struct {
	net.Conn
	server net.Addr
}

func (w wire) RemoteAddr() net.Addr { return w.server }

func TestOnlyAConnectionThatCanBeReadIsWarnedOf(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5432} }
	for _, row := range []struct {
		name, dsn string
		conn      net.Conn
		warned    bool
	}{
		{"another machine", "postgres://db/x", wire{server: tcp("192.0.2.7")}, true},
		{"another machine, of IPv6", "postgres://db/x?sslmode=prefer", wire{server: tcp("2001:db8::1")}, true},
		{"with TLS", "postgres://db/x", tls.Client(wire{server: tcp("192.0.2.7")}, &tls.Config{ServerName: "db"}), false},
		{"without TLS, on purpose", "postgres://db/x?sslmode=disable", wire{server: tcp("192.0.2.7")}, false},
		{"this machine", "postgres://localhost/x", wire{server: tcp("127.0.0.1")}, false},
		{"this machine, of IPv6", "postgres://localhost/x", wire{server: tcp("::1")}, false},
		{"a socket", "postgres:///x", wire{server: &net.UnixAddr{Name: "/tmp/.s.PGSQL.5432", Net: "unix"}}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log bytes.Buffer
			warnIfReadable(row.dsn, row.conn, slog.New(slog.NewTextHandler(&log, nil)))
			if warned := strings.Contains(log.String(), "is not encrypted"); warned != row.warned {
				t.Errorf("got %q, want a warning: %v", log.String(), row.warned)
			}
		})
	}
}

// The environment alone decides here: nothing in the DSN says how to connect.
func TestAServerThatIsReachedInClearIsWarnedOfAtTheStart(t *testing.T) {
	own := ownAddress(t)
	folder, err := os.MkdirTemp("", "pghba") // not t.TempDir, which the server's user may not read
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	hba := filepath.Join(folder, "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("local all all trust\nhost all all all scram-sha-256\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	server := pgtest.StartWith(t, pgtest.Options{Settings: map[string]string{"listen_addresses": "*", "hba_file": hba}})
	_, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		host, mode string
		warned     bool
	}{{own, "disable", true}, {own, "prefer", true}, {"127.0.0.1", "disable", false}} {
		t.Setenv("PGHOST", row.host)
		t.Setenv("PGSSLMODE", row.mode)
		var log bytes.Buffer
		openAt(t, fmt.Sprintf("postgres://postgres:%s@/postgres?port=%s", pgtest.Password, port),
			Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, tuning{})
		if warned := strings.Contains(log.String(), "is not encrypted"); warned != row.warned || strings.Contains(log.String(), pgtest.Password) {
			t.Errorf("PGHOST=%s PGSSLMODE=%s: got %q, want a warning: %v", row.host, row.mode, log.String(), row.warned)
		}
	}
}

// ownAddress is one of this machine that is no loopback address.
func ownAddress(t *testing.T) string {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil && !network.IP.IsLoopback() {
			return network.IP.String()
		}
	}
	t.Skip("this machine has no address but its loopback ones")
	return ""
}
