package server_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar/internal/history"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/stress"
)

// Whatever pages and programs ask a server for at once, over real connections, one sequence of events explains what they
// are told.
func TestHistoriesOverHTTPAreLinearizable(t *testing.T) { // T-02, T-03, T-09, T-11
	for name, setup := range map[string]servertest.Setup{
		"memory": {},
		"sqlite": {Store: servertest.OpenSQLite}, "postgresql": {Store: servertest.OpenPostgres},
	} {
		t.Run(name, func(t *testing.T) {
			w := servertest.Start(t, setup)
			transport := w.Transport(t)
			j, seed := &history.Journal{}, stress.Seed(t)
			var storms sync.WaitGroup
			const sessions, clients, steps = 10, 3, 5
			for i, user := range []string{servertest.Ada, servertest.Eve, servertest.Ada} {
				var tabs []history.Client
				for range clients {
					tabs = append(tabs, &history.HTTP{
						URL: w.URL, Client: &http.Client{Transport: transport}, Username: user, Password: servertest.Password,
						Cookies: i%2 == 0,
					})
				}
				storms.Go(func() {
					err := history.Storm{
						Journal: j, Name: fmt.Sprint("storm ", i), Clients: tabs, Sessions: stress.Times(t, sessions), Steps: steps,
						Seed: seed + uint64(i), Thief: i == 2,
					}.Run(t.Context())
					if err != nil {
						t.Error(err)
					}
				})
			}
			storms.Wait()
			ops := j.Ops()
			told := make(map[string]int)
			for _, op := range ops {
				told[fmt.Sprint(op.Kind, " ", op.Outcome)]++
			}
			t.Logf("%d operations: %v", len(ops), told)
			if len(ops) < 3*sessions*clients*steps || told["refresh ok"] < len(ops)/20 || told["read ended"] == 0 || told["refresh ended"] == 0 {
				t.Errorf("the history is too thin: %d operations: %v", len(ops), told)
			}
			if err := history.Check(ops, history.Rules{Grace: true}); err != nil {
				t.Error(err)
			}
		})
	}
}
