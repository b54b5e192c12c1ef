package bot

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"

	"twokey/actions"
	"twokey/approvals"
)

// asker is a person who asked something somewhere, and how to answer.
type asker struct {
	team, user, channel string
	person              approvals.Person
	place               string
	answerTo            string // response URL, may be empty
	proof               string // what Slack can show for it later
}

// command answers a slash command. What can be said without asking anybody is
// said in the acknowledgement; the rest follows over the response URL.
func (b *Bot) command(d delivery) ack {
	if d.form.Get("ssl_check") == "1" {
		return acknowledged
	}
	who := b.askerOf(d)
	if who.user == "" || who.team == "" || who.channel == "" {
		return malformed
	}
	if m, refused := b.outside(who, d.form.Get("api_app_id")); refused {
		return b.answerNow(who, m)
	}
	in, err := Parse(b.opt.Command, d.form.Get("text"), b.opt.Desk.Pairs())
	switch {
	case err != nil:
		return b.answerNow(who, b.trouble(err, ""))
	case in.Verb == verbHelp:
		return b.answerNow(who, helpMessage(b.opt.Command, b.opt.Desk.Pairs()))
	}
	return b.later(d, who, in)
}

func (b *Bot) askerOf(d delivery) asker {
	team, user, channel := d.form.Get("team_id"), d.form.Get("user_id"), d.form.Get("channel_id")
	return asker{
		team: team, user: user, channel: channel, person: b.opt.People.Person(team, user),
		place: placeOf(team, channel), answerTo: d.form.Get("response_url"), proof: "command " + d.form.Get("trigger_id"),
	}
}

// outside refuses what comes from another team, channel or app.
func (b *Bot) outside(who asker, app string) (message, bool) {
	switch {
	case who.team != b.opt.Team:
		return noteMessage(":no_entry_sign: This bot serves another Slack team."), true
	case app != "" && b.opt.AppID != "" && app != b.opt.AppID:
		return noteMessage(":no_entry_sign: This bot belongs to another Slack app."), true
	case who.channel != b.opt.Channel:
		return noteMessage(say(":no_entry_sign: Ask in %s. This bot answers nowhere else.", channelLink(b.opt.Channel))), true
	}
	return message{}, false
}

func channelLink(id string) markup {
	return markup("<#" + string(esc(id)) + ">")
}

// later acknowledges and leaves the work to the crew. With everybody busy the
// person is told, and a copy of the command may try again.
func (b *Bot) later(d delivery, who asker, in Intent) ack {
	key := d.keyOf("command", d.form.Get("trigger_id"))
	if !b.seen.take(key) {
		return acknowledged
	}
	taken := b.commands.do(func(ctx context.Context) {
		b.guard(ctx, who, func(ctx context.Context) error { return b.doOnce(ctx, key, who, in) })
	})
	if !taken {
		b.seen.forget(key)
		return b.answerNow(who, noteMessage(":hourglass: Too many commands at once. Try again in a moment."))
	}
	return acknowledged
}

// doOnce keeps what changes something from being done twice. Looking twice does
// no harm, so it costs no write.
func (b *Bot) doOnce(ctx context.Context, key string, who asker, in Intent) error {
	if !changes(in) {
		return b.do(ctx, who, in)
	}
	return b.once(ctx, key, func() error { return b.do(ctx, who, in) })
}

func changes(in Intent) bool {
	switch in.Verb {
	case verbFailover, verbSwitchover, verbRejoin:
		return !in.DryRun
	case verbCancel, verbInsertTest, verbDrill, verbPause, verbResume:
		return true
	}
	return false
}

// do is one intent's work. Its error goes to the person alone.
func (b *Bot) do(ctx context.Context, who asker, in Intent) error {
	switch in.Verb {
	case verbStatus:
		return b.look(ctx, who, in.Pairs, b.opt.Desk.Status, statusMessage)
	case verbVerify:
		return b.look(ctx, who, in.Pairs, b.opt.Desk.Verify, verifyMessage)
	case verbFailover, verbSwitchover, verbRejoin, verbDrill:
		return b.question(ctx, who, in)
	case verbPause:
		return b.pause(ctx, who, in.Pairs[0], in.Reason)
	case verbResume:
		return b.resume(ctx, who, in.Pairs[0], in.Reason)
	case verbLag:
		return b.lag(ctx, who, in.Pairs[0], in.Back)
	case verbHistory:
		return b.history(ctx, who, strings.Join(in.Pairs, ""))
	case verbAudit:
		return b.audit(ctx, who, in.ID)
	case verbApprovals:
		return b.approvals(ctx, who)
	case verbCancel:
		return b.cancel(ctx, who, in.ID)
	case verbInsertTest:
		return b.insertTest(ctx, who, in.Pairs[0])
	case verbVerifyData:
		return b.verifyData(ctx, who, in.Pairs[0])
	}
	return errors.New("no such verb: " + in.Verb)
}

const lookers = 8 // pairs looked at together

func (b *Bot) look(ctx context.Context, who asker, pairs []string, ask func(context.Context, string) (actions.Report, error), show func([]actions.Report) message) error {
	reports := make([]actions.Report, len(pairs))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(lookers)
	for i, pair := range pairs {
		group.Go(func() error {
			return b.safely(gctx, func(ctx context.Context) (err error) {
				reports[i], err = ask(ctx, pair)
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.tellAll(ctx, who, show(reports))
	return nil
}

func (b *Bot) question(ctx context.Context, who asker, in Intent) error {
	q := actions.Question{
		Pair: in.Pairs[0], Kind: in.Kind, To: in.To, Reason: in.Reason, Requester: who.person, Place: who.place,
	}
	if in.DryRun {
		plan, err := b.opt.Desk.Preview(ctx, q)
		if err != nil {
			return err
		}
		b.tellAll(ctx, who, previewMessage(plan, b.pairOf(plan.Pair)))
		return nil
	}
	r, err := b.opt.Desk.Ask(ctx, q)
	if err != nil {
		return err
	}
	b.tell(ctx, who, askedMessage(newView(r, nil, b.opt.Desk.Pairs(), b.opt.People, b.opt.Now()), b.courier.trouble()))
	return nil
}

func (b *Bot) pairOf(name string) actions.Pair {
	for _, p := range b.opt.Desk.Pairs() {
		if p.Name == name {
			return p
		}
	}
	return actions.Pair{}
}

// guard runs work and tells the person what became of it when it failed.
func (b *Bot) guard(ctx context.Context, who asker, work func(context.Context) error) {
	if err := b.safely(ctx, work); err != nil {
		b.tell(ctx, who, b.trouble(err, b.linkOf(ctx, err)))
	}
}

// safely turns a panic into an error: one delivery must not take the bot down.
func (b *Bot) safely(ctx context.Context, work func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.opt.Log.Error("a delivery's work panicked", "panic", p, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return work(ctx)
}

var errPanic = errors.New("the work of a delivery panicked")

// trouble is an error for a person: a refusal as it is, anything else as an
// incident that the log explains.
func (b *Bot) trouble(err error, link string) message {
	if r, ok := errors.AsType[*approvals.Refusal](err); ok {
		b.logRefusal(r, err)
		return refusalMessage(r, link)
	}
	incident := b.opt.NewID()
	_, uncertain := errors.AsType[*actions.Uncertain](err)
	b.opt.Log.Error("a person's request failed", "incident", incident, "uncertain", uncertain, "error", err)
	return faultMessage(incident, uncertain)
}

func (b *Bot) logRefusal(r *approvals.Refusal, err error) {
	log := b.opt.Log.With("code", string(r.Code), "refusal", r.Message)
	if lookup, ok := errors.AsType[*lookupFailure](err); ok {
		log = log.With("cause", lookup.cause)
	}
	log.Info("refused")
}

// linkOf leads to the request that is in the way.
func (b *Bot) linkOf(ctx context.Context, err error) string {
	r, ok := errors.AsType[*approvals.Refusal](err)
	if !ok || r.Request == "" {
		return ""
	}
	return b.courier.link(ctx, requestKey(r.Request))
}

// answerNow puts the answer into the acknowledgement; only the person sees it.
func (b *Bot) answerNow(who asker, m message) ack {
	return ack{
		status: http.StatusOK,
		body: slack.WebhookMessage{
			ResponseType: slack.ResponseTypeEphemeral, Text: string(m.text), Blocks: &slack.Blocks{BlockSet: m.blocks},
		},
		rest: func(ctx context.Context) { b.tell(ctx, who, m) },
	}
}
