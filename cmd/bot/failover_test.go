package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"twokey/actions"
	"twokey/approvals"
)

func outcomeOf(r approvals.Request) (out actions.Outcome, err error) {
	if len(r.Outcome) > 0 {
		err = json.Unmarshal(r.Outcome, &out)
	}
	return out, err
}

// TestScriptedDemo is the README's promise: the whole story loses nothing, and
// its last line of output is the result.
func TestScriptedDemo(t *testing.T) {
	t.Parallel()
	playScript(t)
}

// TestScriptedDemoOverSocketMode is the same story over the other transport.
func TestScriptedDemoOverSocketMode(t *testing.T) {
	t.Parallel()
	playScript(t, "--socket")
}

func playScript(t *testing.T, flags ...string) {
	t.Helper()
	code, out, errOut := runMain(t, append([]string{"demo", "--scripted"}, flags...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 {
		t.Fatalf("exit code %d: %s\n%s", code, errOut, out)
	}
	var res result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &res); err != nil {
		t.Fatalf("the last line is no result: %v\n%s", err, lines[len(lines)-1])
	}
	if res.Lost != 0 || res.Acknowledged < 400 || res.WritePause <= 0 {
		t.Errorf("result %+v", res)
	}
	if want := []string{"dba-1", "dba-2"}; !slices.Equal(res.Approvers, want) {
		t.Errorf("approvers %v, want %v", res.Approvers, want)
	}
	for _, words := range []string{"/pg status", "You asked for this", "can't vote", "Health report", "Switchover of orders: done", "postgresql://"} {
		if !strings.Contains(out, words) {
			t.Errorf("the transcript doesn't show %q", words)
		}
	}
	if strings.Contains(res.Connection, "password") || !strings.Contains(res.Connection, "target_session_attrs=read-write") {
		t.Errorf("connection string %s", res.Connection)
	}
}

// TestFailoverAfterThePrimaryWasKilled: the primary is gone at once, with all
// its sessions; what it had acknowledged is on the promoted standby, and the
// old primary comes back as a standby.
func TestFailoverAfterThePrimaryWasKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	w.must(w.load.Until(w.ctx(), 100))
	w.loses("dc1")

	ts := w.ask("failover orders -- dc1 is gone")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")

	r, out := w.ended()
	if r.State != approvals.Succeeded || out.Kind != actions.KindFailover {
		t.Fatalf("the request ended %s (%s): %s", r.State, out.Kind, r.Why)
	}
	if out.Clearance != actions.ClearOff || out.NewPrimary != "dc2" {
		t.Errorf("promoted %s on clearance %q, want dc2 on %q", out.NewPrimary, out.Clearance, actions.ClearOff)
	}
	if len(out.Todo) > 0 || out.Rejoin == nil {
		t.Errorf("dc1 did not rejoin: %v", out.Todo)
	}
	rep := w.health(actions.HealthOK)
	if rep.Verdict.Primary != "dc2" || rep.Verdict.Standby != "dc1" {
		t.Errorf("%s is primary and %s standby", rep.Verdict.Primary, rep.Verdict.Standby)
	}
	w.shown("failover of orders: done", "dc2", "postgresql://")
	w.noLoss()
}

// TestFailoverIsHeldWithoutADriver: nothing can show that the old primary is
// off, so a named person has to say it, by typing the pair's name.
func TestFailoverIsHeldWithoutADriver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.noDriver = "dc1" })
	w.health(actions.HealthOK)
	w.loses("dc1")

	ts := w.ask("failover")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	held := w.request(in(approvals.Held))
	if !strings.Contains(held.OpenPause().Question, "dc1 is off") {
		t.Errorf("the question is %q", held.OpenPause().Question)
	}
	w.shown("held")
	for _, c := range []struct {
		who  approvals.Person
		text string
		code approvals.Code
	}{
		{"guest", "orders", approvals.CodeAccount}, // not in the list of people
		{"dba-1", "order", approvals.CodeStatement},
	} {
		_, err := w.service.desk.Answer(w.ctx(), held.ID, approvals.Ballot{Person: c.who, Place: held.Place}, approvals.Accept, c.text)
		if approvals.Refused(err) != c.code {
			t.Errorf("%s typed %q: %v, want %s", c.who, c.text, err, c.code)
		}
	}
	_, err := w.service.desk.Answer(w.ctx(), held.ID, approvals.Ballot{Person: "dba-1", Place: held.Place}, approvals.Accept, "orders")
	w.must(err)
	r, out := w.ended()
	if r.State != approvals.Succeeded || out.Clearance != actions.ClearAccepted || out.AcceptedBy != "dba-1" {
		t.Errorf("ended %s on %q accepted by %q: %s", r.State, out.Clearance, out.AcceptedBy, r.Why)
	}
	if len(out.Todo) == 0 {
		t.Error("dc1 can't be rejoined without a driver, and nobody is told")
	}
	w.noLoss()
}

// TestHeldFailoverThatIsRefusedIsTakenBack: the standby is thawed and nobody is
// promoted.
func TestHeldFailoverThatIsRefusedIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.noDriver = "dc1" })
	w.health(actions.HealthOK)
	w.loses("dc1")
	ts := w.ask("failover")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	held := w.request(in(approvals.Held))
	_, err := w.service.desk.Answer(w.ctx(), held.ID, approvals.Ballot{Person: "manager", Place: held.Place}, approvals.Refuse, "")
	w.must(err)
	r, _ := w.ended()
	if r.State != approvals.Aborted || !strings.Contains(r.Why, "manager refused") {
		t.Errorf("ended %s: %s", r.State, r.Why)
	}
	_, err = w.pair.Node("dc1").Server.Start(w.ctx())
	w.must(err)
	w.health(actions.HealthOK)
	w.noLoss()
}

// TestOldPrimaryThatDiesWhileItFollowsIsRejoined: the promotion is done, and the
// node that was just started as a standby is killed. It is started once more.
func TestOldPrimaryThatDiesWhileItFollowsIsRejoined(t *testing.T) {
	t.Parallel()
	var w *world
	killed := false
	w = newWorld(t, func(d *demo) {
		d.timeouts = "timeouts: {stop: 5s}\n"
		d.at = func(ctx context.Context, p actions.Point) error {
			if p.Op != actions.OpSettleDisk || !p.After || killed {
				return nil
			}
			killed = true
			return d.pair.Node("dc1").Server.Kill(ctx)
		}
	})
	w.health(actions.HealthOK)
	ts := w.ask("switchover")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	r, out := w.ended()
	if r.State != approvals.Succeeded || len(out.Todo) > 0 || out.Rejoin == nil || !killed {
		t.Errorf("ended %s, rejoin %v, killed %t, left to do %v: %s", r.State, out.Rejoin, killed, out.Todo, r.Why)
	}
	w.health(actions.HealthOK)
	w.noLoss()
}
