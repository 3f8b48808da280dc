package cookie_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/cookie"
)

const at, rt, ct = "__Host-access_token", "__Host-refresh_token", "__Host-csrftoken"

// bad are values that are never issued, never accepted and never altered into something that would be.
var bad = []string{
	"", `"tok"`, `"tok`, `tok"`, `t"ok`, `"`, `""`, "to k", "to\tk", "t,k", `t\k`, `t\"k`, "t%6fk", "t%", "%00",
	"tok\x00", "\x01tok", "tok\x7f", "tok\r", "tok\r\nX: y", "tök", "tok\x80", "tok\xff", "tok\u00a0",
}

func TestRead(t *testing.T) {
	big := strings.Repeat("v", 4096-len(at)+1)
	for _, tt := range []struct {
		name   string
		lines  []string
		access cookie.Found
		csrf   []string
	}{
		{name: "no Cookie field"},
		{name: "empty Cookie field", lines: []string{""}},
		{name: "other cookies", lines: []string{"a=1; b=2"}},
		{name: "ours alone", lines: []string{at + "=tok"}, access: cookie.Found{Values: []string{"tok"}}},
		{name: "ours among others", lines: []string{"a=1; " + at + "=tok; b=2; " + ct + "=c"}, access: cookie.Found{Values: []string{"tok"}}, csrf: []string{"c"}},
		{name: "without blanks after semicolons", lines: []string{"a=1;" + at + "=tok;" + ct + "=c"}, access: cookie.Found{Values: []string{"tok"}}, csrf: []string{"c"}},
		{name: "stray semicolons", lines: []string{";; " + at + "=tok;;"}, access: cookie.Found{Values: []string{"tok"}}},
		{name: "equals signs in the value", lines: []string{at + "=to=k=="}, access: cookie.Found{Values: []string{"to=k=="}}},

		{name: "CK-01 two values in one line", lines: []string{at + "=good; " + at + "=tossed"}, access: cookie.Found{Values: []string{"good", "tossed"}}},
		{name: "CK-01 two values, other order", lines: []string{at + "=tossed; " + at + "=good"}, access: cookie.Found{Values: []string{"tossed", "good"}}},
		{name: "CK-01 two values in two lines", lines: []string{at + "=tossed; a=1", "b=2; " + at + "=good"}, access: cookie.Found{Values: []string{"tossed", "good"}}},
		{name: "CK-01 one value twice is one", lines: []string{at + "=tok; " + at + "=tok", at + "=tok"}, access: cookie.Found{Values: []string{"tok"}}},
		{name: "CK-07 bad shadow first", lines: []string{at + `="x"; ` + at + "=good"}, access: cookie.Found{Values: []string{"good"}, Invalid: 1}},
		{name: "CK-02 bare name is another cookie", lines: []string{"access_token=tossed"}},
		{name: "CK-03 name in another case", lines: []string{"__host-access_token=tossed; __HOST-ACCESS_TOKEN=x"}},
		{name: "CK-03 name with another prefix", lines: []string{"__Secure-access_token=tossed"}},

		{name: "CK-05 quoted", lines: []string{at + `="tok"; ` + ct + "=c"}, access: cookie.Found{Invalid: 1}, csrf: []string{"c"}},
		{name: "CK-05 half a quote", lines: []string{at + `="tok; ` + ct + "=c"}, access: cookie.Found{Invalid: 1}, csrf: []string{"c"}},
		{name: "CK-05 sandwich around ours", lines: []string{`$Version="1"; a="x; ` + at + `=tok; b=y"; ` + ct + "=c"}, access: cookie.Found{Values: []string{"tok"}}, csrf: []string{"c"}},
		{name: "CK-05 sandwich inside ours", lines: []string{at + `="x; ` + ct + `=c; b=y"`}, access: cookie.Found{Invalid: 1}, csrf: []string{"c"}},
		{name: "CK-05 $Version and $Path are cookies like any other", lines: []string{"$Version=1; " + at + "=tok; $Path=/; $Domain=x"}, access: cookie.Found{Values: []string{"tok"}}},
		{name: "CK-05 comma does not separate", lines: []string{"a=1, " + at + "=tok"}},
		{name: "CK-05 comma after ours", lines: []string{at + "=tok, a=1"}, access: cookie.Found{Invalid: 1}},

		{name: "CK-06 percent escapes", lines: []string{at + "=t%6Fk"}, access: cookie.Found{Invalid: 1}},
		{name: "CK-06 blank before the value", lines: []string{at + "= tok"}, access: cookie.Found{Invalid: 1}},
		{name: "CK-06 blank after the value", lines: []string{at + "=tok ; a=1"}, access: cookie.Found{Invalid: 1}},
		{name: "CK-06 blank before the equals sign", lines: []string{at + " =tok"}, access: cookie.Found{Invalid: 1}},
		{name: "CK-06 line break before the name", lines: []string{"a=1;\n" + at + "=tok"}, access: cookie.Found{Invalid: 1}},
		{name: "CK-06 tab before the name", lines: []string{"a=1;\t" + at + "=tok"}, access: cookie.Found{Values: []string{"tok"}}},
		{name: "CK-06 8-bit", lines: []string{at + "=t\xf6k"}, access: cookie.Found{Invalid: 1}},
		{name: "CK-06 NUL", lines: []string{at + "=tok\x00"}, access: cookie.Found{Invalid: 1}},
		{name: "empty value", lines: []string{at + "="}, access: cookie.Found{Invalid: 1}},
		{name: "name without equals sign", lines: []string{at}, access: cookie.Found{Invalid: 1}},
		{name: "CK-13 larger than any we issue", lines: []string{at + "=" + big}, access: cookie.Found{Invalid: 1}},
		{name: "CK-14 200 cookies", lines: []string{strings.Repeat("a=1; ", 199) + at + "=tok"}, access: cookie.Found{Values: []string{"tok"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPolicy(t, cookie.Config{})
			h := http.Header{"Cookie": tt.lines}
			got, err := p.Read(h)
			want := cookie.Cookies{Access: tt.access, CSRF: cookie.Found{Values: tt.csrf}}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			if one, err := cookie.Read(h, at); err != nil || !reflect.DeepEqual(one, tt.access) {
				t.Errorf("Read of one name: got %+v, %v, want %+v", one, err, tt.access)
			}
			if got, want := got.Access.Present(), len(tt.access.Values)+tt.access.Invalid > 0; got != want {
				t.Errorf("Present: got %v, want %v", got, want)
			}
		})
	}
}

func TestTooManyCookiesAreAnError(t *testing.T) {
	p := newPolicy(t, cookie.Config{})
	refused := func(t *testing.T, lines []string) {
		t.Helper()
		h := http.Header{"Cookie": lines}
		if got, err := p.Read(h); !errors.Is(err, cookie.ErrTooMany) || !reflect.DeepEqual(got, cookie.Cookies{}) {
			t.Errorf("got %+v, %v, want ErrTooMany", got, err)
		}
		if got, err := cookie.Read(h, at); !errors.Is(err, cookie.ErrTooMany) || got.Present() {
			t.Errorf("Read of one name: got %+v, %v, want ErrTooMany", got, err)
		}
		if got, err := (cookie.JWT{}).Read(h); !errors.Is(err, cookie.ErrTooMany) || got.Present() {
			t.Errorf("JWT.Read: got %+v, %v, want ErrTooMany", got, err)
		}
	}
	for _, n := range []int{201, 3001, 10000} {
		for name, lines := range map[string][]string{
			"in one line, ours last":  {strings.Repeat("a=1; ", n-1) + at + "=tok"},
			"in one line, ours first": {at + "=tok" + strings.Repeat("; a=1", n-1)},
			"one to a line":           append(slices.Repeat([]string{"a=1"}, n-1), at+"=tok"),
			"empty pairs":             {at + "=tok" + strings.Repeat(";", n-1)},
		} {
			t.Run(fmt.Sprintf("CK-14 X-19 %d cookies %s", n, name), func(t *testing.T) { refused(t, lines) })
		}
	}
	same := func(n int) (line string) {
		for i := range n {
			line += fmt.Sprintf("%s=tok%d; ", at, i)
		}
		return line
	}
	t.Run("CK-01 nine values of one name", func(t *testing.T) { refused(t, []string{same(9)}) })
	t.Run("CK-01 eight values of one name", func(t *testing.T) {
		h := http.Header{"Cookie": {same(8) + at + "=tok0"}}
		got, err := p.Read(h)
		one, errOne := cookie.Read(h, at)
		if err != nil || errOne != nil || len(got.Access.Values) != 8 || len(one.Values) != 8 {
			t.Errorf("got %+v, %v, and %+v, %v, want eight", got, err, one, errOne)
		}
	})
}

// Beside much else the value is read whole or not at all, never in part.
func TestCK13LongHeaders(t *testing.T) {
	p := newPolicy(t, cookie.Config{})
	for _, size := range []int{8 << 10, 16 << 10, 64 << 10} {
		for name, lines := range map[string][]string{
			"before":      {"a=" + strings.Repeat("x", size) + "; " + at + "=tok"},
			"behind":      {at + "=tok; a=" + strings.Repeat("x", size)},
			"in its line": {"a=" + strings.Repeat("x", size), at + "=tok"},
		} {
			if got, err := p.Read(http.Header{"Cookie": lines}); err != nil || !slices.Equal(got.Access.Values, []string{"tok"}) || got.Access.Invalid != 0 {
				t.Errorf("CK-13 %d bytes %s: got %+v, %v, want tok", size, name, got, err)
			}
		}
		if got, err := p.Read(http.Header{"Cookie": {at + "=" + strings.Repeat("t", size)}}); err != nil || len(got.Access.Values) != 0 || got.Access.Invalid != 1 {
			t.Errorf("CK-13 a value of %d bytes: got %+v, %v, want it invalid", size, got.Access.Invalid, err)
		}
	}
}

func TestBadValuesAreCountedNotDropped(t *testing.T) { // CK-05, CK-06
	p := newPolicy(t, cookie.Config{})
	for _, v := range bad {
		got, err := p.Read(http.Header{"Cookie": {"a=1; " + rt + "=" + v + "; " + ct + "=c"}})
		if err != nil || got.Refresh.Invalid != 1 || got.Refresh.Values != nil || !slices.Equal(got.CSRF.Values, []string{"c"}) {
			t.Errorf("%q: got %+v, %v, want one invalid cookie and the next one read", v, got, err)
		}
	}
}

// What net/http's reader makes of the same bytes; when an upgrade changes it, this says so (M-16 to M-18).
func TestStandardLibraryReader(t *testing.T) {
	r := &http.Request{Header: http.Header{"Cookie": {at + "=first; " + at + "=second"}}}
	if c, err := r.Cookie(at); err != nil || c.Value != "first" {
		t.Errorf("M-16: got %v, %v, want the first of two", c, err)
	}
	r.Header["Cookie"] = []string{at + `="1"`}
	if c, err := r.Cookie(at); err != nil || c.Value != "1" {
		t.Errorf("M-17: got %v, %v, want the quotes stripped", c, err)
	}
	r.Header["Cookie"] = []string{strings.Repeat("a=1; ", 3001) + at + "=tok"}
	if got := r.Cookies(); len(got) != 0 {
		t.Errorf("M-18: got %d cookies, want the list silently empty", len(got))
	}
}

// FuzzCookieHeader: every reader agrees on whether a cookie of ours is there. Ours sees each that net/http sees, and
// takes its value only when net/http takes the same one; reading one name and reading all are the same; the order of
// a second line does not matter; what is taken could have been issued.
func FuzzCookieHeader(f *testing.F) {
	for _, v := range bad {
		f.Add(at+"="+v+"; "+ct+"=c", rt+"="+v)
	}
	f.Add(at+"=a; "+rt+"=r; "+ct+"=c", "")
	f.Add(`$Version="1"; a="x; `+at+`=tok; b=y"`, at+"=tok")
	f.Add(at+" = tok;"+rt+";=;;", "__host-access_token=x")
	f.Add(strings.Repeat("a=1;", 205), at+"=tok")
	f.Add("\n"+ct, at+"\r=tok;\v"+at+"=tok")
	p, err := cookie.New(cookie.Config{PublicURL: public})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		h := http.Header{"Cookie": {one, two}}
		all, err := p.Read(h)
		if err != nil {
			many := strings.Count(one+two, ";")+2 > cookie.MaxPairs
			for _, name := range []string{at, rt, ct} {
				many = many || strings.Count(one, name)+strings.Count(two, name) > cookie.MaxSame
			}
			if !many || !reflect.DeepEqual(all, cookie.Cookies{}) {
				t.Fatalf("got %+v, %v", all, err)
			}
			return
		}
		std := (&http.Request{Header: h}).Cookies()
		for name, found := range map[string]cookie.Found{at: all.Access, rt: all.Refresh, ct: all.CSRF} {
			if single, err := cookie.Read(h, name); err != nil || !reflect.DeepEqual(single, found) {
				t.Fatalf("%s: reading one gives %+v, %v, reading all %+v", name, single, err, found)
			}
			swapped, _ := cookie.Read(http.Header{"Cookie": {two, one}}, name)
			if len(swapped.Values) != len(found.Values) || swapped.Invalid != found.Invalid {
				t.Fatalf("%s: lines swapped give %+v, before %+v", name, swapped, found)
			}

			var seen, clean []string
			for _, c := range std {
				if c.Name == name {
					seen = append(seen, c.Value)
					if !c.Quoted {
						clean = append(clean, c.Value)
					}
				}
			}
			if len(seen) > 0 && !found.Present() {
				t.Fatalf("%s: net/http sees %q, we see none", name, seen)
			}
			for _, v := range found.Values {
				if !slices.Contains(clean, v) {
					t.Fatalf("%s: we take %q, net/http sees %q", name, v, clean)
				}
				if strings.ContainsAny(v, "\" ,;\\%") || v == "" {
					t.Fatalf("%s: took %q", name, v)
				}
				c := &http.Cookie{Name: name, Value: v}
				if got := c.String(); got != name+"="+v {
					t.Fatalf("%s: %q is written as %q", name, v, got)
				}
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	p := newPolicy(b, cookie.Config{})
	token := strings.Repeat("v", 600)
	h := http.Header{"Cookie": {fmt.Sprintf("_ga=GA1.2.3; %s=%s; %s=%s; %s=%s", at, token, rt, token[:400], ct, token[:43])}}
	b.Run("three cookies", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if c, err := p.Read(h); err != nil || !c.Access.Present() {
				b.Fatal(err)
			}
		}
	})
	b.Run("one name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if f, err := cookie.Read(h, at); err != nil || !f.Present() {
				b.Fatal(err)
			}
		}
	})
	b.Run("none of ours", func(b *testing.B) {
		h := http.Header{"Cookie": {"_ga=GA1.2.3; theme=dark; lang=de"}}
		b.ReportAllocs()
		for b.Loop() {
			if c, err := p.Read(h); err != nil || c.Access.Present() {
				b.Fatal(err)
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		r := &http.Request{Header: h}
		b.ReportAllocs()
		for b.Loop() {
			if len(r.Cookies()) != 4 {
				b.Fatal("lost")
			}
		}
	})
}

// What is read the plain way is what Read finds.
func FuzzReadPlain(f *testing.F) {
	policy, err := cookie.New(cookie.Config{PublicURL: "http://localhost:8080"})
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range []string{
		"", ";", "access_token=a.b-c_d", "access_token=a; refresh_token=b; csrftoken=c; theme=dark", "access_token=a; access_token=a", "access_token=a;access_token=b",
		"access_token =a", " access_token=a", "\taccess_token=a", "access_token", "access_token=", "access_token=\"a\"; refresh_token=b", "ACCESS_TOKEN=a", "access_token=a; refresh_token=",
		"access_token=a; csrftoken=1; csrftoken=2", "x=\"access_token=a\"; access_token=b", "access_token=a; access_token =b", "refresh_token=b", "access_token=a\x00", "access_token=a; csrftoken=1; csrftoken=2; csrftoken=3; csrftoken=4; csrftoken=5; csrftoken=6; csrftoken=7; csrftoken=8; csrftoken=9", "access_token==", "=access_token=a",
		strings.Repeat("a=b;", cookie.MaxPairs-1) + "access_token=a", strings.Repeat("a=b;", cookie.MaxPairs) + "access_token=a", "access_token=" + strings.Repeat("a", cookie.MaxSize),
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		access, refresh, ok := policy.ReadPlain(h)
		found, err := policy.Read(h)
		if !ok {
			if access != "" || refresh != "" {
				t.Fatalf("refused, yet %q and %q", access, refresh)
			}
			if err == nil && len(found.Access.Values) == 1 && found.Access.Invalid == 0 && len(found.Refresh.Values) <= 1 && found.Refresh.Invalid == 0 && !found.CSRF.Present() && strings.Count(line, found.Access.Values[0]) == 1 {
				if strings.Count(line, "refresh_token") <= 1 {
					t.Fatalf("ordinary, yet refused: %q", line)
				}
			}
			return
		}
		if err != nil {
			t.Fatalf("%q was read, though Read says %v", line, err)
		}
		clean := func(f cookie.Found, value string) bool {
			return len(f.Values) == 1 && f.Values[0] == value
		}
		// A value that is not clean is no token of ours, whoever reads it.
		if !clean(found.Access, access) && len(found.Access.Values) != 0 {
			t.Fatalf("%q: access %q, Read found %+v", line, access, found.Access)
		}
		if len(found.Access.Values) == 0 && found.Access.Invalid == 0 {
			t.Fatalf("%q: access %q, Read found none", line, access)
		}
		if refresh == "" && len(found.Refresh.Values) != 0 || refresh != "" && !clean(found.Refresh, refresh) && len(found.Refresh.Values) != 0 {
			t.Fatalf("%q: refresh %q, Read found %+v", line, refresh, found.Refresh)
		}
	})
}

func TestReadPlainTakesOrdinaryRequestsAlone(t *testing.T) {
	policy, err := cookie.New(cookie.Config{PublicURL: "https://app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Cookie": {"theme=dark; __Host-access_token=a.b.c; __Host-csrftoken=x; __Host-refresh_token=d.e.f"}}
	access, refresh, ok := policy.ReadPlain(h)
	if access != "a.b.c" || refresh != "d.e.f" || !ok {
		t.Errorf("got %q, %q, %v", access, refresh, ok)
	}
	if n := testing.AllocsPerRun(10, func() { policy.ReadPlain(h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for _, lines := range [][]string{nil, {"__Host-access_token=a", "theme=dark"}, {"access_token=a"}} {
		if _, _, ok := policy.ReadPlain(http.Header{"Cookie": lines}); ok {
			t.Errorf("%q: taken", lines)
		}
	}
}
