package torture_test

import (
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/torture"
)

func TestASoundDeploymentPasses(t *testing.T) {
	d := deploy(t, build{})
	report := d.torture(d.settings())
	for rule, result := range results(report) {
		if want := map[bool]torture.Result{true: torture.NotTried, false: torture.Pass}[rule == "R12"]; result != want {
			t.Errorf("%s: got %s, want %s", rule, result, want)
		}
	}
	if report.Failed() || report.Left != 0 || report.Nodes != 2 {
		t.Errorf("got %+v", report)
	}
	user, err := d.worlds[0].Store.Store.UserSessions(t.Context(), "user-"+servertest.Ada)
	if err != nil || len(user) > 0 {
		t.Errorf("sessions were left behind: %v %v", user, err)
	}
}
