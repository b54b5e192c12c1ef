package approvals_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/approvals"
)

var causes = []approvals.Cause{
	approvals.Ask, approvals.Approve, approvals.Deny, approvals.Cancel, approvals.Expire, approvals.Outdate, approvals.Claim,
	approvals.Hold, approvals.Accept, approvals.Refuse, approvals.Lapse, approvals.Succeed, approvals.Abort, approvals.Fail, approvals.Lose,
}

// TestEveryStateAndCause holds the whole machine a second time, as a table that
// people can read: a row for each state, and what each cause makes of it.
func TestEveryStateAndCause(t *testing.T) {
	t.Parallel()
	const table = `
		state     | ask     | approve  | deny   | cancel    | expire  | outdate | claim     | hold | accept    | refuse    | lapse     | succeed   | abort   | fail   | lose
		(none)    | pending | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		pending   | -       | partial  | denied | cancelled | expired | stale   | -         | -    | -         | -         | -         | -         | -       | -      | -
		partial   | -       | approved | denied | cancelled | expired | stale   | -         | -    | -         | -         | -         | -         | -       | -      | -
		approved  | -       | -        | denied | cancelled | expired | stale   | executing | -    | -         | -         | -         | -         | -       | -      | -
		executing | -       | -        | -      | -         | -       | -       | -         | held | -         | -         | -         | succeeded | aborted | failed | unknown
		held      | -       | -        | -      | -         | -       | -       | -         | -    | executing | executing | executing | -         | -       | -      | -
		succeeded | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		aborted   | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		failed    | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		unknown   | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		denied    | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		expired   | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		cancelled | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -
		stale     | -       | -        | -      | -         | -       | -       | -         | -    | -         | -         | -         | -         | -       | -      | -`
	rows := strings.Split(strings.TrimSpace(table), "\n")
	head := cellsOf(rows[0])[1:]
	if diff := cmp.Diff(causes, asCauses(head)); diff != "" {
		t.Fatalf("the table's columns are not all causes:\n%s", diff)
	}
	var states []approvals.State
	for _, row := range rows[1:] {
		cells := cellsOf(row)
		from := approvals.State(strings.TrimPrefix(cells[0], "(none)"))
		states = append(states, from)
		for i, cell := range cells[1:] {
			checkMove(t, from, causes[i], cell)
		}
	}
	if diff := cmp.Diff(approvals.States(), states[1:]); diff != "" {
		t.Errorf("the table's rows are not all states:\n%s", diff)
	}
}

func cellsOf(row string) []string { return strings.Fields(strings.ReplaceAll(row, "|", " ")) }

func asCauses(words []string) []approvals.Cause {
	var out []approvals.Cause
	for _, w := range words {
		out = append(out, approvals.Cause(w))
	}
	return out
}

func checkMove(t *testing.T, from approvals.State, cause approvals.Cause, want string) {
	t.Helper()
	to, err := approvals.Next(from, cause)
	switch {
	case want != "-" && (err != nil || string(to) != want):
		t.Errorf("%s of a request that is %q leads to %q, %v; want %s", cause, from, to, err, want)
	case want == "-" && (approvals.Refused(err) != approvals.CodeState || to != from):
		t.Errorf("%s of a request that is %q leads to %q, %v; want a refusal", cause, from, to, err)
	case want == "-" && !strings.Contains(err.Error(), string(from)):
		t.Errorf("%s of a request that is %q is refused without saying so: %v", cause, from, err)
	}
}

func TestNextRefusesWhatIsNoCause(t *testing.T) {
	t.Parallel()
	for _, s := range append(approvals.States(), "", "nonsense") {
		if to, err := approvals.Next(s, "nonsense"); approvals.Refused(err) != approvals.CodeState || to != s {
			t.Errorf("from %q to %q, %v", s, to, err)
		}
	}
}

// TestTransitionsAreTold: each move says why, once, and each state can be reached.
func TestTransitionsAreTold(t *testing.T) {
	t.Parallel()
	reached := map[approvals.State]bool{}
	seen := map[string]bool{}
	for _, m := range approvals.Transitions() {
		key := fmt.Sprint(m.From, m.Cause)
		if m.Why == "" || seen[key] {
			t.Errorf("%s of %s: why %q, listed before: %t", m.Cause, m.From, m.Why, seen[key])
		}
		seen[key], reached[m.To] = true, true
		if m.From.Ended() && m.From != "" {
			t.Errorf("%s has ended and goes on to %s", m.From, m.To)
		}
	}
	for _, s := range approvals.States() {
		if !reached[s] {
			t.Errorf("nothing leads to %s", s)
		}
		if n := countTrue(s.Ended(), s.Votable(), s.Running()); n != 1 {
			t.Errorf("%s is ended %t, votable %t, running %t: exactly one must hold", s, s.Ended(), s.Votable(), s.Running())
		}
	}
}

func countTrue(of ...bool) (n int) {
	for _, b := range of {
		if b {
			n++
		}
	}
	return n
}

// calls is everything that can be tried on a request.
func calls(r approvals.Request) map[string]result {
	at, b := noon.Add(4*time.Minute), ballot(r, "dba-1")
	out := map[string]result{
		"approve": of(r.Approve(ballot(r, "manager"), policy())), "deny": of(r.Deny(b, policy())),
		"cancel": of(r.Cancel(ballot(r, "oncall"))), "expire": of(r.Expire(noon.Add(time.Hour))), "outdate": of(r.Outdate(at, "why")),
		"claim": of(r.Claim(at, "another")), "hold": of(r.Hold(at, "q", "orders", at.Add(time.Minute))),
	}
	for _, cause := range causes {
		out["answer "+string(cause)] = of(r.Answer(b, cause, "orders", policy()))
		out["finish "+string(cause)] = of(r.Finish(at, cause, "why", nil))
	}
	return out
}

// TestCallsFollowTheTable tries every call in every state: what works is a
// move of the table, with an event that tells it, and what doesn't changes nothing.
func TestCallsFollowTheTable(t *testing.T) {
	t.Parallel()
	worked := map[string]int{}
	for state, r := range every(t) {
		for title, got := range calls(r) {
			switch {
			case got.err != nil || len(got.events) == 0:
				if diff := cmp.Diff(r, got.Request); diff != "" || len(got.events) > 0 {
					t.Errorf("%s of a request that is %s, refused with %v, changed it:\n%s%v", title, state, got.err, diff, got.events)
				}
			case !moves(state, got.events[0].Kind, got.State):
				t.Errorf("%s moved a request from %s to %s, told as %s", title, state, got.State, got.events[0].Kind)
			default:
				worked[title]++
			}
		}
	}
	want := map[string]int{
		"approve": 2, "deny": 3, "cancel": 3, "expire": 3, "outdate": 3, "claim": 1, "hold": 1, "answer accept": 1, "answer refuse": 1,
		"finish succeed": 1, "finish abort": 1, "finish fail": 1, "finish lose": 1,
	}
	if diff := cmp.Diff(want, worked); diff != "" {
		t.Errorf("in how many states each call works (-want +got):\n%s", diff)
	}
}

func moves(from approvals.State, cause string, to approvals.State) bool {
	return slices.ContainsFunc(approvals.Transitions(), func(m approvals.Transition) bool {
		return m.From == from && string(m.Cause) == cause && m.To == to
	})
}

func TestMermaid(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(approvals.Mermaid(), "\n"), "\n")
	if lines[0] != "stateDiagram-v2" || lines[1] != "    [*] --> pending: ask" {
		t.Errorf("it begins with %q", lines[:2])
	}
	for _, m := range approvals.Transitions()[1:] {
		if line := fmt.Sprintf("    %s --> %s: %s", m.From, m.To, m.Cause); !slices.Contains(lines, line) {
			t.Errorf("%q is missing", line)
		}
	}
	ends := slices.DeleteFunc(lines, func(s string) bool { return !strings.HasSuffix(s, "--> [*]") })
	if len(ends) != 8 {
		t.Errorf("the diagram ends %d times, want 8: %v", len(ends), ends)
	}
}
