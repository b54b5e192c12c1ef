package bot

import (
	"context"
	"strings"

	"twokey/approvals"
)

func (b *Bot) approvals(ctx context.Context, who asker) error {
	open, err := b.opt.Desk.Open(ctx)
	if err != nil {
		return err
	}
	links := b.courier.linksTo(ctx, open)
	b.tellAll(ctx, who, openMessage(open, links, b.opt.People))
	return nil
}

// cancel takes back the request that id names, or the only one that the person
// asked for.
func (b *Bot) cancel(ctx context.Context, who asker, id string) error {
	open, err := b.opt.Desk.Open(ctx)
	if err != nil {
		return err
	}
	r, err := pick(open, id, who.person, b.opt.Command)
	if err != nil {
		return err
	}
	if r, err = b.opt.Desk.Cancel(ctx, r.ID, b.ballot(who, r.Digest().Short(), "")); err != nil {
		return err
	}
	b.tell(ctx, who, noteMessage(say("Request %s is cancelled.", code(r.ID))))
	return nil
}

const leastIDSuffix = 4

// pick finds the open request that is meant: by id, by the end of its id, or
// as the person's only one.
func pick(open []approvals.Request, id string, who approvals.Person, command string) (approvals.Request, error) {
	var found []approvals.Request
	for _, r := range open {
		switch {
		case id == "" && r.Requester == who && r.State.Votable(),
			strings.EqualFold(r.ID, id),
			len(id) >= leastIDSuffix && strings.HasSuffix(strings.ToUpper(r.ID), strings.ToUpper(id)):
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return approvals.Request{}, refuse(approvals.CodeInput, "Which one? Add the id of the request; `%s approvals` lists them.", command)
	case id == "":
		return approvals.Request{}, refuse(approvals.CodeUnknown, "You have no open request.")
	}
	return approvals.Request{}, refuse(approvals.CodeUnknown, "No open request has the id %q. `%s approvals` lists them.", id, command)
}

func (b *Bot) insertTest(ctx context.Context, who asker, pair string) error {
	node, row, err := b.opt.Desk.InsertTest(ctx, pair, who.person)
	if err != nil {
		return err
	}
	b.tellAll(ctx, who, testRowMessage(pair, node, row))
	return nil
}

func (b *Bot) verifyData(ctx context.Context, who asker, pair string) error {
	c, err := b.opt.Desk.VerifyData(ctx, pair)
	if err != nil {
		return err
	}
	b.tellAll(ctx, who, comparisonMessage(c))
	return nil
}

// ballot is a press as the bot can prove it.
func (b *Bot) ballot(who asker, digest, why string) approvals.Ballot {
	return approvals.Ballot{
		Person: who.person, At: b.opt.Now(), Via: "slack", Proof: who.proof, Digest: digest, Place: who.place, Why: why,
	}
}
