package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar/internal/config"
)

// goodURLs are taken; the driver has to take them as well, and to read the same hosts and database in them.
var goodURLs = []struct {
	url, hosts, database string
}{
	{"postgres://ada@db.example.com/app?sslmode=verify-full", "db.example.com:5432", "app"},
	{"postgresql://ada:hunter2@db:6432/app", "db:6432", "app"},
	{"postgres://ada:hunt:er2%40@10.0.0.7/app", "10.0.0.7:5432", "app"},
	{"postgres://db1,db2:5433/app", "db1:5432 db2:5433", "app"},
	{"postgres://db_1:1,[::1]:2,[fe80::1]/app", "db_1:1 ::1:2 fe80::1:5432", "app"},
	{"postgres://db1,db2/app?port=7", "db1:7 db2:7", "app"},
	{"postgres:///app?host=db1,db2&port=1,2", "db1:1 db2:2", "app"},
	{"postgres://ada@/app?host=%2Ftmp%2Fsocket&port=6000", "/tmp/socket:6000", "app"},
	{"postgres://%2Frun%2Fpostgresql/a%2Fb", "/run/postgresql:5432", "a/b"},
	{"postgres://db?dbname=app", "db:5432", "app"},
	{"postgres://db/x?database=app&user=ada&password=hunter2", "db:5432", "app"},
	{"postgres://db/app?TimeZone=UTC&DateStyle=ISO&options=-c%20work_mem%3D8MB&application_name=a+b", "db:5432", "app"},
	{"postgres://db/app?pool_max_conns=8&pool_max_conn_lifetime=1h&connect_timeout=2&target_session_attrs=primary", "db:5432", "app"},
	{"postgres://db/app?ssl=true&sslsni=1&channel_binding=require&min_protocol_version=3.0", "db:5432", "app"},
}

func TestADatabaseURLIsReadAsTheDriverReadsIt(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGPORT", "PGDATABASE", "PGSSLMODE", "PGSERVICE"} {
		t.Setenv(name, "")
	}
	for _, row := range goodURLs {
		c := config.Defaults()
		c.Database = row.url
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", row.url, err)
		}
		hosts, database := config.ReadPostgres(row.url)
		driver, err := pgxpool.ParseConfig(row.url)
		if err != nil {
			t.Errorf("%s: the driver refuses it: %v", row.url, err)
			continue
		}
		conn := driver.ConnConfig
		theirs := []string{address(conn.Host, conn.Port)}
		for _, f := range conn.Fallbacks {
			if next := address(f.Host, f.Port); next != theirs[len(theirs)-1] { // the other of two attempts, with and without TLS
				theirs = append(theirs, next)
			}
		}
		if got := strings.Join(theirs, " "); got != row.hosts || hosts != row.hosts {
			t.Errorf("%s: hosts: the driver has %q, we have %q, want %q", row.url, got, hosts, row.hosts)
		}
		if conn.Database != row.database || database != row.database {
			t.Errorf("%s: database: the driver has %q, we have %q, want %q", row.url, conn.Database, database, row.database)
		}
	}
}

func address(host string, port uint16) string { return fmt.Sprintf("%s:%d", host, port) }

const (
	form       = "must be postgres://<user>@<host>/<database>, with what is special in a user or password written as %40 and so on"
	noDatabase = "names no database, and the server would take one that is called as the user: write postgres://<user>@<host>/<database>"
	badPort    = "the port is a number from 1 to 65535: write <host>:<port>, with what is special in a user or password written as %40 and so on"
	noPair     = " is not <name>=<value>: separate parameters by &, and write an & or a = within a value as %26 or %3D"
	settings   = " is no parameter of a database URL; a setting of the server is written as options=-c%20<name>%3D<value>"
)

func TestEveryMistakeOfADatabaseURLIsNamedAndNoPasswordIsShown(t *testing.T) {
	for url, want := range map[string]string{
		"postgres:ada:hunter2@db/x":                   form,
		"postgres://":                                 form,
		"postgres://ada:hunter2 @db/x":                form,
		"postgres://ada:hunter2#@db/x":                form,
		"postgres://ada:hunter2@er2@db/x":             form,
		"postgres://ada:hunter2/er2@db/x":             form,
		"postgres://ada:hunter2/er2?@db/x":            form,
		"postgres://db/x?password=hunter2@er2":        form,
		"postgres://ada:hunter2%@db/x":                "has a % that begins no escape: write it as %25",
		"postgres://ada:hunter2%00@db/x":              "has %00, which cannot stand there: remove it",
		"postgres://ada:hunter2@db/x?password=er2%zz": "has a % that begins no escape: write it as %25",
		"postgres://ada:hunter2@db":                   noDatabase,
		"postgres://ada:hunter2@db/":                  noDatabase,
		"postgres://ada:hunter2@db/?dbname=":          noDatabase,
		"postgres://ada:hunter2@db/x/":                "has a slash in the name of the database: write it as %2F, or remove it",
		"postgres://ada:hunter2/x":                    badPort, // of the host ada
		"postgres://ada:hunter2@db:hunter2/x":         badPort,
		"postgres://ada:hunter2@db:0/x":               badPort,
		"postgres://ada:hunter2@db:65536/x":           badPort,
		"postgres://ada:hunter2@db:+5432/x":           badPort,
		"postgres://ada:hunter2@a:1,b:x/x":            badPort,
		"postgres://:5432/x":                          "names a port and no host: write the host before it, as localhost",
		"postgres://ada:hunter2@:5432/x":              "names a port and no host: write the host before it, as localhost",
		"postgres://a,,b/x":                           "host 2 of 3 is empty: remove a comma, or name it",
		"postgres://a,b/x?port=1,2,3":                 "has 3 ports for 2 hosts: write one for all, or one for each",
		"postgres://ada;hunter2/x":                    "host 1 is no name, no address and no folder of a socket, as %2Frun%2Fpostgresql",
		"postgres://[::1/x":                           "what stands in brackets must be an IPv6 address: write [::1]:5432",
		"postgres://[hunter2]/x":                      "what stands in brackets must be an IPv6 address: write [::1]:5432",
		"postgres://[::1]5432/x":                      "what stands in brackets must be an IPv6 address: write [::1]:5432",

		"postgres://db/x?sslmod=verify-full":                "sslmod is no parameter of a database URL; did you mean sslmode?",
		"postgres://db/x?SSLMODE=verify-full":               "SSLMODE is no parameter of a database URL; did you mean sslmode?",
		"postgres://db/x?work_memory_of_all=1":              "work_memory_of_all" + settings,
		"postgres://db/x?hostaddr=10.0.0.1":                 "hostaddr is a parameter of libpq that this program does not have: remove it",
		"postgres://db/x?replication=database":              "replication is a parameter of libpq that this program does not have: remove it",
		"postgres://db/x?hunter2":                           "parameter 1" + noPair,
		"postgres://db/x?user=ada;password=hunter2":         "parameter 1" + noPair,
		"postgres://db/x?sslmode=require&":                  "parameter 2" + noPair,
		"postgres://db/x?password=a&hunter2=b":              "parameter 2" + settings, // a password with an & in it
		"postgres://db/x?pass%77ord=a&hunter2=b":            "parameter 2" + settings,
		"postgres://db/x?PASSWORD=a&hunter2=b":              "PASSWORD is no parameter of a database URL; did you mean password?\nparameter 2" + settings,
		"postgres://db/x?sslmode=verify-full&sslmode=allow": "sslmode stands there twice: keep one",
		"postgres://db/x?dbname=a&database=b":               "database stands there twice: keep one",
		"postgres://db/x?ssl=true&sslmode=allow":            "has both ssl and sslmode: keep sslmode",
		"postgres://db/x?sslmode=hunter2":                   "sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
		"postgres://db/x?sslmode=":                          "sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
		"postgres://db/x?target_session_attrs=any":          "target_session_attrs must be read-write or primary, since a standby does not know yet what has just ended: remove it",
		"postgres://db/x?default_query_exec_mode=exec":      "default_query_exec_mode cannot be chosen: remove it",
		"postgres://db/x?pool_max_conns=0":                  "pool_max_conns must be a number, 1 or more",
		"postgres://db/x?connect_timeout=2s":                "connect_timeout must be a number, 0 or more",
		"postgres://db/x?pool_max_conn_lifetime=60":         "pool_max_conn_lifetime must be a duration, as 30s, 5m or 1h",
		"postgres://db:x?sslmode=1&pool_max_conns=many": "sslmode must be disable, allow, prefer, require, verify-ca or verify-full\n" +
			"pool_max_conns must be a number, 1 or more\n" + noDatabase + "\n" + badPort,
	} {
		_, err := config.Load(config.Source{NoFile: true, Environ: []string{"TOKENJAR_DATABASE=" + url}})
		if err == nil {
			t.Errorf("%s: accepted", url)
			continue
		}
		const place = "TOKENJAR_DATABASE: database: "
		got := strings.ReplaceAll("\n"+err.Error(), "\n"+place, "\n")[1:]
		if got != want {
			t.Errorf("%s:\ngot:\n%s\nwant:\n%s", url, got, want)
		}
		if strings.Contains(err.Error(), "er2") { // with which every password here ends
			t.Errorf("%s: a password is shown: %v", url, err)
		}
	}
}

func TestAServiceFileMayNameTheDatabase(t *testing.T) {
	for _, url := range []string{"postgres:///?service=app", "postgres://ada@:5432?service=app"} {
		c := config.Defaults()
		c.Database = url
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if got := c.Warnings(); len(got) > 0 {
			t.Errorf("%s: got %q, though the file may say verify-full", url, got)
		}
	}
}

func TestAConnectionThatOthersCanReadIsWarnedOf(t *testing.T) {
	for _, row := range []struct {
		url  string
		env  string
		want string // host and mode
	}{
		{url: "postgres://ada@db.example.com/x", want: "db.example.com is not safe with sslmode prefer"},
		{url: "postgres://ada@db/x?sslmode=disable", want: "db is not safe with sslmode disable"},
		{url: "postgres://ada@db/x?sslmode=allow", want: "db is not safe with sslmode allow"},
		{url: "postgres://ada@db/x?sslmode=prefer", want: "db is not safe with sslmode prefer"},
		{url: "postgres://ada@10.0.0.7/x", want: "10.0.0.7 is not safe with sslmode prefer"},
		{url: "postgres://ada@[2001:db8::1]/x", want: "2001:db8::1 is not safe with sslmode prefer"},
		{url: "postgres://localhost,db2/x", want: "db2 is not safe with sslmode prefer"},
		{url: "postgres://localhost/x?host=db", want: "db is not safe with sslmode prefer"},
		{url: "postgres://localhost.example.com/x", want: "localhost.example.com is not safe with sslmode prefer"},
		{url: "postgres://db/x?sslrootcert=ca.pem", want: "db is not safe with sslmode prefer"},
		{url: "postgres://db/x?sslmode=allow&sslnegotiation=direct", want: "db is not safe with sslmode allow"},
		{url: "postgres://db/x?sslmode=disable&service=app", want: "db is not safe with sslmode disable"},
		{url: "postgres://db/x", env: "disable", want: "db is not safe with sslmode disable"},
		{url: "postgres://db/x?sslmode=allow", env: "verify-full", want: "db is not safe with sslmode allow"},

		{url: "postgres://db/x", env: "verify-full"},
		{url: "postgres://db/x?sslmode=require"},
		{url: "postgres://db/x?sslmode=verify-ca"},
		{url: "postgres://db/x?sslmode=verify-full"},
		{url: "postgres://db/x?ssl=true"},
		{url: "postgres://db/x?sslrootcert=system"},
		{url: "postgres://db/x?sslnegotiation=direct"},
		{url: "postgres://localhost/x"},
		{url: "postgres://LOCALHOST/x?sslmode=disable"},
		{url: "postgres://127.0.0.1,[::1]:5433/x"},
		{url: "postgres:///x"},
		{url: "postgres://%2Frun%2Fpostgresql/x"},
		{url: "postgres://ada@db/x?host=/tmp"},
	} {
		l, err := config.Load(config.Source{NoFile: true, Environ: []string{"PGSSLMODE=" + row.env, "TOKENJAR_DATABASE=" + row.url}})
		if err != nil {
			t.Errorf("%s: %v", row.url, err)
			continue
		}
		got := strings.Join(l.Warnings, "\n")
		want := ""
		if row.want != "" {
			want = "database: the connection to " + row.want + ": whoever is on the way can read and change the password and the sessions; " +
				"use sslmode=verify-full"
		}
		if got != want {
			t.Errorf("%s, PGSSLMODE=%s:\ngot:  %s\nwant: %s", row.url, row.env, got, want)
		}
	}
}

func TestAGraceThatIsShorterThanTheDatabaseMayTakeIsWarnedOf(t *testing.T) {
	const want = "session.grace (4s) is shorter than a refresh may wait for PostgreSQL (5s): one of two tabs that refresh at once may " +
		"come too late and end the session, as a copied token would; use 5s or more"
	for _, row := range []struct{ database, grace, want string }{
		{"postgres:///app", "4s", want},
		{"postgres:///app", "5s", ""},
		{"sqlite:tokenjar.db", "4s", ""},
	} {
		l, err := config.LoadText(config.Source{}, "tokenjar.yaml", "database: \""+row.database+"\"\nsession: {grace: "+row.grace+"}\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(l.Warnings, "\n"); got != row.want {
			t.Errorf("%s, %s: got %q, want %q", row.database, row.grace, got, row.want)
		}
	}
	l, err := config.LoadText(config.Source{}, "tokenjar.yaml", "database: \"postgres:///app\"\nsession: {grace: 0}\n")
	if err != nil || len(l.Warnings) != 1 { // that renewal is off, which is another matter
		t.Errorf("no grace: got %q and %v", l.Warnings, err)
	}
}
