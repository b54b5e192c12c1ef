package bot

import (
	"context"
	"encoding/json"

	"twokey/actions"
	"twokey/approvals"
)

// pause and resume are ordered by one approver; the channel learns of it by the
// event's own message.

func (b *Bot) pause(ctx context.Context, who asker, pair, why string) error {
	running, err := b.opt.Desk.Pause(ctx, pair, b.ballot(who, "", clip(oneLine(why), maxPart)))
	if err != nil {
		return err
	}
	m := say(":double_vertical_bar: %s is paused.", pair)
	if running != "" {
		m += say(" Request %s runs already, and is not stopped by it.", code(running))
	}
	b.tell(ctx, who, noteMessage(m))
	return nil
}

func (b *Bot) resume(ctx context.Context, who asker, pair, why string) error {
	if _, err := b.opt.Desk.Resume(ctx, pair, b.ballot(who, "", clip(oneLine(why), maxPart))); err != nil {
		return err
	}
	b.tell(ctx, who, noteMessage(say(":arrow_forward: %s is resumed.", pair)))
	return nil
}

// pausedPart says who paused a pair, and why, wherever the pair is shown.
func pausedPart(p *page, paused *actions.Paused) {
	if paused != nil {
		p.must(pausedLine(*paused))
	}
}

func pausedLine(p actions.Paused) markup {
	return say(":double_vertical_bar: *Paused* by %s since %s: %s", person(p.By), when(p.At), sentence(orElse(p.Why, "no reason was given")))
}

// pauseMessage tells the channel that a pair was paused or resumed.
func pauseMessage(e approvals.Event) message {
	var c actions.PauseChange
	if err := json.Unmarshal(e.Data, &c); err != nil {
		return rawNews(e)
	}
	p := &page{}
	if e.Kind == actions.NewsPaused {
		p.header("⏸️ %s is paused", c.Pair)
		p.must(pausedLine(c.Paused))
		p.section("Nothing is asked for, approved or carried out on it until an approver resumes it. Checks and alerts go on.")
	} else {
		p.header("▶️ %s is resumed", c.Pair)
		m := say("By %s.", person(e.Actor))
		if c.Why != "" {
			m = say("By %s: %s", person(e.Actor), sentence(c.Why))
		}
		p.must(m)
		p.section(say("It had been paused by %s for %s: %s", person(c.Paused.By), apart(c.Paused.At, e.At), sentence(c.Paused.Why)))
	}
	p.context(when(e.At) + " · " + headOf(e).markup())
	return p.message()
}
