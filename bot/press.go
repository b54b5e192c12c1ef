package bot

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
)

// press is one use of a button of ours.
type press struct {
	who     asker
	action  string
	request string
	digest  string
	message string // timestamp of the message that it was in
	trigger string
}

// interaction takes presses and submissions. The payload is read from the body
// alone.
func (b *Bot) interaction(d delivery) ack {
	p, ok := parsePayload(d.payload)
	switch {
	case !ok:
		return malformed
	case p.Type == "block_actions" && len(p.Actions) > 0 && p.Container.Type == "message":
		return b.pressed(d, p)
	case p.Type == "block_actions" && len(p.Actions) > 0 && p.Container.Type == "view":
		return b.homePressed(d, p)
	case p.Type == "view_submission":
		return b.submitted(d, p)
	}
	return acknowledged
}

func (b *Bot) pressed(d delivery, p payload) ack {
	key := d.keyOf("press", p.TriggerID)
	if !b.seen.take(key) {
		return acknowledged
	}
	who := b.presser(p)
	worked := make(chan struct{})
	taken := b.presses.do(func(ctx context.Context) {
		b.guard(ctx, who, func(ctx context.Context) error {
			defer close(worked)
			return b.press(ctx, key, who, p)
		})
	})
	if !taken {
		b.seen.forget(key)
		return unavailable // Slack tells the person
	}
	if decides(p.Actions[0].ActionID) {
		awaitWork(worked, withinAck)
	}
	return acknowledged
}

// decides says whether a press is recorded by itself. Slack delivers a press
// once: it is acknowledged after its commit, so that a bot that dies before
// that leaves a press that Slack shows to its person as failed.
func decides(action string) bool {
	return action == actionApprove || action == actionRefuse || action == actionCancel
}

// awaitWork waits until a press is worked on, but no longer than patience: then
// the acknowledgement must leave, and the message tells what became of it.
func awaitWork(worked <-chan struct{}, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-worked:
	case <-timer.C:
	}
}

func (b *Bot) presser(p payload) asker {
	channel := p.Channel.ID
	if channel == "" {
		channel = p.Container.ChannelID
	}
	a := p.Actions[0]
	return asker{
		team: p.Team.ID, user: p.User.ID, channel: channel, person: b.opt.People.Person(p.home(), p.User.ID),
		place: placeOf(p.Team.ID, channel), answerTo: p.ResponseURL,
		proof: fmt.Sprintf("press %s on message %s/%s", a.ActionTS, channel, p.Container.MessageTS),
	}
}

func (b *Bot) press(ctx context.Context, key string, who asker, p payload) error {
	if m, refused := b.outside(who, p.AppID); refused {
		b.tell(ctx, who, m)
		return nil
	}
	a := p.Actions[0]
	id, digest, ok := parseButton(a.Value)
	if !ok {
		return refuse(approvals.CodeInput, "This button is not one of mine.")
	}
	pr := press{who: who, action: a.ActionID, request: id, digest: digest, message: p.Container.MessageTS, trigger: p.TriggerID}
	switch a.ActionID {
	case actionApprove:
		return b.approve(ctx, key, pr)
	case actionRefuse, actionCancel: // see decides
		return b.decide(ctx, key, pr)
	case actionDeny, actionStatement, actionDetails:
		return b.openView(ctx, pr)
	}
	return refuse(approvals.CodeInput, "This button is not one of mine.")
}

// approve records a yes, or asks for the code that it needs. Of whom no code can
// be taken the vote itself is refused, with the reason that weighs most.
func (b *Bot) approve(ctx context.Context, key string, p press) error {
	coded, err := b.opt.Desk.NeedsCode(ctx, p.who.person)
	switch {
	case err != nil && approvals.Refused(err) == "":
		return err
	case coded && err == nil:
		return b.openView(ctx, p)
	}
	return b.decide(ctx, key, p)
}

// decide is a press that needs no further words.
func (b *Bot) decide(ctx context.Context, key string, p press) error {
	return b.once(ctx, key, func() error {
		if _, err := b.own(ctx, p.request, p.who.channel, p.message); err != nil {
			return err
		}
		ballot := b.ballot(p.who, p.digest, "")
		var err error
		switch p.action {
		case actionApprove:
			_, err = b.opt.Desk.Approve(ctx, p.request, ballot)
		case actionRefuse:
			_, err = b.opt.Desk.Answer(ctx, p.request, ballot, approvals.Refuse, "")
		case actionCancel:
			_, err = b.opt.Desk.Cancel(ctx, p.request, ballot)
		}
		return err
	})
}

// own reads the request, and refuses a button that is not in one of its own
// messages: one of another request, an older copy, or somebody's forgery.
func (b *Bot) own(ctx context.Context, id, channel, ts string) (approvals.Request, error) {
	r, err := b.opt.Desk.Request(ctx, id)
	if err != nil {
		return r, err
	}
	keys := []string{requestKey(id), resultKey(id)}
	for n := range r.Pauses {
		keys = append(keys, heldKey(id, n))
	}
	places, err := b.courier.places(ctx, keys)
	if err != nil {
		return r, err
	}
	if !slices.ContainsFunc(places, func(p place) bool { return p.is(channel, ts) }) {
		return r, refuse(approvals.CodePlace, "This button is in an old copy of the request's message. Use the newest one.")
	}
	return r, nil
}

// openView opens the view before anything is looked up, because a trigger lives
// for three seconds; what was looked up then changes the view.
func (b *Bot) openView(ctx context.Context, p press) error {
	s := sheet{Request: p.request, Digest: p.digest, Channel: p.who.channel, Message: p.message}
	viewID, err := b.slack.open(ctx, p.trigger, b.firstView(p.action, s))
	if err != nil {
		return err
	}
	full, err := b.fullView(ctx, p, s)
	if err != nil {
		full = b.endView(err)
	}
	if err := b.slack.change(ctx, viewID, full); err != nil && apiCode(err) != "not_found" {
		b.opt.Log.Info("a view could not be filled; it may be closed", "error", err)
	}
	return nil
}

func (b *Bot) firstView(action string, s sheet) slack.ModalViewRequest {
	switch action {
	case actionDeny:
		return denyView(s, nil)
	case actionApprove:
		return codeView(s, nil)
	case actionStatement:
		return statementView(s, nil, false)
	}
	return waitView("Details")
}

func (b *Bot) fullView(ctx context.Context, p press, s sheet) (slack.ModalViewRequest, error) {
	r, err := b.own(ctx, p.request, p.who.channel, p.message)
	if err != nil {
		return slack.ModalViewRequest{}, err
	}
	v, err := b.viewOf(ctx, r)
	if err != nil {
		return slack.ModalViewRequest{}, err
	}
	switch p.action {
	case actionDeny:
		_, err = approvals.Next(r.State, approvals.Deny)
		return denyView(s, &v), err
	case actionApprove:
		_, err = approvals.Next(r.State, approvals.Approve)
		return codeView(s, &v), err
	case actionStatement:
		return b.fullStatement(ctx, p, s, v)
	}
	return detailsView(v), nil
}

func (b *Bot) fullStatement(ctx context.Context, p press, s sheet, v view) (slack.ModalViewRequest, error) {
	if _, err := approvals.Next(v.request.State, approvals.Accept); err != nil {
		return slack.ModalViewRequest{}, err
	}
	coded, err := b.opt.Desk.NeedsCode(ctx, p.who.person)
	return statementView(s, &v, coded), err
}

func (b *Bot) viewOf(ctx context.Context, r approvals.Request) (view, error) {
	journal, err := b.opt.Desk.Journal(ctx, r.ID)
	return newView(r, journal, b.opt.Desk.Pairs(), b.opt.People, b.opt.Now()), err
}

// endView shows an error where the person is looking.
func (b *Bot) endView(err error) slack.ModalViewRequest {
	return noteView(b.trouble(err, "").text)
}
