package config

// LoadText is Load of a file with this text.
func LoadText(src Source, path, text string) (Loaded, error) { return load(src, path, []byte(text)) }

// Keys returns the names of all settings.
func Keys() []string {
	keys := make([]string, len(settings))
	for i, s := range settings {
		keys[i] = s.key
	}
	return keys
}

// Durations for their own test.
var (
	ParseDuration  = parseDuration
	FormatDuration = formatDuration
)
