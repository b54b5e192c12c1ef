package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/actions"
	"twokey/approvals"
	"twokey/config"
)

func TestDomainTypes(t *testing.T) {
	t.Parallel()
	c := parsed(t, config.Sample())
	policy := approvals.Policy{
		Approvers: []approvals.Person{"dba-1", "dba-2", "manager"}, Factor: approvals.FactorOff, Expiry: 30 * time.Minute, HoldExpiry: 15 * time.Minute, Remind: 10 * time.Minute,
	}
	pairs := []actions.Pair{{
		Name: "orders", Database: "orders", SSLMode: "verify-full", User: "orders_app",
		AfterSwitchover: actions.Block, AfterFailover: actions.Degrade,
		Nodes: [2]actions.Node{
			{Name: "dc1", Site: "atlanta", Host: "dc1.example.com", Port: 5432, Slot: "twokey_dc1", Source: "192.0.2.11"},
			{Name: "dc2", Site: "dallas", Host: "dc2.example.com", Port: 5432, Slot: "twokey_dc2", Source: "192.0.2.12"},
		},
	}}
	for name, row := range map[string][2]any{
		"policy": {policy, c.Policy.Domain()}, "pairs": {pairs, c.DomainPairs()},
		"timeouts":   {actions.DefaultTimeouts(), c.Timeouts.Domain()},
		"thresholds": {actions.DefaultThresholds(), c.Thresholds.Domain()},
		"accounts": {
			map[approvals.Person]string{"dba-1": "U0123AAAA", "dba-2": "U0123BBBB", "manager": "U0123CCCC", "oncall": "U0123DDDD"}, c.Policy.Accounts(),
		},
	} {
		if diff := cmp.Diff(row[0], row[1]); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", name, diff)
		}
	}
	if err := c.Policy.Domain().Validate(); err != nil {
		t.Error(err)
	}
	if got := c.Schedule.Location(); got != time.UTC {
		t.Errorf("the zone is %s", got)
	}
}

func TestDomainHasAddressesInTheirPlainNotation(t *testing.T) {
	t.Parallel()
	node := parsed(t, least).Pairs[0].Nodes[1].Domain()
	if node.Host != "2001:db8::2" || node.Source != "2001:db8::2" {
		t.Errorf("got %+v", node)
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	c := parsed(t, least+"schedule: {timezone: Europe/Berlin}\n")
	if got := c.Schedule.Location().String(); got != "Europe/Berlin" {
		t.Errorf("the zone is %s", got)
	}
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	from, to := config.Alerts{Quiet: "22:30-07:05"}.QuietHours()
	if from != 22*time.Hour+30*time.Minute || to != 7*time.Hour+5*time.Minute {
		t.Errorf("from %s to %s", from, to)
	}
	if from, to := (config.Alerts{}).QuietHours(); from != to {
		t.Errorf("none are from %s to %s", from, to)
	}
}
