package tokenjartest

import (
	"cmp"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A jar keeps cookies as a browser does, but by the time of a [Clock]: net/http/cookiejar knows the machine's time alone.
// That one decides to whom a cookie is sent and is told of no life times; they are kept here.
type jar struct {
	clock *Clock

	mu    sync.Mutex
	inner *cookiejar.Jar
	kept  map[string]keptCookie // by domain, path and name
}

type keptCookie struct {
	http.Cookie
	from  *url.URL  // who set it
	until time.Time // zero: as long as the browser is open
}

func newJar(clock *Clock) *jar {
	inner, err := cookiejar.New(nil)
	if err != nil {
		panic("tokenjartest: " + err.Error()) // it returns none
	}
	return &jar{clock: clock, inner: inner, kept: map[string]keptCookie{}}
}

// SetCookies implements [http.CookieJar].
func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, from := j.clock.Now(), *u
	for _, c := range cookies {
		if !keepsPrefix(c) {
			continue
		}
		k := keptCookie{Cookie: *c, from: &from}
		switch {
		case c.MaxAge > 0:
			k.until = now.Add(time.Duration(c.MaxAge) * time.Second)
		case c.MaxAge == 0 && !c.Expires.IsZero():
			k.until = c.Expires
		}
		if c.MaxAge < 0 || !k.until.IsZero() && !now.Before(k.until) {
			j.drop(k)
			continue
		}
		j.kept[k.id()] = k
		j.inner.SetCookies(u, []*http.Cookie{k.bare()})
	}
}

// Cookies implements [http.CookieJar].
func (j *jar) Cookies(u *url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.expire()
	return j.inner.Cookies(u)
}

// all returns the cookies with their attributes and, as MaxAge, what is left of their lives.
func (j *jar) all() []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.expire()
	now := j.clock.Now()
	var list []*http.Cookie
	for _, k := range j.kept {
		c := k.bare()
		if !k.until.IsZero() {
			c.MaxAge = max(1, int(k.until.Sub(now)/time.Second))
		}
		if j.sends(k) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *http.Cookie) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Domain, b.Domain))
	})
	return list
}

// sends reports whether the cookie has been taken: one for a foreign domain is not.
func (j *jar) sends(k keptCookie) bool {
	u := *k.from
	u.Path = k.path()
	return slices.ContainsFunc(j.inner.Cookies(&u), func(c *http.Cookie) bool { return c.Name == k.Name && c.Value == k.Value })
}

// expire deletes what is over by now.
func (j *jar) expire() {
	now := j.clock.Now()
	for _, k := range j.kept {
		if !k.until.IsZero() && !now.Before(k.until) {
			j.drop(k)
		}
	}
}

func (j *jar) drop(k keptCookie) {
	delete(j.kept, k.id())
	c := k.bare()
	c.MaxAge = -1
	j.inner.SetCookies(k.from, []*http.Cookie{c})
}

// bare is the cookie without its life.
func (k *keptCookie) bare() *http.Cookie {
	c := k.Cookie
	c.MaxAge, c.Expires, c.RawExpires = 0, time.Time{}, ""
	return &c
}

// id is by what a browser tells whether a cookie replaces another (RFC 6265, section 5.3, step 11).
func (k *keptCookie) id() string {
	domain := strings.ToLower(strings.TrimPrefix(k.Domain, "."))
	return cmp.Or(domain, strings.ToLower(k.from.Hostname())) + ";" + k.path() + ";" + k.Name
}

// path is the cookie's own, or that of who set it up to the last slash (RFC 6265, section 5.1.4).
func (k *keptCookie) path() string {
	if strings.HasPrefix(k.Path, "/") {
		return k.Path
	}
	if slash := strings.LastIndexByte(k.from.Path, '/'); slash > 0 {
		return k.from.Path[:slash]
	}
	return "/"
}

// keepsPrefix is whether a browser takes a cookie of that name with these attributes (RFC 6265bis, section 5.7).
func keepsPrefix(c *http.Cookie) bool {
	name := strings.ToLower(c.Name)
	switch {
	case strings.HasPrefix(name, "__host-"):
		return c.Secure && c.Domain == "" && c.Path == "/"
	case strings.HasPrefix(name, "__secure-"):
		return c.Secure
	}
	return true
}
