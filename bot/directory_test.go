package bot_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/secret"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newDirectory(t *testing.T, more map[string]approvals.Person) (*slacksim.Workspace, *bot.Directory, *clock) {
	t.Helper()
	w := slacksim.New(slacksim.Options{})
	t.Cleanup(func() { _ = w.Close() })
	base, err := w.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := people()
	maps.Copy(p.ByUser, more)
	c := &clock{now: noon}
	d, err := bot.NewDirectory(bot.Options{Team: team, APIURL: w.APIURL(base), Token: secret.New(w.BotToken()), People: p, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return w, d, c
}

func TestTheDirectoryKeepsAnAnswerForAMinute(t *testing.T) {
	t.Parallel()
	w, d, clock := newDirectory(t, nil)
	calls := func() int { return w.Snapshot().Calls("users.info") }
	for range 3 {
		if err := d.Check(t.Context(), "dba-1"); err != nil {
			t.Fatal(err)
		}
		clock.advance(19 * time.Second)
	}
	if calls() != 1 {
		t.Errorf("%d look-ups within a minute", calls())
	}
	account, _ := w.Account(dba1)
	account.Deleted = true
	w.SetAccount(account)
	clock.advance(5 * time.Second)
	err := d.Check(t.Context(), "dba-1")
	if approvals.Refused(err) != approvals.CodeAccount || !strings.Contains(err.Error(), "deactivated") || calls() != 2 {
		t.Errorf("after a minute and %d look-ups: %v", calls(), err)
	}
}

func TestTheDirectoryNeverKeepsAFailure(t *testing.T) {
	t.Parallel()
	w, d, _ := newDirectory(t, nil)
	w.Fail("users.info", slacksim.Error("internal_error").Times(1))
	if err := d.Check(t.Context(), "dba-1"); approvals.Refused(err) != approvals.CodeLookup {
		t.Errorf("a failed look-up: %v", err)
	}
	if err := d.Check(t.Context(), "dba-1"); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestTheDirectoryEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	w, d, _ := newDirectory(t, nil)
	w.Fail("users.info", slacksim.Slow(time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Check(ctx, "dba-1"); approvals.Refused(err) != approvals.CodeLookup || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow look-up: %v", err)
	}
}

// TestThreatNameOrEmailInAnAnswerOfSlack: an answer that has an approver's name
// and e-mail address, and another id or team, vouches for nobody.
func TestThreatNameOrEmailInAnAnswerOfSlack(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		id, team string
		want     approvals.Code
	}{
		"the account itself": {dba1, team, ""},
		"another id":         {"U0TWIN0001", team, approvals.CodeLookup},
		"another team":       {dba1, "T0OTHER001", approvals.CodeAccount},
		"no team":            {dba1, "", approvals.CodeAccount},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"ok":true,"user":{"id":%q,"team_id":%q,"name":"dba-1","real_name":"First database administrator","profile":{"email":"dba-1@example.com","display_name":"dba-1"}}}`, row.id, row.team)
		})
		d, err := bot.NewDirectory(bot.Options{Team: team, APIURL: url, Token: secret.New("xoxb-1"), People: people(), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Check(t.Context(), "dba-1"); approvals.Refused(err) != row.want || row.want == "" && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		d.Close()
	}
}

func TestTheDirectoryRefusesWhomItCannotVouchFor(t *testing.T) {
	t.Parallel()
	_, d, _ := newDirectory(t, map[string]approvals.Person{"U0UNKNOWN1": "ghost", guest: "manager"})
	cases := []struct {
		who  approvals.Person
		want string
	}{
		{"nobody", "no Slack account"},
		{"ghost", "not known to this team"},
		{"manager", "single-channel guest"}, // one of two accounts
		{"slack:T0OTHER001/U0DBA00001", "another Slack team"},
		{"slack:T0TWOKEY01/U0GUEST001", "single-channel guest"},
	}
	for _, c := range cases {
		if err := d.Check(t.Context(), c.who); approvals.Refused(err) != approvals.CodeAccount || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.who, err)
		}
	}
	if err := d.Check(t.Context(), "slack:T0TWOKEY01/"+dba2); err != nil {
		t.Errorf("a member who isn't in the list: %v", err)
	}
}
