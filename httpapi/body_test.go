package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// Every endpoint that takes a body, with a body it takes.
var takers = []struct {
	method, path, good string
	field              string // a text member
}{
	{"POST", "/auth/login", `{"username":"ada","password":"x"}`, "username"},
	{"POST", "/auth/token/refresh", `{"refresh":"x"}`, "refresh"},
	{"POST", "/auth/token/verify", `{"token":"x"}`, "token"},
	{"PATCH", "/auth/user", `{"first_name":"Ada"}`, "first_name"},
	{"PATCH", "/auth/sessions/{id}", `{"name":"laptop"}`, "name"},
	{"POST", "/auth/token", `{"username":"ada","password":"x"}`, "username"},
	{"POST", "/auth/token/blacklist", `{"refresh":"x"}`, "refresh"},
	{"PUT", "/auth/user", `{"first_name":"Ada","last_name":"Lovelace"}`, "first_name"},
	{"POST", "/auth/password/change", `{"old_password":"x","new_password":"a sound one of my own"}`, "old_password"},
}

func TestEveryRouteWithABodyIsListed(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	doc := string(w.Send(t, "GET", "/openapi.json", "").Body)
	if n := strings.Count(doc, `"requestBody"`); n != len(takers) {
		t.Errorf("%d operations take a body, %d are listed here", n, len(takers))
	}
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for _, r := range takers {
		path := strings.Replace(r.path, "{id}", ada.SessionID, 1)
		type bad struct {
			name, body string
			status     int
			field      string // that errors[] must name; "-" when there is none to name
		}
		rows := []bad{
			{"I-06: malformed", `{`, 400, ""},
			{"I-06: truncated", r.good[:len(r.good)-2], 400, ""},
			{"I-06: two documents", r.good + r.good, 400, ""},
			{"I-06: text behind", r.good + "x", 400, ""},
			{"I-06: comment", "/* */" + r.good, 400, ""},
			{"I-06: single quotes", strings.ReplaceAll(r.good, `"`, `'`), 400, ""},
			{"I-06: NaN", fmt.Sprintf(`{%q:NaN}`, r.field), 400, ""},
			{"I-06: trailing comma", strings.TrimSuffix(r.good, "}") + ",}", 400, ""},
			{"I-01: duplicate member", strings.TrimSuffix(r.good, "}") + fmt.Sprintf(`,%q:"y"}`, r.field), 400, r.field},
			{"I-01: duplicate member, escaped name", strings.TrimSuffix(r.good, "}") + fmt.Sprintf(`,"\u%04x%s":"y"}`, r.field[0], r.field[1:]), 400, r.field},
			{"I-01: member in another case", fmt.Sprintf(`{%q:"x"}`, strings.ToUpper(r.field)), 422, strings.ToUpper(r.field)},
			{"I-01: the same member in two cases", strings.TrimSuffix(r.good, "}") + fmt.Sprintf(`,%q:"y"}`, strings.ToUpper(r.field)), 422, strings.ToUpper(r.field)},
			{"I-02: nested 10,000 deep", fmt.Sprintf(`{%q:%s%s}`, r.field, strings.Repeat("[", 10000), strings.Repeat("]", 10000)), 400, ""},
			{"I-02: nested 17 deep", fmt.Sprintf(`{%q:%s%s}`, r.field, strings.Repeat("[", 17), strings.Repeat("]", 17)), 400, ""},
			{"I-02: 10,000 members", `{` + strings.Repeat(`"":0,`, 10000) + `"":0}`, 400, ""},
			{"I-02: 64 KiB and one byte", fmt.Sprintf(`{%q:%q}`, r.field, strings.Repeat("x", 64<<10-len(r.field)-6)), 413, ""},
			{"I-02: a megabyte", fmt.Sprintf(`{%q:%q}`, r.field, strings.Repeat("x", 1<<20)), 413, ""},
			{"I-02: 60 KiB in one member", fmt.Sprintf(`{%q:%q}`, r.field, strings.Repeat("x", 60<<10)), 422, r.field},
			{"I-03: 1e400", fmt.Sprintf(`{%q:1e400}`, r.field), 422, "*"},
			{"I-03: -0", fmt.Sprintf(`{%q:-0}`, r.field), 422, r.field},
			{"I-03: 2^64", fmt.Sprintf(`{%q:18446744073709551616}`, r.field), 422, r.field},
			{"I-03: 01", fmt.Sprintf(`{%q:01}`, r.field), 400, ""},
			{"I-03: 0x10", fmt.Sprintf(`{%q:0x10}`, r.field), 400, ""},
			{"I-03: a thousand digits", fmt.Sprintf(`{%q:%s}`, r.field, strings.Repeat("9", 1000)), 422, "*"},
			{"I-05: byte order mark", "\ufeff" + r.good, 400, ""},
			{"I-05: invalid UTF-8", fmt.Sprintf("{%q:\"\xff\"}", r.field), 400, ""},
			{"I-05: lone surrogate", fmt.Sprintf(`{%q:"\ud800"}`, r.field), 400, ""},
			{"I-05: UTF-16", "{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", 400, ""},
			{"I-05: NUL in a string", fmt.Sprintf(`{%q:"a\u0000"}`, r.field), 400, ""},
			{"I-07: blanks only", "  \n", 400, ""},
			{"I-07: null", "null", 422, ""},
			{"I-07: list", "[]", 422, ""},
			{"I-07: text", `"x"`, 422, ""},
			{"I-07: number", `1`, 422, ""},
			{"L-19: member is a list", fmt.Sprintf(`{%q:["a","b"]}`, r.field), 422, r.field},
			{"L-19: member is an operator", fmt.Sprintf(`{%q:{"$ne":null}}`, r.field), 422, r.field},
			{"L-19: member is a number", fmt.Sprintf(`{%q:1}`, r.field), 422, r.field},
			{"L-19: member is true", fmt.Sprintf(`{%q:true}`, r.field), 422, r.field},
			{"L-19: member is null", fmt.Sprintf(`{%q:null}`, r.field), 422, r.field},
			{"unknown member", strings.TrimSuffix(r.good, "}") + `,"else":1}`, 422, "else"},
			{"I-13: __proto__", strings.TrimSuffix(r.good, "}") + `,"__proto__":{"admin":true}}`, 422, "__proto__"},
			{"I-13: constructor", strings.TrimSuffix(r.good, "}") + `,"constructor":1}`, 422, "constructor"},
			{"I-14: user_id", strings.TrimSuffix(r.good, "}") + `,"user_id":"user-eve"}`, 422, "user_id"},
			{"I-14: role", strings.TrimSuffix(r.good, "}") + `,"role":"admin"}`, 422, "role"},
			{"I-14: session", strings.TrimSuffix(r.good, "}") + `,"session":"x"}`, 422, "session"},
			{"C-10: username of another", strings.TrimSuffix(r.good, "}") + `,"is_staff":true}`, 422, "is_staff"},
			{"unknown member with a name of markup", strings.TrimSuffix(r.good, "}") + `,"<script>":1}`, 422, "<script>"},
		}
		for _, row := range rows {
			t.Run(r.method+" "+r.path+", "+row.name, func(t *testing.T) {
				code := "validation_failed"
				if row.status == 413 {
					code = "body_too_large"
				}
				a := w.Refused(t, row.status, code, r.method, path, row.body, ada.As)
				if row.field == "*" {
					return
				}
				list, _ := a.JSON(t)["errors"].([]any)
				var named []string
				for _, e := range list {
					f := e.(map[string]any)
					if f["code"] == "" || f["detail"] == "" {
						t.Errorf("an error without code or detail: %v", f)
					}
					named = append(named, f["field"].(string))
				}
				if !contains(named, row.field) {
					t.Errorf("errors name %q, want %q: %s", named, row.field, a.Body)
				}
			})
		}
		for name, set := range map[string]change{
			"X-15: text/plain":                contentType("text/plain"),
			"X-15: form":                      contentType("application/x-www-form-urlencoded"),
			"X-15: multipart":                 contentType("multipart/form-data; boundary=x"),
			"X-15: none":                      contentType(),
			"X-15: empty":                     contentType(""),
			"X-15: utf-7":                     contentType("application/json; charset=utf-7"),
			"X-15: another parameter":         contentType("application/json; version=1"),
			"X-15: jsonx":                     contentType("application/jsonx"),
			"X-15: a JSON of another kind":    contentType("application/ld+json"),
			"X-15: two fields":                contentType("application/json", "application/json"),
			"X-15: list":                      contentType("application/json, text/plain"),
			"I-09: a boundary of a megabyte":  contentType("multipart/form-data; boundary=" + strings.Repeat("x", 30<<10)),
			"I-15: a type of 8 kB":            contentType(strings.Repeat("x/", 4<<10)),
			"I-15: malformed type":            contentType("application/json; ="),
			"I-10: gzip":                      servertest.Header("Content-Encoding", "gzip"),
			"I-10: identity":                  servertest.Header("Content-Encoding", "identity"),
			"I-10: unknown and double":        servertest.Header("Content-Encoding", "br, gzip, x"),
			"I-10: an encoding that is empty": func(r *http.Request) { r.Header["Content-Encoding"] = []string{""} },
		} {
			t.Run(r.method+" "+r.path+", "+name, func(t *testing.T) {
				w.Refused(t, 415, "unsupported_media_type", r.method, path, r.good, ada.As, set)
			})
		}
		for name, set := range map[string]change{
			"charset": contentType("application/json; charset=utf-8"), "charset in capitals": contentType("application/json; charset=UTF-8"),
			"type in capitals": contentType("Application/JSON"), "quoted charset": contentType(`application/json; charset="utf-8"`),
			"I-15: Accept of 8 kB":          servertest.Header("Accept", strings.Repeat("a/b;q=0.1,", 800)),
			"I-15: malformed Accept":        servertest.Header("Accept", ";;,/,*"),
			"I-15: Accept of another type":  servertest.Header("Accept", "text/html"),
			"I-15: Accept-Language of 8 kB": servertest.Header("Accept-Language", strings.Repeat("x-", 4000)),
		} {
			t.Run(r.method+" "+r.path+" takes "+name, func(t *testing.T) {
				a := w.Send(t, r.method, path, r.good, ada.As, set)
				if a.Status != 200 && a.Status != 401 && a.Code() != "invalid_credentials" || !strings.Contains(a.Header.Get("Content-Type"), "json") {
					t.Errorf("got %d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
				}
			})
		}
	}
}

func contentType(values ...string) change {
	return func(r *http.Request) { r.Header["Content-Type"] = values }
}

func contains(list []string, s string) bool {
	for _, each := range list {
		if each == s {
			return true
		}
	}
	return false
}

func TestGzipBombIsNotInflated(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(bytes.Repeat([]byte(" "), 4<<20))
	z.Close()
	w.Refused(t, 415, "unsupported_media_type", "POST", "/auth/login", bomb.String(), servertest.Header("Content-Encoding", "gzip"))
}

func TestBodiesWhereNoneIsTaken(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for _, body := range []string{`{"refresh":"x"}`, `{"all":true}`, `{"a":1}`} {
		w.Refused(t, 422, "validation_failed", "POST", "/auth/logout", body, ada.As)
	}
	w.Refused(t, 400, "validation_failed", "POST", "/auth/logout", `{`, ada.As)
	w.Refused(t, 415, "unsupported_media_type", "POST", "/auth/logout", `x`, ada.As, contentType("text/plain"))
	for _, body := range []string{"", "{}"} {
		p := w.SignIn(t, servertest.Ada)
		if a := w.Send(t, "POST", "/auth/logout", body, p.As); a.Status != 200 || p.Live(t) {
			t.Errorf("logout with %q: %d %s", body, a.Status, a.Body)
		}
	}
	t.Run("an empty body needs no type", func(t *testing.T) {
		for _, body := range []string{"", "{}", `{"refresh":""}`} {
			p := w.SignIn(t, servertest.Ada)
			a := w.Send(t, "POST", "/auth/token/refresh", body, p.RefreshOnly)
			if a.Status != 200 || len(a.Cookies()) != 3 {
				t.Errorf("refresh with %q: %d %s", body, a.Status, a.Body)
			}
		}
	})
	t.Run("a body that ends early: 400, and nothing happens", func(t *testing.T) {
		before := w.Digest(t)
		c := w.Raw(t)
		c.Write("POST /auth/login HTTP/1.1\r\nHost: " + w.Host() + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"username\":")
		c.CloseWrite()
		if a, err := c.Read("POST"); err != nil || a.Status != 400 || w.Digest(t) != before {
			t.Errorf("got %v %v", a, err)
		}
	})
}

func TestRequiredMembers(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for _, row := range []struct{ method, path, body, field, code string }{
		{"POST", "/auth/login", ``, "password", "required"},
		{"POST", "/auth/login", `{}`, "password", "required"},
		{"POST", "/auth/login", `{"username":"ada"}`, "password", "required"},
		{"POST", "/auth/login", `{"password":"x"}`, "username", "required"},
		{"POST", "/auth/login", `{"username":"","password":"x"}`, "username", "required"},
		{"POST", "/auth/login", `{"username":"ada","password":""}`, "password", "required"},
		{"POST", "/auth/login", `{"username":"ada","email":"ada@example.com","password":"x"}`, "email", "not_allowed"},
		{"POST", "/auth/login", `{"username":"ada","password":"x","remember":"yes"}`, "remember", "type"},
		{"POST", "/auth/login", `{"username":"ada","password":"x","remember":1}`, "remember", "type"},
		{"POST", "/auth/login", `{"username":"` + strings.Repeat("a", 255) + `","password":"x"}`, "username", "too_long"},
		{"POST", "/auth/login", `{"username":"ada","password":"` + strings.Repeat("a", 1025) + `"}`, "password", "too_long"},
		{"POST", "/auth/token", ``, "password", "required"},
		{"POST", "/auth/token", `{"username":"ada"}`, "password", "required"},
		{"POST", "/auth/token", `{"password":"x"}`, "username", "required"},
		{"POST", "/auth/token", `{"username":"ada","email":"ada@example.com","password":"x"}`, "email", "not_allowed"},
		{"POST", "/auth/token", `{"username":"ada","password":"x","remember":true}`, "remember", "unknown"},
		{"POST", "/auth/token/blacklist", `{"refresh":"` + strings.Repeat("a", 8193) + `"}`, "refresh", "too_long"},
		{"POST", "/auth/token/blacklist", `{"token":"x"}`, "token", "unknown"},
		{"PUT", "/auth/user", ``, "first_name", "required"},
		{"PUT", "/auth/user", `{"first_name":"Ada"}`, "last_name", "required"},
		{"PUT", "/auth/user", `{"last_name":"Lovelace"}`, "first_name", "required"},
		{"PUT", "/auth/user", `{"first_name":"Ada","last_name":"Lovelace","email":"eve@example.com"}`, "email", "unknown"},
		{"PUT", "/auth/user", `{"first_name":"Ada","last_name":"a\nb"}`, "last_name", "invalid"},
		{"PATCH", "/auth/user", `{"username":"eve"}`, "username", "unknown"},
		{"PATCH", "/auth/user", `{"email":"eve@example.com"}`, "email", "unknown"},
		{"PATCH", "/auth/user", `{"id":"user-eve"}`, "id", "unknown"},
		{"PATCH", "/auth/user", `{"first_name":"` + strings.Repeat("a", 151) + `"}`, "first_name", "too_long"},
		{"PATCH", "/auth/user", `{"first_name":"a\nb"}`, "first_name", "invalid"},
		{"PATCH", "/auth/user", `{"last_name":"\u001b[31m"}`, "last_name", "invalid"},
		{"PATCH", "/auth/user", `{"last_name":"\u202egnp"}`, "last_name", "invalid"},
		{"PATCH", "/auth/user", `{"last_name":"a\u2028b"}`, "last_name", "invalid"},
		{"PATCH", "/auth/sessions/{id}", ``, "name", "required"},
		{"PATCH", "/auth/sessions/{id}", `{}`, "name", "required"},
		{"PATCH", "/auth/sessions/{id}", `{"name":"a\r\nb"}`, "name", "invalid"},
		{"PATCH", "/auth/sessions/{id}", `{"name":"` + strings.Repeat("a", 101) + `"}`, "name", "too_long"},
		{"PATCH", "/auth/sessions/" + strings.Repeat("a", 65), `{"name":"a"}`, "id", "too_long"},
		{"DELETE", "/auth/sessions/" + strings.Repeat("a", 65), ``, "id", "too_long"},
	} {
		t.Run(row.method+" "+row.path+" "+row.body[:min(len(row.body), 60)], func(t *testing.T) {
			a := w.Refused(t, 422, "validation_failed", row.method, strings.Replace(row.path, "{id}", ada.SessionID, 1), row.body, ada.As)
			list, _ := a.JSON(t)["errors"].([]any)
			for _, e := range list {
				if f := e.(map[string]any); f["field"] == row.field && f["code"] == row.code {
					return
				}
			}
			t.Errorf("want %s %s: %s", row.field, row.code, a.Body)
		})
	}
	t.Run("all mistakes at once", func(t *testing.T) {
		a := w.Refused(t, 422, "validation_failed", "POST", "/auth/login", `{"username":1,"remember":2,"else":3}`)
		if list := a.JSON(t)["errors"].([]any); len(list) != 4 {
			t.Errorf("got %s", a.Body)
		}
	})
}
