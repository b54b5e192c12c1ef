package bot

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/slack-go/slack"

	"twokey/actions"
	"twokey/approvals"
)

// homeSheet is what a form of the Home carries through Slack and back.
type homeSheet struct {
	Pair string `json:"p"`
}

func (s homeSheet) String() string {
	raw, err := json.Marshal(s)
	if err != nil { // one string
		panic(err)
	}
	return string(raw)
}

// homePressed takes a press on the Home. What it asks for counts as asked in the
// operations channel, where the result is shown, too.
func (b *Bot) homePressed(d delivery, p payload) ack {
	if !strings.HasPrefix(p.Actions[0].ActionID, homePrefix) {
		return acknowledged
	}
	key := d.keyOf("press", p.TriggerID)
	if !b.seen.take(key) {
		return acknowledged
	}
	who := b.atHome(p, "press "+p.Actions[0].ActionTS+" on the app's Home")
	taken := b.presses.do(func(ctx context.Context) {
		b.guard(ctx, who, func(ctx context.Context) error { return b.pressHome(ctx, who, p) })
	})
	if !taken {
		b.seen.forget(key)
		return unavailable
	}
	return acknowledged
}

func (b *Bot) atHome(p payload, proof string) asker {
	return asker{
		team: p.Team.ID, user: p.User.ID, channel: b.opt.Channel, person: b.opt.People.Person(p.home(), p.User.ID),
		place: placeOf(p.Team.ID, b.opt.Channel), proof: proof,
	}
}

// admitHome refuses who has no Home with buttons.
func (b *Bot) admitHome(who asker, app, pair string) error {
	if m, refused := b.outside(who, app); refused {
		return refuse(approvals.CodePlace, "%s", string(plain(m.text)))
	}
	if _, listed := b.opt.People.ByUser[who.user]; !listed || strings.HasPrefix(string(who.person), strangerPrefix) {
		return refuse(approvals.CodePlace, "Only the people of the bot's configuration can use its Home. Ask in the operations channel.")
	}
	if b.pairOf(pair).Name == "" {
		return refuse(approvals.CodeInput, "There is no pair %q any more. Open the Home again.", pair)
	}
	return nil
}

func (b *Bot) pressHome(ctx context.Context, who asker, p payload) error {
	action, pair := p.Actions[0].ActionID, p.Actions[0].Value
	refusal := b.admitHome(who, p.AppID, pair)
	if form, ok := homeForm(action, pair); ok && refusal == nil {
		_, err := b.slack.open(ctx, p.TriggerID, form)
		return err
	}
	viewID, err := b.slack.open(ctx, p.TriggerID, waitView(pair))
	if err != nil {
		return err
	}
	var shown *page
	if err = refusal; err == nil {
		shown, err = b.homeLook(ctx, who, action, pair)
	}
	full := b.homeView(pair, shown, err)
	if err := b.slack.change(ctx, viewID, full); err != nil && apiCode(err) != "not_found" {
		b.opt.Log.Info("a view could not be filled; it may be closed", "error", err)
	}
	return nil
}

func (b *Bot) homeView(pair string, shown *page, err error) slack.ModalViewRequest {
	if err != nil {
		return b.endView(err)
	}
	return shown.view(actionDetails, pair, "", "")
}

// homeLook is what a button shows that changes nothing.
func (b *Bot) homeLook(ctx context.Context, who asker, action, pair string) (*page, error) {
	switch action {
	case homeStatus:
		rep, err := b.opt.Desk.Status(ctx, pair)
		return statusPage([]actions.Report{rep}), err
	case homeVerify:
		rep, err := b.opt.Desk.Verify(ctx, pair)
		return verifyPage([]actions.Report{rep}), err
	case homePlan:
		plan, err := b.opt.Desk.Preview(ctx, actions.Question{Pair: pair, Requester: who.person, Place: who.place})
		return previewPage(plan, b.pairOf(pair)), err
	case homeHistory:
		past, err := b.opt.Desk.History(ctx, pair, historyLength)
		return historyPage(past, pair, nil, b.opt.People, b.opt.Command), err
	case homeLag:
		return b.homeLagPage(ctx, who, pair)
	}
	return nil, refuse(approvals.CodeInput, "This button is not one of mine.")
}

// homeLagPage shows the words; the chart goes to the channel, where files can be
// shown.
func (b *Bot) homeLagPage(ctx context.Context, who asker, pair string) (*page, error) {
	h, err := b.opt.Desk.Lag(ctx, pair, windows()[0].back)
	if err != nil {
		return nil, err
	}
	p := lagPage(h, "")
	if len(h.Samples) == 0 {
		return p, nil
	}
	if err := b.chart(ctx, who, h, p.message()); err != nil {
		b.opt.Log.Warn("a chart could not be shown; its words were", "pair", pair, "code", apiCode(err), "remedy", remedy(apiCode(err)), "error", err)
		return lagPage(h, chartTrouble(err)), nil
	}
	p.context(say("The chart is in %s.", channelLink(b.opt.Channel)))
	return p, nil
}

// submitHome does what a form of the Home asks for.
func (b *Bot) submitHome(ctx context.Context, key string, p payload) error {
	var s homeSheet
	if json.Unmarshal([]byte(p.View.Private), &s) != nil {
		return refuse(approvals.CodeInput, "This form is not one of mine.")
	}
	who := b.atHome(p, "submission of view "+p.View.ID)
	if err := b.admitHome(who, p.AppID, s.Pair); err != nil {
		return err
	}
	why := clip(oneLine(p.typed()), maxPart)
	if why == "" && p.View.Callback == homePause {
		return refuse(approvals.CodeInput, "Say why: everybody reads it for as long as the pair is paused.")
	}
	return b.once(ctx, key, func() error { return b.carryOutHome(ctx, who, p.View.Callback, s.Pair, why) })
}

func (b *Bot) carryOutHome(ctx context.Context, who asker, action, pair, why string) error {
	var err error
	switch action {
	case homePause:
		_, err = b.opt.Desk.Pause(ctx, pair, b.ballot(who, "", why))
	case homeResume:
		_, err = b.opt.Desk.Resume(ctx, pair, b.ballot(who, "", why))
	default:
		kinds := map[string]actions.Kind{homeFailover: actions.KindAuto, homeRejoin: actions.KindRejoin, homeDrill: actions.KindDrill}
		kind, known := kinds[action]
		if !known {
			return refuse(approvals.CodeInput, "This form is not one of mine.")
		}
		_, err = b.opt.Desk.Ask(ctx, actions.Question{Pair: pair, Kind: kind, Reason: why, Requester: who.person, Place: who.place})
	}
	return err
}
