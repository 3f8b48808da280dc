package config

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
