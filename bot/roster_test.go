package bot_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/secret"
)

const dbas = "S0DBAS0001"

func newRoster(t *testing.T, users ...string) (*slacksim.Workspace, *bot.Roster, *clock) {
	t.Helper()
	w := slacksim.New(slacksim.Options{Groups: []slacksim.UserGroup{{ID: dbas, Handle: "dbas", Users: users}}})
	t.Cleanup(func() { _ = w.Close() })
	base, err := w.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: noon}
	r := rosterAt(t, w.APIURL(base), w.BotToken(), c)
	return w, r, c
}

func rosterAt(t *testing.T, url, token string, c *clock) *bot.Roster {
	t.Helper()
	r, err := bot.NewRoster(bot.Options{Team: team, UserGroup: dbas, APIURL: url, Token: secret.New(token), People: people(), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestTheRosterNamesTheGroupsMembersForAMinute(t *testing.T) {
	t.Parallel()
	w, r, clock := newRoster(t, dba2, dba1, "U0NAMELESS")
	want := []approvals.Person{"dba-1", "dba-2", "slack:" + team + "/U0NAMELESS"}
	for range 3 {
		got, err := r.Approvers(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		got[0] = "somebody else" // the caller's own copy
		clock.advance(19 * time.Second)
	}
	if n := w.Snapshot().Calls("usergroups.users.list"); n != 1 {
		t.Errorf("%d look-ups within a minute", n)
	}
	w.SetGroup(slacksim.UserGroup{ID: dbas, Handle: "dbas", Users: []string{manager}})
	clock.advance(5 * time.Second)
	if got, err := r.Approvers(t.Context()); err != nil || !slices.Equal(got, []approvals.Person{"manager"}) {
		t.Errorf("after a minute: %q, %v", got, err)
	}
}

func TestTheRosterOfAGroupThatIsGoneIsEmpty(t *testing.T) {
	t.Parallel()
	w, r, clock := newRoster(t, dba1)
	w.SetGroup(slacksim.UserGroup{ID: dbas, Handle: "dbas", Users: []string{dba1}, Disabled: true})
	if got, err := r.Approvers(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("a disabled group: %q, %v", got, err)
	}
	clock.advance(-time.Hour) // a clock that was set back makes nothing younger
	w.SetGroup(slacksim.UserGroup{ID: dbas, Handle: "dbas", Users: []string{dba1}})
	if got, err := r.Approvers(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("enabled again: %q, %v", got, err)
	}
}

func TestTheRosterNeverKeepsAFailure(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]slacksim.Failure{
		"down": slacksim.Down(), "garbage": slacksim.Garbage(), "limited": slacksim.RateLimit(time.Second),
		"an error": slacksim.Error("internal_error"), "no scope": slacksim.Error("missing_scope"),
	} {
		w, r, _ := newRoster(t, dba1, dba2)
		w.Fail("usergroups.users.list", f.Times(1))
		if who, err := r.Approvers(t.Context()); approvals.Refused(err) != approvals.CodeLookup || len(who) != 0 {
			t.Errorf("%s: %q, %v", name, who, err)
		}
		if who, err := r.Approvers(t.Context()); err != nil || len(who) != 2 {
			t.Errorf("%s, and then: %q, %v", name, who, err)
		}
	}
	w, r, _ := newRoster(t, dba1)
	w.Fail("usergroups.users.list", slacksim.Slow(time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Approvers(ctx); approvals.Refused(err) != approvals.CodeLookup || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow look-up: %v", err)
	}
}

// TestTheRosterWantsAList: an answer that says ok and names nobody at all is none.
func TestTheRosterWantsAList(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}`))
	})
	if who, err := rosterAt(t, url, "xoxb-1", &clock{now: noon}).Approvers(t.Context()); approvals.Refused(err) != approvals.CodeLookup {
		t.Errorf("%q, %v", who, err)
	}
}

// TestTheRosterNeedsTheScopeOfItsManifest, and no other app asks for it.
func TestTheRosterNeedsTheScopeOfItsManifest(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{true, false} {
		w := slacksim.New(slacksim.Options{
			Groups: []slacksim.UserGroup{{ID: dbas, Users: []string{dba1}}}, Scopes: bot.ManifestOptions{Group: group}.Scopes(),
		})
		t.Cleanup(func() { _ = w.Close() })
		base, err := w.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		who, err := rosterAt(t, w.APIURL(base), w.BotToken(), &clock{now: noon}).Approvers(t.Context())
		if group != (err == nil) || group != (len(who) == 1) {
			t.Errorf("with the scopes for a group (%t): %q, %v", group, who, err)
		}
		if !group && approvals.Refused(err) != approvals.CodeLookup {
			t.Errorf("without the scope: %v", err)
		}
	}
}
