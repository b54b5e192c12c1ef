package approvals_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/approvals"
)

// lived is the log of a request that ran.
func lived(t testing.TB) []approvals.Event {
	t.Helper()
	r, log, err := approvals.Open(asking("oncall"), policy())
	if err != nil {
		t.Fatal(err)
	}
	next := func(out approvals.Request, events []approvals.Event, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		r, log = out, append(log, events...)
	}
	next(r.Approve(ballot(r, "dba-1"), policy()))
	next(r.Approve(ballot(r, "dba-2"), policy()))
	next(r.Claim(noon, "attempt"))
	log = append(log, approvals.Event{Subject: approvals.RequestSubject(r.ID), Kind: "step"}, approvals.Event{Subject: "pair/orders", Kind: "alert"})
	next(r.Hold(noon, "Is dc1 off?", "orders", noon.Add(time.Hour)))
	next(r.Answer(ballot(r, "dba-1"), approvals.Refuse, "", policy()))
	next(r.Finish(noon, approvals.Abort, "taken back", nil))
	return log
}

func walk(h approvals.History, log []approvals.Event) error {
	for i, e := range log {
		if err := h.Add(e); err != nil {
			return fmt.Errorf("%d: %w", i, err)
		}
	}
	return nil
}

func TestHistoryTakesWhatTheRuleWrites(t *testing.T) {
	t.Parallel()
	if err := walk(approvals.History{}, lived(t)); err != nil {
		t.Error(err)
	}
	if err := walk(approvals.NewLateHistory(), lived(t)[2:]); err != nil {
		t.Errorf("a log that begins in the middle: %v", err)
	}
}

func TestHistoryFindsWhatTheRuleCannotWrite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func([]approvals.Event) []approvals.Event
		want   string
	}{
		"a run with one approval":   {without(2), "2: it tells of a claim, but request 01J0 was partial with 1 of 2 approvals"},
		"a run that nobody claimed": {without(3), "5: it tells of a hold, but request 01J0 was approved with 2 of 2 approvals"},
		"a vote on nothing":         {without(0), "0: it is about request 01J0, which nobody had asked for"},
		"both votes by one person": {func(log []approvals.Event) []approvals.Event {
			log[2].Actor = log[1].Actor
			return log
		}, "2: the second approval of request 01J0 is by no second person"},
		"a vote of nobody": {func(log []approvals.Event) []approvals.Event {
			log[1].Actor = ""
			return log
		}, "1: the second approval"},
		"a vote for another plan": {func(log []approvals.Event) []approvals.Event {
			log[2].Data, _ = json.Marshal(approvals.VoteData{Digest: "f00d"})
			return log
		}, "2: the vote of dba-2 on request 01J0 is for another plan"},
		"a move that is told otherwise": {func(log []approvals.Event) []approvals.Event {
			log[len(log)-1].Data, _ = json.Marshal(approvals.MoveData{From: approvals.Executing, To: approvals.Succeeded})
			return log
		}, "went from executing to succeeded, but it went from executing to aborted"},
		"asked twice":            {func(log []approvals.Event) []approvals.Event { return append(log, log[0]) }, "is asked for a second time"},
		"data that is no data":   {func(log []approvals.Event) []approvals.Event { log[3].Data = []byte("?"); return log }, "3: what it tells of request 01J0 can't be read"},
		"a vote that is no vote": {func(log []approvals.Event) []approvals.Event { log[1].Data = nil; return log }, "1: the vote on request 01J0 can't be read"},
	} {
		err := walk(approvals.History{}, c.change(lived(t)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func without(i int) func([]approvals.Event) []approvals.Event {
	return func(log []approvals.Event) []approvals.Event { return slices.Delete(log, i, i+1) }
}

// TestHistoryNeedsTwoApprovals: whatever somebody leaves out of a log or puts
// into another order, no request is claimed in one that fits without the votes
// of two people before it.
func TestHistoryNeedsTwoApprovals(t *testing.T) {
	t.Parallel()
	whole := lived(t)
	rapid.Check(t, func(rt *rapid.T) {
		log := rapid.Permutation(whole).Draw(rt, "order")
		log = log[:rapid.IntRange(0, len(log)).Draw(rt, "length")]
		if rapid.Bool().Draw(rt, "in order") {
			log = slices.DeleteFunc(slices.Clone(whole), func(approvals.Event) bool { return rapid.Bool().Draw(rt, "left out") })
		}
		if walk(approvals.History{}, log) != nil {
			return
		}
		who := map[approvals.Person]bool{}
		for _, e := range log {
			if e.Kind == string(approvals.Approve) {
				who[e.Actor] = true
			}
			if e.Kind == string(approvals.Claim) && len(who) < approvals.Required {
				rt.Fatalf("it fits: %v", log)
			}
		}
	})
}
