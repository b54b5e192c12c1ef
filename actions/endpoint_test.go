package actions_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twokey/actions"
	"twokey/approvals"
)

// wantLedTo: that is where clients are led.
func (b *bundle) wantLedTo(node string) {
	b.Helper()
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	if b.world.leads != node {
		b.Errorf("clients are led to %s, not to %s", b.world.leads, node)
	}
}

// Clients are led to the new primary once it has shown that it takes writes and
// is what was promised, and before anything that takes long.
func TestEndpointMovesAfterTheProbeAndBeforeTheRest(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]story{"switchover": planned, "failover": disastre} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				s.begin(b)
				o := b.start(nil)
				r := o.ask(s.question)
				if !strings.Contains(r.Subject.Text, "point clients at dc2: the simulated record, seen by clients within 60 s") ||
					!strings.Contains(r.Subject.Text, "- endpoint: the simulated record, seen by clients within 60 s") {
					b.Errorf("the plan doesn't say where clients are led, and how soon:\n%s", r.Subject.Text)
				}
				r = b.awaitEnd(r.ID)
				b.wantState(r, approvals.Succeeded)
				b.wantServing("dc2")
				b.wantLedTo("dc2")
				var done []actions.Op
				for _, e := range b.entries(r.ID) {
					if e.Phase == actions.Done && slices.Contains([]actions.Op{actions.OpProbe, actions.OpConfirm, actions.OpEndpoint, actions.OpSettleDisk}, e.Op) {
						done = append(done, e.Op)
					}
				}
				if diff := cmp.Diff([]actions.Op{actions.OpProbe, actions.OpConfirm, actions.OpEndpoint, actions.OpSettleDisk}, done); diff != "" {
					b.Errorf("in the order -, but done +:\n%s", diff)
				}
			})
		})
	}
}

// An endpoint that can't be moved leaves a working primary and says what to do.
func TestEndpointThatFailsIsLeftToPeople(t *testing.T) {
	t.Parallel()
	todo := "Point clients at dc2 yourself: the simulated record, seen by clients within 60 s"
	for title, row := range map[string]struct {
		fault func(b *bundle)
		says  string
	}{
		"it fails": {broken("point", "dc2"), "point is broken"},
		"it hangs": {hanging("point", "dc2"), "pointing the endpoint at dc2 took longer than 10s"},
	} {
		for name, s := range map[string]story{"switchover": planned, "failover": disastre} {
			t.Run(name+": "+title, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(b *bundle) {
					s.begin(b)
					row.fault(b)
					r := b.awaitEnd(b.start(nil).ask(s.question).ID)
					b.wantState(r, approvals.Succeeded)
					if !b.wantServing("dc2").whole {
						b.Error("the rest was not done")
					}
					b.wantLedTo("dc1")
					got := strings.Join(b.outcome(r).Todo, "\n")
					if !strings.HasPrefix(got, todo) || !strings.Contains(got, row.says) || len(b.outcome(r).Todo) != 1 {
						b.Errorf("todo %q, want %q with %q", got, todo, row.says)
					}
				})
			})
		}
	}
}

// Where clients are led is shown, and never stands in the way.
func TestEndpointIsChecked(t *testing.T) {
	t.Parallel()
	seen := func(s ...actions.EndpointSeen) change { return func(e *actions.Evidence) { e.Endpoints = s } }
	for title, row := range map[string]struct {
		evidence actions.Evidence
		status   actions.Status
		says     string
	}{
		"it leads to the primary":          {but(seen(actions.EndpointSeen{Text: "record", Node: "dc1"})), actions.OK, "it leads to dc1"},
		"it leads to the standby":          {but(seen(actions.EndpointSeen{Text: "record", Node: "dc2"})), actions.Warn, "record leads to dc2"},
		"it leads elsewhere":               {but(seen(actions.EndpointSeen{Text: "record"})), actions.Warn, "record leads to neither node"},
		"it can't be read":                 {but(seen(actions.EndpointSeen{Text: "record", Problem: "503"})), actions.Warn, "record can't be read: 503"},
		"one of two leads elsewhere":       {but(seen(actions.EndpointSeen{Text: "record", Node: "dc1"}, actions.EndpointSeen{Text: "service", Node: "dc2"})), actions.Warn, "service leads to dc2"},
		"the primary is lost":              {but(disaster, seen(actions.EndpointSeen{Text: "record", Node: "dc1"})), actions.OK, "it leads to dc1"},
		"there is no primary to be led to": {but(gone("dc1", actions.Unreachable, "x"), gone("dc2", actions.Unreachable, "x"), memory(func(m *actions.Remembered) { *m = actions.Remembered{} }), seen(actions.EndpointSeen{Text: "record", Node: "dc1"})), actions.Unclear, ""},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			with, bare := actions.Judge(row.evidence), row.evidence
			bare.Endpoints = nil
			without := actions.Judge(bare)
			if with.Possible != without.Possible || with.Loss != without.Loss || with.Health != without.Health {
				t.Errorf("it changes the verdict: %+v, without %+v", with, without)
			}
			last := with.Checks[len(with.Checks)-1]
			if last.ID != "endpoint" || last.Status != row.status || !strings.Contains(last.Detail, row.says) {
				t.Errorf("%+v, want %s: %s", last, row.status, row.says)
			}
			if len(without.Checks) != len(with.Checks)-1 {
				t.Error("a pair without an endpoint is asked for one")
			}
		})
	}
}

// A plan that names an endpoint is stale when it is another; where it leads
// is no matter.
func TestEndpointInThePlansFacts(t *testing.T) {
	t.Parallel()
	seen := func(text, node string) actions.Evidence {
		return but(func(e *actions.Evidence) { e.Endpoints = []actions.EndpointSeen{{Text: text, Node: node}} })
	}
	was := actions.FactsFor(seen("record, 60 s", "dc1"), switchover, actions.Block)
	if diff := was.Diff(actions.FactsFor(seen("record, 60 s", "dc2"), switchover, actions.Block)); len(diff) > 0 {
		t.Errorf("where it leads makes the plan stale: %v", diff)
	}
	for title, fresh := range map[string]actions.Evidence{"another TTL": seen("record, 600 s", "dc1"), "no endpoint": but()} {
		if diff := was.Diff(actions.FactsFor(fresh, switchover, actions.Block)); len(diff) != 1 || diff[0].Name != "endpoint" {
			t.Errorf("%s: %v", title, diff)
		}
	}
}
