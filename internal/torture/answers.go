package torture

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/internal/plural"
)

// What every answer tells beside what it was asked for: its cookies, its cache headers, how long its access token lives,
// and what time it is there.

func decodePart(part string, v any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, v) == nil
}

// A life is that of an access token, in seconds.
type life struct {
	seconds int64
	cut     bool // it ends with its session, not by itself
}

// note keeps what an answer tells.
func (r *run) note(a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers++
	r.slowest = max(r.slowest, a.got.Sub(a.sent))
	if !strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store") {
		r.fail("no-store", fmt.Sprintf("%s answered %s with Cache-Control: %q", a.from, a, a.header.Get("Cache-Control")),
			"A cache between server and browser may keep the answer, with the cookies in it, and give it to somebody else.",
			"a proxy or CDN that replaces the header")
	}
	for _, c := range a.cookies {
		r.cookies++
		if what := r.wrongCookie(c); what != "" {
			r.fail("cookies", fmt.Sprintf("%s set the cookie %s %s", a.from, c.Name, what),
				"What the attribute keeps away, another script, an open network or another site, can get at the session.",
				"the settings under cookies, and a proxy that rewrites Set-Cookie")
		}
	}
	if len(a.cookies) > 0 && a.pair.refresh.text != "" && a.pair.refresh.name == "" {
		r.fail("cookies", fmt.Sprintf("%s answered a token in the body with the cookie %s", a.from, a.cookies[0].Name),
			"A client without cookies changes the session of the browser that it runs in.", "a proxy that adds cookies")
	}
	if t := a.pair.access; t.text != "" {
		r.lives[t.id] = life{t.expires - t.issued, t.expires >= a.pair.refresh.expires}
	}
}

// wrongCookie says what is wrong with a cookie as it is set, "" if nothing is.
func (r *run) wrongCookie(c *http.Cookie) string {
	secure := strings.HasPrefix(r.origin, "https:")
	switch t, isToken := parseJWT(c.Value); {
	case isToken && !c.HttpOnly:
		return "without HttpOnly"
	case secure && !c.Secure:
		return "without Secure"
	case c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode && !(c.SameSite == http.SameSiteNoneMode && c.Secure):
		return "without SameSite"
	case c.Path != "/":
		return fmt.Sprintf("with the path %q", c.Path)
	case strings.HasPrefix(c.Name, "__Host-") && (c.Domain != "" || !c.Secure):
		return "with a Domain or without Secure, which browsers refuse under that name"
	case isToken && t.typ == "at+jwt" && int64(c.MaxAge) > t.expires-t.issued:
		return "for longer than its token lives"
	}
	return ""
}

// judgeAnswers gives the verdicts on what was looked at in passing.
func (r *run) judgeAnswers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pass("no-store", plural.Count(r.answers, "answer", "answers"))
	r.pass("cookies", plural.Count(r.cookies, "cookie", "cookies")+" as they were set or deleted")
}

const (
	wantedLives  = 40 // with two possible lives, equal ones by chance once in 2^39 runs
	shortestLife = 20 // seconds: below that there is no jitter
)

// judgeLives looks at how long the access tokens live.
func (r *run) judgeLives() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var shortest, longest int64
	n := 0
	distinct := map[int64]bool{}
	for _, l := range r.lives {
		if l.cut {
			continue
		}
		if n++; n == 1 {
			shortest, longest = l.seconds, l.seconds
		}
		shortest, longest = min(shortest, l.seconds), max(longest, l.seconds)
		distinct[l.seconds] = true
	}
	switch {
	case n == 0:
		r.notTried("R11", "no access token was seen that does not end with its session")
		return
	case longest < shortestLife:
		r.notTried("R11", fmt.Sprintf("access tokens live for %d s: below %d s there is no jitter", longest, shortestLife))
		return
	case n < wantedLives && len(distinct) == 1:
		r.notTried("R11", fmt.Sprintf("%s seen, %d are wanted", plural.Count(n, "access token", "access tokens"), wantedLives))
		return
	}
	const lookAt = "the version of the nodes, and whether something else than tokenjar issues the access tokens"
	if len(distinct) == 1 {
		r.fail("R11", fmt.Sprintf("each of %d access tokens lives for %d s", n, longest),
			"All browsers that were renewed at one moment come back at one moment, as a wave of refreshes.", lookAt)
	}
	// The setting may be longer than the longest that was seen: by a twentieth, at most.
	if float64(longest-shortest) > float64(longest)/0.95*0.05 {
		r.fail("R11", fmt.Sprintf("access tokens live between %d s and %d s, which is more than 5 %% apart", shortest, longest),
			"The settings of the nodes differ, or the lives are shortened by more than was promised.",
			"token.access_lifetime on each node")
	}
	r.figures("R11", map[string]float64{"tokens": float64(n), "shortest_s": float64(shortest), "longest_s": float64(longest)})
	r.pass("R11", fmt.Sprintf("%d access tokens live between %d s and %d s", n, shortest, longest))
}

// An offset says how far a clock is ahead of ours: between two bounds, since an answer takes time and clocks are read in
// whole seconds.
type offset struct {
	clock  string
	lo, hi time.Duration
}

// offsetOf compares a time in whole seconds with ours while it was read.
func offsetOf(clock string, at time.Time, a *answer) offset {
	return offset{clock, at.Sub(a.got), at.Add(time.Second).Sub(a.sent)}
}

// noteClock keeps what an answer says of the time there. It must be one for which both tokens were made.
func (r *run) noteClock(a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		r.offsets = append(r.offsets, offsetOf("the Date header of "+a.from.url, date, a))
	}
	r.offsets = append(r.offsets,
		offsetOf("the access tokens of "+a.from.url, time.Unix(a.pair.access.issued, 0), a),
		offsetOf("the store", time.Unix(a.pair.refresh.issued, 0), a))
}
