package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/internal/spa"
	"github.com/tokenjar/tokenjar/proxy"
)

// What makes pages and further addresses impossible.

// A site is what is served at one address, and the names of the settings it comes from.
type site struct {
	publicURL, urlKey string
	spa               SPA
	spaKey            string
	routes            []Route
	routesKey         string
}

// sites are that of public_url and the frontends.
func (c Config) sites() []site {
	all := []site{{c.ownURL(), "public_url", c.SPA, "spa", c.Routes, "routes"}}
	for i, f := range c.Frontends {
		at := entryKey("frontends", i)
		all = append(all, site{f.PublicURL, at + ".public_url", f.SPA, at + ".spa", f.Routes, at + ".routes"})
	}
	return all
}

// checkSites reports what is wrong with pages, routes and further addresses.
func (c Config) checkSites(wrong report) {
	sites := c.sites()
	for i, s := range sites {
		if i > 0 {
			c.checkFrontend(wrong, s, sites[:i])
		}
		c.checkSPA(wrong, s)
		c.checkRoutes(wrong, s.routesKey, s.routes, s.spa)
	}
	for _, secret := range []struct{ key, path string }{{"secret_file", c.SecretFile}, {"database", c.DatabasePath()}} {
		if secret.key == "database" && c.Postgres() {
			continue
		}
		for _, m := range c.exposes(secret.path, secret.key) {
			wrong(m.Key, errors.New(m.Detail), m.others...)
		}
	}
}

func (c Config) checkSPA(wrong report, s site) {
	dir, dev := s.spaKey+".dir", s.spaKey+".dev_server"
	set := ""
	switch {
	case s.spa.Dir != "":
		set = dir
	case s.spa.DevServer != "":
		set = dev
	}
	if i := routeAt(s.routes, "/"); set != "" && i >= 0 {
		at := entryKey(s.routesKey, i)
		wrong(set, fmt.Errorf("is never reached, because %s leads all paths to a service: keep one of them", at), at+".path")
	}
	if csp := s.spaKey + ".csp"; s.spa.CSP != "" {
		if s.spa.Dir == "" {
			wrong(csp, errors.New("has no effect without "+dir+": remove it"), dir)
		}
		for _, err := range split(spa.CheckSources(s.spa.CSP)) {
			wrong(csp, err)
		}
	}
	if s.spa.DevServer == "" {
		return
	}
	if s.spa.Dir != "" {
		wrong(dev, errors.New("cannot be set together with "+dir+": keep one of them"), dir)
	}
	if u, err := proxy.CheckUpstream(s.spa.DevServer, c.listeners()); err != nil {
		wrong(dev, err)
	} else {
		if !isLoopback(strings.ToLower(u.Hostname())) {
			wrong(dev, fmt.Errorf("%s is not on this machine: a development server serves the source of the application to whoever "+
				"asks; use 127.0.0.1, or spa.dir with what was built", shown(s.spa.DevServer)))
		}
		if strings.Trim(u.EscapedPath(), "/") != "" {
			wrong(dev, fmt.Errorf("%s must have no path: write %s://%s", shown(s.spa.DevServer), u.Scheme, u.Host))
		}
	}
	if strings.HasPrefix(s.publicURL, "https:") {
		wrong(dev, fmt.Errorf("is for writing the application, on a loopback address, and %s is https: use %s with what was built",
			s.urlKey, dir), s.urlKey)
	}
}

func (c Config) checkFrontend(wrong report, s site, before []site) {
	if s.publicURL == "" {
		return // said of every setting that is required
	}
	if err := checkPublicURL(s.publicURL); err != nil {
		wrong(s.urlKey, err)
		return
	}
	for _, other := range before {
		if sameHost(s.publicURL, other.publicURL) {
			wrong(s.urlKey, fmt.Errorf("%s has the host of %s: requests could not be told apart", shown(s.publicURL), other.urlKey),
				other.urlKey)
			break
		}
	}
	_, usual := cookie.New(c.CookieConfig(c.ownURL()))
	_, here := cookie.New(c.CookieConfig(s.publicURL))
	said := make(map[string]bool)
	for _, m := range cookieMistakes(usual) {
		said[m.Key+m.Detail] = true
	}
	for _, m := range cookieMistakes(here) {
		if !said[m.Key+m.Detail] { // it is this address that does not go with the setting
			wrong(s.urlKey, fmt.Errorf("%s cannot have the cookies of these settings: %s: %s", shown(s.publicURL), m.Key, m.Detail),
				m.Key)
		}
	}
}

// sameHost reports whether two addresses are asked for with one Host field: a scheme's own port may be left out.
func sameHost(a, b string) bool {
	for _, x := range hostFields(a) {
		for _, y := range hostFields(b) {
			if x == y {
				return true
			}
		}
	}
	return false
}

func hostFields(address string) []string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil
	}
	host, port := strings.ToLower(u.Host), map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	if u.Port() == "" {
		return []string{host, host + port}
	}
	return []string{host, strings.TrimSuffix(host, port)}
}

// exposes reports the folders of pages in which a file lies that is nobody's to read. Links are not followed.
func (c Config) exposes(file, key string) (ms []Mistake) {
	if file == "" {
		return nil
	}
	for _, s := range c.sites() {
		if s.spa.Dir == "" || !lies(file, s.spa.Dir) {
			continue
		}
		m := Mistake{Key: s.spaKey + ".dir", Detail: fmt.Sprintf("%s holds %s, so everybody could read it: name a folder with nothing "+
			"but the application", shown(s.spa.Dir), shown(file))}
		if key != "" {
			m.Detail = strings.Replace(m.Detail, " holds ", " holds "+key+" ", 1)
			m.others = []string{key}
		}
		ms = append(ms, m)
	}
	return ms
}

// lies reports whether a file is in a folder or below it.
func lies(file, folder string) bool {
	file, errFile := filepath.Abs(file)
	folder, errFolder := filepath.Abs(folder)
	if errFile != nil || errFolder != nil {
		return false
	}
	rel, err := filepath.Rel(folder, file)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
