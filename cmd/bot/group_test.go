package main

import (
	"strings"
	"testing"

	"twokey/bot/slacksim"
)

const (
	dbaGroup = "S0DBAS0001"
	manager  = "U0MANAGER1"
)

func dbas(users ...string) slacksim.UserGroup {
	return slacksim.UserGroup{ID: dbaGroup, Handle: "dbas", Name: "Database administrators", Users: users}
}

// TestApproversAreAGroup: whoever is a member when it is asked and when it is
// decided can decide; every change is told, with who was and who is.
func TestApproversAreAGroup(t *testing.T) {
	t.Parallel()
	w, restart := newServedAs(t, func(text string) string {
		before, rest, _ := strings.Cut(text, "  approvers:\n")
		_, after, _ := strings.Cut(rest, "  expiry:")
		return before + "  approver_group: " + dbaGroup + "\n  people: [{name: dba-1, slack: " + dba1 + "}]\n  expiry:" + after
	})
	w.must(w.answered(w.ctx(), oncall, "a group that isn't there", "has 0 members, but 3 are needed", func() error {
		_, err := w.slack.Command(w.ctx(), oncall, opsChannel, "/pg", "failover orders -- nobody could approve")
		return err
	}))
	w.slack.SetGroup(dbas(dba1, dba2, manager))
	restart() // what was looked up counts for a minute
	w.shown("The approvers changed", "group "+dbaGroup, "dba-1 ("+dba1+")")
	ts := w.ask("switchover orders -- two of the group")
	w.message(ts, "0 of 2 approvals")
	w.must(w.refused(w.ctx(), guest, ts, "can't vote"))
	w.must(w.refused(w.ctx(), oncall, ts, "not one of the approvers"))
	w.press(dba1, ts, "approve")
	w.message(ts, "1 of 2 approvals")
	w.slack.SetGroup(dbas(dba1, manager, oncall))
	restart()
	w.must(w.refused(w.ctx(), dba2, ts, "not one of the approvers any more"))
	w.must(w.refused(w.ctx(), oncall, ts, "came to the approvers after this request"))
	w.shown("The approvers changed", "Was:", "@dba-2, @manager", "Is:", "@manager, @oncall")
	w.press(manager, ts, "approve")
	w.message(ts, "Switchover of orders: done")
}
