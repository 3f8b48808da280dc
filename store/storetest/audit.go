package storetest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// wantTrail checks what a filter selects.
func wantTrail(e *env, f tokenjar.AuditFilter, want ...tokenjar.AuditEvent) {
	e.Helper()
	got, err := e.AuditTrail(e.Context(), f)
	must(e, err)
	if len(got) != len(want) {
		e.Fatalf("events by %+v: got %d, want %d:\n%+v", f, len(got), len(want), got)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			e.Fatalf("event %d by %+v:\n got %+v\nwant %+v", i, f, got[i], want[i])
		}
	}
}

// names returns the names of the events that a filter selects.
func names(e *env, f tokenjar.AuditFilter) string {
	e.Helper()
	list, err := e.AuditTrail(e.Context(), f)
	must(e, err)
	var text []string
	for _, a := range list {
		text = append(text, a.Name)
	}
	return strings.Join(text, " ")
}

func testAudit(t *testing.T, open opener) {
	type event = tokenjar.AuditEvent
	type filter = tokenjar.AuditFilter
	t.Run("events are read back equal, in UTC and milliseconds, the newest first", func(t *testing.T) {
		e := start(t, open)
		wantTrail(e, filter{})
		full := event{
			ID: "an id of any kind '\x00", At: noon.Add(123 * time.Microsecond).In(time.FixedZone("east", 5*3600)),
			Name: "login.failed", Reason: "wrong_password",
			UserID: newID(), SessionID: newID(), IP: "2001:db8::1", RequestID: "request-1",
			UserAgent: "Mozilla \"'; --\x00\r\n<&>\u2028 ü 🙂 \ufffd \U0010ffff",
			Detail:    map[string]string{"": "", "key\x00": "value \x00\r\n<&>\u2028 \"'; -- 🙂", "ü": "\x7f"},
		}
		bare := event{At: noon, Name: "key.rotated"}
		empty := event{Detail: map[string]string{}} // not even a time: it is now
		must(e, e.AppendAudit(e.Context(), []event{full, bare}))
		must(e, e.AppendAudit(e.Context(), []event{empty}))
		must(e, e.AppendAudit(e.Context(), nil))
		want := full
		want.At = noon
		want.Detail = maps.Clone(full.Detail)
		full.Detail["later"] = "the caller's map is the caller's"
		wantTrail(e, filter{}, event{At: e.clock.now()}, bare, want)

		got, err := e.AuditTrail(e.Context(), filter{UserID: full.UserID})
		must(e, err)
		got[0].Detail["read"] = "and the reader's is the reader's"
		wantTrail(e, filter{UserID: full.UserID}, want)
	})
	t.Run("an event that is there is not added again", func(t *testing.T) {
		e := start(t, open)
		first := event{ID: newID(), At: noon, Name: "first"}
		second := event{ID: newID(), At: noon, Name: "second"}
		third := event{ID: newID(), At: noon, Name: "third"}
		must(e, e.AppendAudit(e.Context(), []event{first, second}))
		must(e, e.AppendAudit(e.Context(), []event{second, third, third, first})) // a part of it, in doubt, and some more
		wantTrail(e, filter{}, third, second, first)
		same := event{At: noon, Name: "of no id"}
		must(e, e.AppendAudit(e.Context(), []event{same, same}))
		must(e, e.AppendAudit(e.Context(), []event{same}))
		wantTrail(e, filter{Name: "of no id"}, same, same, same)

		e.clock.advance(time.Hour)
		n, err := e.PruneAudit(e.Context(), time.Minute, 100)
		must(e, err)
		equal(e, "pruned", n, 6)
		must(e, e.AppendAudit(e.Context(), []event{first}))
		wantTrail(e, filter{}, first) // what is forgotten may come again
	})
	t.Run("of two appends of the same events at once one counts", func(t *testing.T) {
		e := start(t, open)
		var list []event
		for i := range 20 {
			list = append(list, event{ID: newID(), At: noon, Name: fmt.Sprint(i)})
		}
		var appends sync.WaitGroup
		for range 8 {
			appends.Go(func() {
				if err := e.AppendAudit(e.Context(), list); err != nil {
					e.Error(err)
				}
			})
		}
		appends.Wait()
		slices.Reverse(list)
		wantTrail(e, filter{}, list...)
	})
	t.Run("by time, and of one time the last added first", func(t *testing.T) {
		e := start(t, open)
		at := func(name string, d time.Duration) event { return event{At: noon.Add(d), Name: name} }
		must(e, e.AppendAudit(e.Context(), []event{at("1a", 0), at("3", time.Second), at("1b", 0), at("1c", 400*time.Microsecond)}))
		must(e, e.AppendAudit(e.Context(), []event{at("2", time.Millisecond), at("0", -time.Hour), at("1d", 0)}))
		equal(e, "order", names(e, filter{}), "3 2 1d 1c 1b 1a 0")
		equal(e, "the newest two", names(e, filter{Limit: 2}), "3 2")
		equal(e, "since, that time included", names(e, filter{Since: noon}), "3 2 1d 1c 1b 1a")
		equal(e, "since a part of a millisecond", names(e, filter{Since: noon.Add(300 * time.Microsecond)}), "3 2 1d 1c 1b 1a")
		equal(e, "since later", names(e, filter{Since: noon.Add(time.Millisecond)}), "3 2")
		equal(e, "since the future", names(e, filter{Since: noon.Add(time.Hour)}), "")
	})
	t.Run("filters by user, name and time, each and together", func(t *testing.T) {
		e := start(t, open)
		var list []event
		for i := range 24 {
			list = append(list, event{
				At: noon.Add(time.Duration(i) * time.Second), UserID: []string{"", "a", "b"}[i%3], Name: []string{"x", "y"}[i%2],
				RequestID: fmt.Sprint(i),
			})
		}
		must(e, e.AppendAudit(e.Context(), list))
		slices.Reverse(list)
		for _, user := range []string{"", "a", "b", "nobody", "' OR 1=1 --", "%"} {
			for _, name := range []string{"", "x", "y", "X", "'"} {
				for _, since := range []time.Time{{}, noon.Add(12 * time.Second)} {
					for _, limit := range []int{0, 3} {
						var want []event
						for _, a := range list {
							if (user == "" || a.UserID == user) && (name == "" || a.Name == name) && !a.At.Before(since) &&
								(limit == 0 || len(want) < limit) {
								want = append(want, a)
							}
						}
						wantTrail(e, filter{UserID: user, Name: name, Since: since, Limit: limit}, want...)
					}
				}
			}
		}
	})
	t.Run("a batch of any size, and pages of a thousand at most", func(t *testing.T) {
		e := start(t, open)
		var list []event
		for i := range 1500 {
			list = append(list, event{At: noon, Name: fmt.Sprint(i), UserID: "user", UserAgent: strings.Repeat("ü", 1000)})
		}
		must(e, e.AppendAudit(e.Context(), list))
		for limit, want := range map[int]int{0: 1000, -1: 1000, 1001: 1000, 1 << 40: 1000, 1000: 1000, 7: 7} {
			for _, f := range []filter{{Limit: limit}, {Limit: limit, UserID: "user"}} {
				got, err := e.AuditTrail(e.Context(), f)
				must(e, err)
				equal(e, fmt.Sprintf("events on a page of %d", limit), len(got), want)
				equal(e, "first", got[0].Name, "1499")
			}
		}
	})
	t.Run("events that are older than keep go, the oldest first, and no more than the limit", func(t *testing.T) {
		e := start(t, open)
		const keep = time.Hour
		prune := func(keep time.Duration, limit, want int) {
			e.Helper()
			n, err := e.PruneAudit(e.Context(), keep, limit)
			must(e, err)
			equal(e, "pruned", n, want)
		}
		must(e, e.AppendAudit(e.Context(), []event{
			{At: noon, Name: "b"}, {At: noon.Add(-time.Second), Name: "a"}, {At: noon, Name: "c"}, {At: noon.Add(time.Minute), Name: "d"},
		}))
		prune(keep, 10, 0)
		e.clock.set(noon.Add(keep))
		prune(keep, 0, 0)
		prune(keep, -1, 0)
		prune(keep, 10, 1)
		equal(e, "left", names(e, filter{}), "d c b") // b and c are exactly as old as keep
		e.clock.advance(time.Millisecond)
		prune(keep, 1, 1)
		equal(e, "left", names(e, filter{}), "d c")
		prune(keep, 10, 1)
		e.clock.set(noon)
		prune(-48*time.Hour, 10, 0) // no events of the future
		e.clock.set(noon.Add(2 * time.Minute))
		prune(0, 10, 1)
		must(e, e.AppendAudit(e.Context(), []event{{At: noon, Name: "e"}, {At: noon, Name: "f"}}))
		equal(e, "order after all went", names(e, filter{}), "f e")
	})
	t.Run("thousands are pruned in one call", func(t *testing.T) {
		e := start(t, open)
		list := make([]event, 1700)
		for i := range list {
			list[i] = event{At: noon.Add(time.Duration(i) * time.Millisecond), Name: fmt.Sprint(i)}
		}
		must(e, e.AppendAudit(e.Context(), list))
		e.clock.advance(time.Hour)
		n, err := e.PruneAudit(e.Context(), 0, 1698)
		must(e, err)
		equal(e, "pruned", n, 1698)
		equal(e, "left", names(e, filter{}), "1699 1698")
	})
	t.Run("events appended by several at once are all there, each batch in its order", func(t *testing.T) {
		e := start(t, open)
		for _, err := range together(8, func(i int) error {
			for n := range 10 {
				batch := []event{{At: noon, Name: "first", RequestID: fmt.Sprint(i, n)}, {At: noon, Name: "second", RequestID: fmt.Sprint(i, n)}}
				if err := e.AppendAudit(e.Context(), batch); err != nil {
					return err
				}
			}
			return nil
		}) {
			must(e, err)
		}
		list, err := e.AuditTrail(e.Context(), filter{})
		must(e, err)
		equal(e, "events", len(list), 160)
		for i := 0; i < len(list); i += 2 {
			if list[i].Name != "second" || list[i+1].Name != "first" || list[i].RequestID != list[i+1].RequestID {
				e.Fatalf("batch is torn: %+v, %+v", list[i], list[i+1])
			}
		}
	})
	t.Run("deleting a user leaves the trail", func(t *testing.T) {
		e := start(t, open)
		user := e.user()
		must(e, e.AppendAudit(e.Context(), []event{{At: noon, Name: "login.succeeded", UserID: user}}))
		_, err := e.DeleteUser(e.Context(), user)
		must(e, err)
		equal(e, "trail", names(e, filter{UserID: user}), "login.succeeded")
	})
}
