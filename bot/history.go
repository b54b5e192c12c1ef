package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"twokey/actions"
	"twokey/approvals"
)

const (
	historyLength = 10
	auditLength   = 15
	trailLength   = 40
)

func (b *Bot) history(ctx context.Context, who asker, pair string) error {
	past, err := b.opt.Desk.History(ctx, pair, historyLength)
	if err != nil {
		return err
	}
	b.tellAll(ctx, who, historyMessage(past, pair, b.courier.linksTo(ctx, past), b.opt.People, b.opt.Command))
	return nil
}

// audit is shown to the person who asked alone: it is long.
func (b *Bot) audit(ctx context.Context, who asker, ref string) error {
	limit := auditLength
	if ref != "" {
		limit = trailLength
	}
	t, err := b.opt.Desk.Audit(ctx, ref, limit)
	if err != nil {
		return err
	}
	b.tell(ctx, who, auditMessage(t, b.opt.People, b.opt.Command))
	return nil
}

// historyMessage lists past requests with their votes and outcomes.
func historyMessage(past []approvals.Request, pair string, links map[string]string, people People, command string) message {
	return historyPage(past, pair, links, people, command).message()
}

func historyPage(past []approvals.Request, pair string, links map[string]string, people People, command string) *page {
	p := &page{}
	of := markup("")
	if pair != "" {
		of = say(" of %s", pair)
	}
	if len(past) == 0 {
		p.must(say("Nothing was ever asked for%s.", of))
		return p
	}
	p.header("The newest requests%s", of)
	for _, r := range past {
		p.section(pastLine(r, links[r.ID], people))
	}
	p.context(say("%s shows one's every step; `bot audit export` has all of it.", code(command+" audit <end of the id>")))
	return p
}

// pastLine is one request: what, who asked, who voted, how it ended.
func pastLine(r approvals.Request, link string, people People) markup {
	v := newView(r, nil, nil, people, r.EndedAt)
	m := say("%s *%s: %s* · %s\n", endMark(r.State), v.what(), v.standing(), when(r.CreatedAt))
	m += say("%s asked", person(r.Requester))
	if r.Reason != "" {
		m += say(": %s", sentence(r.Reason))
	}
	for i, vote := range r.Votes {
		m += []markup{"\nApproved by ", ", "}[min(i, 1)] + say("%s after %s", person(vote.Person), apart(r.CreatedAt, vote.At))
	}
	return m + pastEnd(v) + "\n" + requestLink(r.ID, link)
}

func pastEnd(v view) markup {
	r, m := v.request, markup("")
	if v.outcome.WritePause > 0 {
		m += say("\nWrites paused for %s.", took(v.outcome.WritePause))
	}
	if v.outcome.NewPrimary != "" && r.State == approvals.Succeeded {
		m += say("\n%s → %s", v.bare(v.outcome.OldPrimary), v.bare(v.outcome.NewPrimary))
	}
	if v.outcome.AcceptedBy != "" {
		m += say("\n%s stated what could not be proven.", person(approvals.Person(v.outcome.AcceptedBy)))
	}
	if r.Why != "" && r.State != approvals.Succeeded {
		m += say("\nWhy: %s", sentence(r.Why))
	}
	return m
}

func endMark(s approvals.State) markup {
	switch s {
	case approvals.Succeeded:
		return ":white_check_mark:"
	case approvals.Aborted:
		return ":leftwards_arrow_with_hook:"
	case approvals.Failed, approvals.Unknown:
		return ":rotating_light:"
	case approvals.Denied, approvals.Expired, approvals.Cancelled, approvals.Stale:
		return ":heavy_minus_sign:"
	}
	return ":hourglass_flowing_sand:"
}

// auditMessage shows entries of the audit log, and where it ends.
func auditMessage(t actions.Trail, people People, command string) message {
	p := &page{}
	switch {
	case t.Request != nil:
		v := newView(*t.Request, nil, nil, people, t.Request.EndedAt)
		p.header("Audit log of %s: %s", v.what(), v.standing())
	case len(t.Events) == 1:
		p.header("Audit entry %d", t.Events[0].Seq)
	default:
		p.header("The end of the audit log")
	}
	var lines []markup
	if t.Left > 0 {
		lines = append(lines, say("… %d earlier entries", t.Left))
	}
	for _, e := range t.Events {
		lines = append(lines, auditLine(e, t.Request == nil))
	}
	p.lines("", lines)
	if len(lines) == 0 {
		p.must("The audit log is empty.")
	}
	if t.Request == nil && len(t.Events) == 1 {
		e := t.Events[0]
		p.section(pre(string(e.Data), limitSection))
		p.section(say("Hash %s, after %s", code(e.Hash), code(orElse(e.Prev, "the beginning"))))
	}
	p.context(say("The log ends with entry %d, hash %s. %s shows one request or entry; `bot audit verify` checks the chain.", t.Head, code(t.Hash), code(command+" audit <id>")))
	return p.message()
}

func auditLine(e approvals.Event, withSubject bool) markup {
	m := say("%s %s *%s*", code(fmt.Sprint(e.Seq)), when(e.At), auditKind(e))
	if withSubject {
		m += say(" %s", e.Subject)
	}
	if e.Actor != "" {
		m += say(" by %s", string(e.Actor))
	}
	if words := auditWords(e); words != "" {
		m += say(": %s", words)
	}
	return m
}

// auditKind names a journal's entry by its operation.
func auditKind(e approvals.Event) string {
	var step actions.Entry
	if e.Kind == "step" && json.Unmarshal(e.Data, &step) == nil && step.Op != "" {
		return strings.TrimSpace(fmt.Sprintf("%s %s: %s", step.Op, step.Node, step.Phase))
	}
	return e.Kind
}

// auditWords are what an entry says in words, whatever its kind.
func auditWords(e approvals.Event) string {
	var d struct {
		Why    string         `json:"why"`
		Text   string         `json:"text"`
		Health string         `json:"health"`
		Paused actions.Paused `json:"paused"`
		Digest string         `json:"digest"`
	}
	if json.Unmarshal(e.Data, &d) != nil {
		return ""
	}
	switch {
	case d.Why != "":
		return d.Why
	case d.Health != "":
		return strings.TrimSpace(d.Health + ". " + d.Text)
	case d.Text != "":
		return d.Text
	case d.Paused.Why != "":
		return d.Paused.Why
	case d.Digest != "":
		return "digest " + approvals.Digest(d.Digest).Short()
	}
	return ""
}
