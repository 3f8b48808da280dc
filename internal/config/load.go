package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenjar/tokenjar"
)

// DefaultFile is the file that is read when none is named and it is there.
const DefaultFile = "tokenjar.yaml"

// secretEnv is the environment variable that may hold the secret itself, in place of a file.
const secretEnv = envPrefix + "SECRET"

// A Source is where the settings come from.
type Source struct {
	// File is the path of the file. Empty: [DefaultFile] in the working folder if it is there.
	File string
	// NoFile leaves the file out when none is named.
	NoFile bool
	// Environ is the environment, in the form of os.Environ. Of it TOKENJAR_LISTEN, TOKENJAR_SESSION_IDLE and the like
	// are read, lists separated by commas.
	Environ []string
	// Flags are the settings given as flags, by key, written as in the environment.
	Flags map[string]string
}

// Loaded is a configuration and what its operator should know of how it came to be.
type Loaded struct {
	Config
	// File is the file that was read, empty if none.
	File string
	// Warnings are sentences about what is allowed but probably not meant. There are no secrets in them.
	Warnings []string

	origin map[string]place // where each setting that somebody set was set last

	// secret is that of the environment, nil if there is none. It is a function because no way of printing a struct
	// looks into one.
	secret func() tokenjar.Secret
}

// Load reads file, environment and flags in this order, of which the later wins, and checks the result by
// [Config.Check].
//
// A relative path in the file counts from the folder of the file, every other from the working folder. With
// session.grace 0, session.transparent_renewal is off unless somebody says otherwise.
//
// It returns [Mistakes], all of them, or the error of reading the file.
func Load(src Source) (Loaded, error) {
	path := src.File
	if path == "" && !src.NoFile {
		path = DefaultFile
	}
	var text []byte
	if path != "" {
		var err error
		text, err = readFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && src.File == "":
			path = ""
		case err != nil:
			return Loaded{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	return load(src, path, text)
}

// load is Load after the file has been read.
func load(src Source, path string, text []byte) (Loaded, error) {
	l := loader{cfg: Defaults(), origin: make(map[string]place), wrongKeys: make(map[string]bool)}
	if path != "" {
		w := walk{name: path, wrong: l.wrong, apply: func(s setting, to spot, at place, set func() error) {
			if l.apply(s, to, at, set) {
				l.rebase(s, to, filepath.Dir(path))
			}
		}, note: func(key string, at place) { l.origin[key] = at }}
		w.run(text, l.cfg.top())
	}
	secretText, secretSet := l.environment(src.Environ)
	for _, key := range slices.Sorted(maps.Keys(src.Flags)) {
		s, known := root.byKey[key]
		if !known {
			return Loaded{}, fmt.Errorf("flag for an unknown setting %q", key)
		}
		flag := "--" + strings.ReplaceAll(key[strings.LastIndexByte(key, '.')+1:], "_", "-")
		to := l.cfg.top()
		l.apply(s, to, place{Where: flag, source: fromFlag}, func() error { return s.set(to.in, src.Flags[key]) })
	}
	secret := l.secret(secretText, secretSet)
	if _, set := l.origin["session.transparent_renewal"]; !set && l.cfg.Session.Grace == 0 && !l.wrongKeys["session.grace"] {
		l.cfg.Session.TransparentRenewal = false
		l.origin["session.transparent_renewal"] = place{Where: "follows from session.grace"}
		l.warnings = append(l.warnings, "session.grace is 0, so session.transparent_renewal is off: clients must refresh "+
			"themselves, and a refresh whose answer is lost ends the session")
	}
	l.check(path)
	slices.SortStableFunc(l.mistakes, func(a, b Mistake) int { return a.place.order(b.place) })
	if err := l.mistakes.orNil(); err != nil {
		return Loaded{}, err
	}
	return Loaded{
		Config: l.cfg, File: path, Warnings: append(l.warnings, l.cfg.warnings(lookup(src.Environ, "PGSSLMODE"))...),
		origin: l.origin, secret: secret,
	}, nil
}

// lookup returns a variable of the environment, of which the last one counts; empty when there is none.
func lookup(environ []string, name string) (value string) {
	for _, entry := range environ {
		if text, found := strings.CutPrefix(entry, name+"="); found {
			value = text
		}
	}
	return value
}

// A loader gathers settings and mistakes.
type loader struct {
	cfg       Config
	origin    map[string]place // where each setting that somebody set was set last
	mistakes  Mistakes
	wrongKeys map[string]bool // settings and sections with a mistake: nothing follows from their values
	warnings  []string
}

func (l *loader) wrong(m Mistake) {
	l.mistakes = append(l.mistakes, m)
	for _, key := range append([]string{m.Key}, m.others...) {
		if key != "" {
			l.wrongKeys[key] = true
		}
	}
}

// isWrong reports whether there is a mistake in a setting, or in what it is in.
func (l *loader) isWrong(key string) bool {
	for ; key != ""; key = enclosing(key) {
		if l.wrongKeys[key] {
			return true
		}
	}
	return false
}

// apply sets one setting and reports whether it could be set.
func (l *loader) apply(s setting, to spot, at place, set func() error) bool {
	before := l.cfg
	err := set()
	if err == nil && s.key == "secret_file" && looksLikeSecret(l.cfg.SecretFile) {
		l.cfg = before
		err = errors.New("looks like the secret itself, so it is not shown: put that into a file, or into TOKENJAR_SECRET; if it " +
			"is a path, write ./ before it")
	}
	if err != nil {
		l.wrong(Mistake{place: at, Key: to.path + s.key, Detail: err.Error()})
		return false
	}
	l.origin[to.path+s.key] = at
	return true
}

// rebase makes a relative path from the file count from the folder of the file.
func (l *loader) rebase(s setting, to spot, folder string) {
	if folder == "." {
		return
	}
	switch path := l.cfg.DatabasePath(); {
	case s.key == "spa.dir": // of an entry of frontends as well
		if dir := s.field(to.in); dir.String() != "" && !filepath.IsAbs(dir.String()) {
			dir.SetString(filepath.Join(folder, dir.String()))
		}
	case s.key == "secret_file" && l.cfg.SecretFile != "" && !filepath.IsAbs(l.cfg.SecretFile):
		l.cfg.SecretFile = filepath.Join(folder, l.cfg.SecretFile)
	case s.key == "database" && path != l.cfg.Database && path != "" && !filepath.IsAbs(path) && checkDatabase(l.cfg.Database) == nil:
		l.cfg.Database = sqliteScheme + filepath.Join(folder, path)
	}
}

// environment applies the environment and returns the secret, if it is in there.
func (l *loader) environment(environ []string) (secret string, set bool) {
	byEnv := make(map[string]setting, len(settings))
	names := make([]string, 0, len(settings))
	for _, s := range settings {
		byEnv[s.env] = s
		names = append(names, s.env)
	}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || !strings.HasPrefix(name, envPrefix) {
			continue
		}
		s, known := byEnv[name]
		switch {
		case known:
			to := l.cfg.top()
			l.apply(s, to, place{Where: name, source: fromEnvironment}, func() error { return s.set(to.in, value) })
		case name == secretEnv:
			secret, set = value, true
		default:
			if warning := unknownEnv(name, names); warning != "" {
				l.warnings = append(l.warnings, warning)
			}
		}
	}
	return secret, set
}

// Kubernetes puts such names into the environment of every container beside a service of ours.
var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT)|_PORT(_[0-9]+_(TCP|UDP|SCTP).*)?$`)

// unknownEnv returns a warning about a variable that looks like a setting and is none. Others may use the prefix for
// purposes of their own, so it is no mistake.
func unknownEnv(name string, known []string) string {
	if checkText(name) != nil || serviceLink.MatchString(name) {
		return ""
	}
	guess := suggest(name, known)
	if of, ok := strings.CutSuffix(name, "_FILE"); ok && slices.Contains(known, of) {
		return name + " in the environment has no effect: only the secret is read from a file of its own (TOKENJAR_SECRET_FILE); use " + of
	}
	for _, s := range settings {
		if s.entries != nil && strings.HasPrefix(name, s.env+"_") {
			return name + " in the environment is no setting and has no effect: " + s.key + " are written into the file"
		}
	}
	if guess == "" {
		section := false
		for _, s := range root.sections {
			section = section || strings.HasPrefix(name, envName(s)+"_")
		}
		if !section {
			return ""
		}
	}
	return name + " in the environment is no setting and has no effect" + guess
}

// secret returns the secret of the environment, nil if there is none.
func (l *loader) secret(text string, set bool) func() tokenjar.Secret {
	at := place{Where: secretEnv, source: fromEnvironment}
	switch {
	case !set:
		return nil
	case text == "": // as of a store of secrets that did not answer: another secret in its place would lock everybody out
		l.wrong(Mistake{place: at, Detail: "is set, but empty: give it the secret, or unset it to have the one of secret_file"})
		return nil
	}
	if file, set := l.origin["secret_file"]; set {
		l.wrong(Mistake{place: at, Detail: "is set and so is secret_file (" + file.Where + "): keep one of them"})
		return nil
	}
	secret, err := tokenjar.ParseSecret([]byte(text))
	if err != nil {
		l.wrong(Mistake{place: at, Detail: err.Error()})
	}
	return func() tokenjar.Secret { return secret }
}

// check adds what [Config.Check] finds, with the places where the settings were made. What follows from a setting that
// is wrong already is left out.
func (l *loader) check(file string) {
	var found Mistakes
	errors.As(l.cfg.Check(), &found)
	for _, m := range append(found, l.cfg.exposes(file, "")...) {
		if l.isWrong(m.Key) || slices.ContainsFunc(m.others, l.isWrong) {
			continue
		}
		m.place = l.origin[m.Key]
		for _, key := range m.others {
			if m.Where == "" { // the setting has its default, so the other one is to blame
				m.place = l.origin[key]
			}
		}
		for key := enclosing(m.Key); m.Where == "" && key != ""; key = enclosing(key) { // it is missing
			m.place = l.origin[key]
		}
		l.mistakes = append(l.mistakes, m)
	}
}
