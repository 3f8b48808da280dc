package config

import (
	"cmp"
	"strings"
)

// LoadText is Load of a file with this text.
func LoadText(src Source, path, text string) (Loaded, error) { return load(src, path, []byte(text)) }

// Keys returns the names of all settings.
func Keys() (keys []string) {
	for _, s := range Settings() {
		keys = append(keys, s.Key)
	}
	return keys
}

// Durations and sizes for their own tests.
var (
	ParseSize      = parseSize
	ParseDuration  = parseDuration
	FormatDuration = formatDuration
)

// ReadPostgres returns what a database URL says, with the port of each host.
func ReadPostgres(url string) (hosts, database string) {
	u, err := parsePostgres(url)
	if err != nil {
		return err.Error(), ""
	}
	var list []string
	for i, host := range u.hosts {
		port := u.ports[0]
		if len(u.ports) > 1 {
			port = u.ports[i]
		}
		list = append(list, host+":"+cmp.Or(port, "5432"))
	}
	return strings.Join(list, " "), u.database
}
