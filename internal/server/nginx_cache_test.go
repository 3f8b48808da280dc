package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/nginxtest"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// tempts is what a service says that would have its answers kept by whoever stands in front. It adds "-say" of the query
// to each answer, and answers with who asks and how often it was asked.
func tempts(s **service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, value := range map[string]string{
			"Cache-Control": "public, max-age=3600, s-maxage=3600, stale-while-revalidate=3600, immutable", "Expires": "Thu, 31 Dec 2099 23:59:59 GMT",
			"X-Accel-Expires": "3600", "CDN-Cache-Control": "max-age=3600", "Surrogate-Control": "max-age=3600", "Cloudflare-CDN-Cache-Control": "max-age=3600",
			"Etag": `"same"`, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
		} {
			h.Set(name, value)
		}
		switch r.URL.Query().Get("say") {
		case "nothing": // and nginx is told to keep what says nothing
			for name := range h {
				h.Del(name)
			}
		case "404":
			w.WriteHeader(404)
		case "301":
			h.Set("Location", "/api/elsewhere")
			w.WriteHeader(301)
		case "vary":
			h.Set("Vary", "Accept-Encoding")
		}
		fmt.Fprintf(w, "%s is number %d", who(r), (*s).count())
	}
}

// who is the user whose token a service got.
func who(r *http.Request) string {
	bearer, signedIn := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !signedIn {
		return "nobody"
	}
	parts := strings.Split(bearer, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[len(parts)/2])
	var claims struct {
		Subject string `json:"sub"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return "a stranger"
	}
	return claims.Subject
}

func TestACacheInFrontKeepsNothingOfAUser(t *testing.T) {
	nginxtest.Find(t)
	for name, careless := range map[string]string{
		"as it comes":                   "",
		"told to keep everything":       "proxy_cache_valid any 1h; proxy_cache_methods GET HEAD;",
		"told not to look at cookies":   "proxy_cache_valid any 1h; proxy_ignore_headers Set-Cookie Vary;",
		"told to look at little":        "proxy_cache_valid any 1h; proxy_ignore_headers Set-Cookie Vary Expires X-Accel-Expires;",
		"that revalidates what is old":  "proxy_cache_valid any 1h; proxy_cache_revalidate on; proxy_cache_use_stale error updating http_500 http_503; proxy_cache_background_update on;",
		"that lets one ask for all":     "proxy_cache_valid any 1h; proxy_cache_lock on;",
		"that keeps what it asks twice": "proxy_cache_valid any 1h; proxy_cache_min_uses 2;",
	} {
		t.Run(name, func(t *testing.T) {
			var api *service
			api = newService(t, tempts(&api))
			front := nginxtest.FreeAddress(t)
			w := servertest.Start(t, servertest.Setup{Config: func(c *config.Config) {
				c.PublicURL, c.TrustedProxies = "http://localhost:8080", []string{"127.0.0.1"}
				for path, auth := range map[string]string{"/api": "required", "/shop": "optional", "/public": "none"} {
					c.Routes = append(c.Routes, config.Route{Path: path, Upstream: api.URL, Auth: auth, Token: "audience"})
				}
			}})
			dir := t.TempDir()
			nginxtest.Start(t, dir, front, fmt.Sprintf(`
  proxy_cache_path %s/cache keys_zone=all:1m;
  server {
    listen %s;
    location / {
      proxy_pass http://%s;
      proxy_set_header Host localhost:8080;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_cache all;
      %s
      proxy_buffers 8 16k; proxy_buffer_size 16k;
      add_header X-Cache $upstream_cache_status always;
    }
  }
`, dir, front, w.Addr(), careless))
			users := map[string]*visitor{"nobody": newVisitor(t, w, front, nil)}
			sessions := map[string]servertest.Pair{}
			for _, name := range []string{servertest.Ada, servertest.Eve} {
				sessions[name], users[name] = w.SignIn(t, name), newVisitor(t, w, front, nil)
				users[name].use(sessions[name].Access, sessions[name].Refresh)
			}
			// asks sends a request and fails the test when the answer comes from the cache or is somebody else's.
			asks := func(name, target string) servertest.Answer {
				t.Helper()
				before := api.count()
				a := users[name].send("GET", target, "")
				want := map[bool]string{true: "user-" + name, false: "nobody"}[name != "nobody"]
				refused := name == "nobody" && strings.HasPrefix(target, "/api")
				if state := a.Header.Get("X-Cache"); state == "HIT" || state == "STALE" || state == "UPDATING" || state == "REVALIDATED" {
					t.Errorf("%s, %s: the answer is from the cache: %s %v", name, target, state, a.Header)
				}
				switch {
				case refused && (a.Status != 401 || api.count() != before):
					t.Errorf("%s, %s: got %d %s", name, target, a.Status, a.Body)
				case !refused && (!strings.HasPrefix(string(a.Body), want+" ") || api.count() != before+1):
					t.Errorf("%s, %s: got %d %s, want %s's", name, target, a.Status, a.Body, want)
				}
				for _, field := range []string{"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires"} {
					if a.Header.Get(field) != "" {
						t.Errorf("%s, %s: %s is %s", name, target, field, a.Header.Get(field))
					}
				}
				return a
			}
			for _, say := range []string{"", "?say=nothing", "?say=404", "?say=301", "?say=vary"} {
				for _, order := range [][]string{{"ada", "ada", "eve", "nobody", "eve", "ada"}, {"nobody", "nobody", "ada", "eve", "nobody"}} {
					for _, route := range []string{"/api/x", "/shop/x", "/api/app.js", "/shop/" + order[0] + ".css"} { // also what looks like a file
						for _, name := range order {
							if a := asks(name, route+say); !strings.Contains(a.Header.Get("Cache-Control"), "private") && a.Status != 401 {
								t.Errorf("%s, %s: Cache-Control is %q", name, route+say, a.Header.Get("Cache-Control"))
							}
						}
					}
				}
			}

			// A session that is renewed on the way: nobody gets its cookies but that browser.
			for _, target := range []string{"/api/renewed", "/shop/renewed", "/api/renewed?say=nothing", "/api/renewed?say=301"} {
				ada := w.SignIn(t, servertest.Ada)
				users["ada"].use("", ada.Refresh)
				a := asks("ada", target)
				if len(a.Cookies()) < 3 || a.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: the renewal has cookies %v and Cache-Control %q", target, a.Cookies(), a.Header.Get("Cache-Control"))
				}
				for _, field := range []string{"Expires", "Etag", "Last-Modified"} {
					if a.Header.Get(field) != "" {
						t.Errorf("%s: the renewal has %s", target, field)
					}
				}
				for _, name := range []string{"eve", "nobody", "ada"} {
					if b := asks(name, target); len(b.Cookies()) != 0 {
						t.Errorf("%s, %s: got cookies that are another's: %v", name, target, b.Cookies())
					}
				}
			}

			// What is public is kept, for everybody alike, and nobody's cookies are with it.
			first := users["ada"].send("GET", "/public/app.js", "")
			if strings.Contains(careless, "min_uses") {
				first = users["ada"].send("GET", "/public/app.js", "")
			}
			before := api.count()
			for name, v := range users {
				a := v.send("GET", "/public/app.js", "")
				if a.Status != 200 || a.Header.Get("X-Cache") != "HIT" || string(a.Body) != string(first.Body) || !strings.HasPrefix(string(a.Body), "nobody ") || len(a.Cookies()) != 0 {
					t.Errorf("%s, a public file: %d %v %s", name, a.Status, a.Header, a.Body)
				}
			}
			if api.count() != before {
				t.Errorf("the public file was asked for %d times more", api.count()-before)
			}
			// Nor is anything of our own.
			for _, name := range []string{"ada", "eve", "nobody", "nobody", "eve"} {
				a := users[name].send("GET", "/auth/session", "")
				if own := strings.Contains(string(a.Body), `"username":"`+name+`"`); own != (name != "nobody") || a.Header.Get("X-Cache") == "HIT" {
					t.Errorf("%s: the session is %s %s", name, a.Header.Get("X-Cache"), a.Body)
				}
			}
		})
	}
}
