package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A URL of a PostgreSQL is read here as the driver reads it (libpq's connection URIs,
// https://www.postgresql.org/docs/current/libpq-connect.html), which net/url does not: there may be several hosts, each
// with a port. The driver takes what it does not know for a setting of the server, so a misspelt sslmode would be found by
// the server alone, over a connection that was made without it.
//
// Nothing of the URL is shown but names of parameters: where a password has a character that should have been escaped,
// any part of the rest may belong to it.

// A postgresURL is what a database URL says.
type postgresURL struct {
	hosts      []string // an empty one is the driver's choice: PGHOST, a socket of this machine, or localhost
	ports      []string // one for all hosts, or one for each
	database   string
	parameters map[string]string
}

var (
	errPostgresForm = errors.New("must be postgres://<user>@<host>/<database>, with what is special in a user or password " +
		"written as %40 and so on")
	errEscape = errors.New("has a % that begins no escape: write it as %25")
)

// parsePostgres reads a database URL and names everything that is wrong with it.
func parsePostgres(s string) (u postgresURL, err error) {
	rest, found := strings.CutPrefix(s, "postgres://")
	if !found {
		rest, found = strings.CutPrefix(s, "postgresql://")
	}
	if !found || rest == "" || strings.ContainsAny(rest, " #") {
		return u, errPostgresForm
	}
	hosts := rest
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		if _, err := unescape(rest[:i]); err != nil {
			return u, err
		}
		hosts = rest[i+1:]
	}
	if strings.Contains(hosts, "@") { // one that belongs to a user or a password
		return u, errPostgresForm
	}
	hosts, query, _ := strings.Cut(hosts, "?")
	hosts, database, _ := strings.Cut(hosts, "/")
	if strings.Contains(database, "/") {
		return u, errors.New("has a slash in the name of the database: write it as %2F, or remove it")
	}
	if u.database, err = unescape(database); err != nil {
		return u, err
	}
	if err := u.setHosts(hosts); err != nil {
		return u, err
	}
	wrong := u.setParameters(query)
	if u.parameters["service"] == "" && u.database == "" {
		wrong = append(wrong, errors.New("names no database, and the server would take one that is called as the user: write "+
			"postgres://<user>@<host>/<database>"))
	}
	return u, errors.Join(append(wrong, u.checkHosts()...)...)
}

// setHosts takes hosts and ports as they stand before the path.
func (u *postgresURL) setHosts(list string) error {
	for item := range strings.SplitSeq(list, ",") {
		var host, port string
		if inside, ok := strings.CutPrefix(item, "["); ok {
			address, after, ok := strings.Cut(inside, "]")
			if addr, err := netip.ParseAddr(address); !ok || err != nil || !addr.Is6() || after != "" && after[0] != ':' {
				return errors.New("what stands in brackets must be an IPv6 address: write [::1]:5432")
			}
			host, port = address, strings.TrimPrefix(after, ":")
		} else {
			host, port, _ = strings.Cut(item, ":")
		}
		host, badHost := unescape(host)
		port, badPort := unescape(port)
		if err := cmp.Or(badHost, badPort); err != nil {
			return err
		}
		u.hosts, u.ports = append(u.hosts, host), append(u.ports, port)
	}
	return nil
}

// checkHosts reports hosts and ports that cannot be connected to, or are probably not meant.
func (u *postgresURL) checkHosts() (wrong []error) {
	if len(u.ports) != 1 && len(u.ports) != len(u.hosts) {
		wrong = append(wrong, fmt.Errorf("has %d ports for %d hosts: write one for all, or one for each", len(u.ports), len(u.hosts)))
	}
	for i, host := range u.hosts {
		switch {
		case host == "" && len(u.hosts) > 1:
			wrong = append(wrong, fmt.Errorf("host %d of %d is empty: remove a comma, or name it", i+1, len(u.hosts)))
		case host == "" && u.ports[0] != "" && u.parameters["service"] == "":
			wrong = append(wrong, errors.New("names a port and no host: write the host before it, as localhost"))
		case host != "" && !strings.HasPrefix(host, "/") && !databaseHost.MatchString(host):
			if _, err := netip.ParseAddr(host); err != nil {
				wrong = append(wrong, fmt.Errorf("host %d is no name, no address and no folder of a socket, as %%2Frun%%2Fpostgresql", i+1))
			}
		}
	}
	for _, port := range u.ports {
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return append(wrong, errors.New("the port is a number from 1 to 65535: write <host>:<port>, with what is special in "+
				"a user or password written as %40 and so on"))
		}
	}
	return wrong
}

// databaseHost is a name of a host. Some networks of containers have underscores in theirs.
var databaseHost = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$`)

// setParameters takes what stands behind the question mark.
func (u *postgresURL) setParameters(query string) (wrong []error) {
	u.parameters = make(map[string]string)
	if query == "" {
		return nil
	}
	tellable := true // until the rest may be of a password
	for i, pair := range strings.Split(query, "&") {
		key, value, found := strings.Cut(pair, "=")
		name, err := unescape(key)
		if err == nil {
			value, err = unescape(value)
		}
		told := fmt.Sprintf("parameter %d", i+1)
		if tellable && parameterName.MatchString(name) {
			told = name
		}
		key = canonical(name)
		want, known := postgresParameters[key]
		_, twice := u.parameters[key]
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case !found || strings.Count(pair, "=") > 1:
			wrong = append(wrong, fmt.Errorf("parameter %d is not <name>=<value>: separate parameters by &, and write an & or a = within a "+
				"value as %%26 or %%3D", i+1))
		case slices.Contains(libpqOnly, name):
			wrong = append(wrong, fmt.Errorf("%s is a parameter of libpq that this program does not have: remove it", told))
		case !known:
			wrong = append(wrong, unknownParameter(told, name))
		case twice:
			wrong = append(wrong, fmt.Errorf("%s stands there twice: keep one", told))
		case want.ok != nil && !want.ok(value):
			wrong = append(wrong, fmt.Errorf("%s %s", told, want.must))
		}
		tellable = tellable && known && !strings.HasSuffix(name, "password")
		u.parameters[key] = value
	}
	if name, ok := u.parameters["database"]; ok {
		u.database = name
	}
	if list, ok := u.parameters["host"]; ok {
		u.hosts = strings.Split(list, ",")
	}
	if list, ok := u.parameters["port"]; ok {
		u.ports = strings.Split(list, ",")
	} else if strings.Join(u.ports, "") == "" {
		u.ports = []string{""}
	}
	_, ssl := u.parameters["ssl"]
	if _, mode := u.parameters["sslmode"]; ssl && mode {
		wrong = append(wrong, errors.New("has both ssl and sslmode: keep sslmode"))
	}
	return wrong
}

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,62}$`)

func unknownParameter(told, name string) error {
	guess := ""
	if told == name {
		guess = suggest(name, postgresNames)
	}
	if guess == "" {
		guess = "; a setting of the server is written as options=-c%20<name>%3D<value>"
	}
	return fmt.Errorf("%s is no parameter of a database URL%s", told, guess)
}

// unescape decodes %40 and so on. A plus is a plus.
func unescape(s string) (string, error) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return "", errEscape // the error of net/url shows what stands there
	}
	if strings.Contains(text, "\x00") {
		return "", errors.New("has %00, which cannot stand there: remove it")
	}
	return text, nil
}

// A parameter is what the driver knows by a name. Without ok any text will do.
type parameter struct {
	must string
	ok   func(string) bool
}

func oneOf(values ...string) parameter {
	last := len(values) - 1
	list := values[last]
	if last > 0 {
		list = strings.Join(values[:last], ", ") + " or " + list
	}
	return parameter{"must be " + list, func(s string) bool { return slices.Contains(values, s) }}
}

func atLeast(least int64) parameter {
	return parameter{fmt.Sprintf("must be a number, %d or more", least), func(s string) bool {
		n, err := strconv.ParseInt(s, 10, 32)
		return err == nil && n >= least
	}}
}

var (
	anyText    = parameter{}
	goDuration = parameter{"must be a duration, as 30s, 5m or 1h", func(s string) bool {
		d, err := time.ParseDuration(s)
		return err == nil && d >= 0
	}}
	protocol = oneOf("3.0", "3.2", "latest")
	// A server that is asked for by other words may be a standby, which does not know yet what has just ended.
	primary = parameter{"must be read-write or primary, since a standby does not know yet what has just ended: remove it",
		oneOf("read-write", "primary").ok}
	chosen = parameter{"cannot be chosen: remove it", oneOf("cache_statement").ok}
)

// postgresParameters are those of the driver, github.com/jackc/pgx/v5, of its pool, and those settings of a server that
// make sense for all connections of a program; further ones go through options.
var postgresParameters = map[string]parameter{
	"host": anyText, "port": anyText, "database": anyText, "user": anyText,
	"password": anyText, "passfile": anyText, "service": anyText, "servicefile": anyText,
	"connect_timeout": atLeast(0), "target_session_attrs": primary, "require_auth": anyText,
	"sslmode": oneOf("disable", "allow", "prefer", "require", "verify-ca", "verify-full"), "ssl": oneOf("true"),
	"sslkey": anyText, "sslcert": anyText, "sslrootcert": anyText, "sslpassword": anyText,
	"sslcertmode": oneOf("disable", "allow", "require"), "sslnegotiation": oneOf("postgres", "direct"), "sslsni": oneOf("0", "1"),
	"channel_binding": oneOf("disable", "prefer", "require"), "krbsrvname": anyText, "krbspn": anyText,
	"min_protocol_version": protocol, "max_protocol_version": protocol,

	"default_query_exec_mode": chosen, "statement_cache_capacity": atLeast(0), "description_cache_capacity": atLeast(0),
	"pool_max_conns": atLeast(1), "pool_min_conns": atLeast(0), "pool_min_idle_conns": atLeast(0),
	"pool_max_conn_lifetime": goDuration, "pool_max_conn_lifetime_jitter": goDuration, "pool_max_conn_idle_time": goDuration,
	"pool_health_check_period": goDuration, "pool_ping_timeout": goDuration,

	"application_name": anyText, "search_path": anyText, "options": anyText, "role": anyText, "synchronous_commit": anyText,
	"client_encoding": anyText, "timezone": anyText, "datestyle": anyText, "intervalstyle": anyText, "work_mem": anyText,
	"statement_timeout": anyText, "lock_timeout": anyText, "idle_in_transaction_session_timeout": anyText,
	"idle_session_timeout": anyText, "client_connection_check_interval": anyText, "tcp_user_timeout": anyText,
	"tcp_keepalives_idle": anyText, "tcp_keepalives_interval": anyText, "tcp_keepalives_count": anyText,
}

// libpqOnly are parameters that the driver would pass on to the server, which refuses them or, as of replication, gives
// another kind of connection.
var libpqOnly = []string{
	"hostaddr", "fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
	"replication", "gssencmode", "gsslib", "gssdelegation", "requiressl", "requirepeer", "sslcompression", "sslcrl", "sslcrldir",
	"ssl_min_protocol_version", "ssl_max_protocol_version", "load_balance_hosts", "sslkeylogfile",
}

// postgresNames are the names in their order, for a guess that is the same each time.
var postgresNames = func() (names []string) {
	for name := range postgresParameters {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}()

// canonical is the name under which a parameter is known. To the server case says nothing, to the driver it does, and libpq's
// dbname is its database.
func canonical(name string) string {
	if name == "dbname" {
		return "database"
	}
	switch lower := strings.ToLower(name); lower {
	case "timezone", "datestyle", "intervalstyle":
		return lower
	}
	return name
}

// readable returns a host to which the connection goes over a network and need not be encrypted, with the sslmode that
// leaves it so; usual is what counts where the URL has none (PGSSLMODE). Empty: there is none, as far as the URL tells.
// What a service file says, and PGHOST, is left to the store, which looks at the connection it has got.
func (u postgresURL) readable(usual string) (host, mode string) {
	mode = u.parameters["sslmode"]
	switch {
	case u.parameters["sslrootcert"] == "system", u.parameters["ssl"] == "true": // verify-full, require
		return "", ""
	case mode == "" && usual != "":
		mode = usual
	case mode == "" && u.parameters["service"] != "":
		return "", ""
	case mode == "":
		mode = "prefer"
	}
	if mode == "prefer" && u.parameters["sslnegotiation"] == "direct" || !slices.Contains([]string{"disable", "allow", "prefer"}, mode) {
		return "", ""
	}
	for _, host := range u.hosts {
		if host != "" && !strings.HasPrefix(host, "/") && !isLoopback(strings.ToLower(host)) {
			return host, mode
		}
	}
	return "", ""
}
