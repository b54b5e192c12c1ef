package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot/slacksim"
	"twokey/store"
)

// The accounts of the story; see slacksim.DefaultAccounts.
const (
	opsChannel = "C0OPS00001"
	oncall     = "U0ONCALL01"
	dba1       = "U0DBA00001"
	dba2       = "U0DBA00002"
	guest      = "U0GUEST001"
)

// result is the last line of the scripted demo.
type result struct {
	Acknowledged int      `json:"acknowledged"`
	Lost         int      `json:"lost"`
	Unknown      int      `json:"unknown"`
	WritePause   float64  `json:"write_pause_ms"`
	OldPrimary   string   `json:"old_primary"`
	NewPrimary   string   `json:"new_primary"`
	Approvers    []string `json:"approvers"`
	Connection   string   `json:"connection_string"`
	AuditEntries uint64   `json:"audit_entries"`
}

// script plays the whole story through the same HTTP deliveries that Slack
// would make, and fails at the first thing that is not as a person expects.
func (d *demo) script(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("the story took longer than 3 minutes"))
	defer cancel()
	request, err := d.story(ctx)
	fmt.Fprintln(d.out, d.slack.Transcript())
	if err != nil {
		return err
	}
	if err := d.load.Until(ctx, 200); err != nil {
		return err
	}
	res, err := d.sum(ctx, request)
	if err != nil {
		return err
	}
	line := json.NewEncoder(d.out)
	line.SetEscapeHTML(false) // the connection string has an &
	return errors.Join(line.Encode(res), res.check(request))
}

// story is what people do, in order.
func (d *demo) story(ctx context.Context) (approvals.Request, error) {
	if err := d.load.Until(ctx, 200); err != nil {
		return approvals.Request{}, err
	}
	for _, s := range []struct{ text, expect string }{
		{"status", "MEMBER"}, {"verify", "proven"}, {"insert-test", "dc1"}, {"verify-data", "same"},
	} {
		if err := d.command(ctx, oncall, s.text, s.expect); err != nil {
			return approvals.Request{}, err
		}
	}
	if err := d.posted(ctx, "a scheduled health report", "report"); err != nil {
		return approvals.Request{}, err
	}
	request, err := d.approveByTwo(ctx)
	if err != nil {
		return request, err
	}
	return request, d.command(ctx, oncall, "status", "MEMBER")
}

// approveByTwo asks for a failover and lets the wrong people try before the
// right ones do.
func (d *demo) approveByTwo(ctx context.Context) (approvals.Request, error) {
	if _, err := d.slack.Command(ctx, oncall, opsChannel, "/pg", "failover orders -- maintenance of dc1"); err != nil {
		return approvals.Request{}, err
	}
	ts, err := d.requestMessage(ctx)
	if err != nil {
		return approvals.Request{}, err
	}
	for _, s := range []struct{ who, expect string }{{oncall, "You asked for this"}, {guest, "can't vote"}} {
		if err := d.refused(ctx, s.who, ts, s.expect); err != nil {
			return approvals.Request{}, err
		}
	}
	if err := d.approve(ctx, dba1, ts); err != nil {
		return approvals.Request{}, err
	}
	if err := d.posted(ctx, "the first approval", "1 of 2 approvals"); err != nil {
		return approvals.Request{}, err
	}
	if err := d.approve(ctx, dba2, ts); err != nil {
		return approvals.Request{}, err
	}
	return d.ended(ctx)
}

func (d *demo) approve(ctx context.Context, who, ts string) error {
	if _, err := d.slack.Press(ctx, who, opsChannel, ts, "approve"); err != nil {
		return fmt.Errorf("%s approves: %w", who, err)
	}
	return nil
}

// command types /pg and waits for an answer that holds the expected words.
func (d *demo) command(ctx context.Context, who, text, expect string) error {
	return d.answered(ctx, who, "/pg "+text, expect, func() error {
		_, err := d.slack.Command(ctx, who, opsChannel, "/pg", text)
		return err
	})
}

func (d *demo) refused(ctx context.Context, who, ts, expect string) error {
	return d.answered(ctx, who, who+"'s press", expect, func() error {
		_, err := d.slack.Press(ctx, who, opsChannel, ts, "approve")
		return err
	})
}

// answered does something as a person and waits until something new that this
// person sees, alone or with the channel, holds the words.
func (d *demo) answered(ctx context.Context, who, what, expect string, do func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("%s was not answered with %q", what, expect))
	defer cancel()
	before := visible(d.slack.Snapshot(), who)
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err := d.slack.Wait(ctx, func(s *slacksim.Snapshot) bool {
		for key, text := range visible(s, who) {
			if _, old := before[key]; !old && strings.Contains(text, expect) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// visible is every message that a person can see, by where and when it stands.
func visible(s *slacksim.Snapshot, who string) map[string]string {
	texts := map[string]string{}
	for _, m := range s.Messages(opsChannel) {
		texts["channel "+m.TS] = m.Text
	}
	for _, m := range s.Ephemerals(who) {
		texts["private "+m.TS] = m.Text
	}
	return texts
}

// posted waits for a message of the channel that holds the words.
func (d *demo) posted(ctx context.Context, what, expect string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("%s was not posted", what))
	defer cancel()
	return d.slack.Wait(ctx, func(s *slacksim.Snapshot) bool {
		for _, m := range s.Messages(opsChannel) {
			if strings.Contains(strings.ToLower(m.Text), expect) {
				return true
			}
		}
		return false
	})
}

// requestMessage waits for the message with the buttons.
func (d *demo) requestMessage(ctx context.Context) (ts string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("the request was not posted"))
	defer cancel()
	err = d.slack.Wait(ctx, func(s *slacksim.Snapshot) bool {
		for _, m := range s.Messages(opsChannel) {
			if strings.Contains(m.Text, "0 of 2 approvals") {
				ts = m.TS
			}
		}
		return ts != ""
	})
	return ts, err
}

// ended waits until the request has run, and until the channel shows it.
func (d *demo) ended(ctx context.Context) (approvals.Request, error) {
	if err := d.posted(ctx, "the result", "switchover of orders: done"); err != nil {
		return approvals.Request{}, err
	}
	all, err := d.service.store.Requests(ctx, store.Filter{}, 1)
	if err != nil || len(all) != 1 {
		return approvals.Request{}, errors.Join(errors.New("the store has no request"), err)
	}
	return all[0], nil
}

func (d *demo) sum(ctx context.Context, r approvals.Request) (result, error) {
	tally := d.load.Stop()
	conn, err := pgx.Connect(ctx, d.pair.AppURL())
	if err != nil {
		return result{}, fmt.Errorf("the pair is not writable at the end: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // only read from
	lost, err := d.load.Lost(ctx, conn)
	if err != nil {
		return result{}, err
	}
	var out actions.Outcome
	if err := json.Unmarshal(r.Outcome, &out); err != nil {
		return result{}, fmt.Errorf("the request has no outcome: %w", err)
	}
	entries, _, err := d.service.store.Head(ctx)
	return result{
		Acknowledged: tally.Acknowledged, Lost: len(lost), Unknown: tally.Unknown,
		WritePause: float64(d.load.Pause(r.CreatedAt, time.Time{}).Microseconds()) / 1000,
		OldPrimary: out.OldPrimary, NewPrimary: out.NewPrimary, Approvers: voters(r),
		Connection: out.Conn.URI, AuditEntries: entries,
	}, err
}

func voters(r approvals.Request) []string {
	names := make([]string, len(r.Votes))
	for i, v := range r.Votes {
		names[i] = string(v.Person)
	}
	return names
}

// check holds the result against what the product promises.
func (r result) check(req approvals.Request) error {
	switch {
	case r.Lost != 0:
		return fmt.Errorf("%d acknowledged rows are lost", r.Lost)
	case req.State != approvals.Succeeded:
		return fmt.Errorf("the request ended %s: %s", req.State, req.Why)
	case r.OldPrimary != "dc1" || r.NewPrimary != "dc2" || len(r.Approvers) != approvals.Required:
		return fmt.Errorf("not the switchover that was asked for: %+v", r)
	case r.Acknowledged == 0 || r.Connection == "" || r.AuditEntries == 0:
		return fmt.Errorf("the result is incomplete: %+v", r)
	}
	return nil
}
