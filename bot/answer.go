package bot

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// answerPatience is how long an answer is tried. Whoever waits longer than that
// has asked again.
const answerPatience = 30 * time.Second

// tell answers so that only the person sees it.
func (b *Bot) tell(ctx context.Context, who asker, m message) { b.answer(ctx, who, m, false) }

// tellAll answers so that the channel sees it.
func (b *Bot) tellAll(ctx context.Context, who asker, m message) { b.answer(ctx, who, m, true) }

// answer goes by the response URL, or to the person alone when that fails.
func (b *Bot) answer(ctx context.Context, who asker, m message, public bool) {
	err := errNoURL
	if who.answerTo != "" {
		err = b.patiently(ctx, m, func(ctx context.Context, m message) error { return b.slack.respond(ctx, who.answerTo, m, public) })
	}
	if err == nil {
		return
	}
	b.opt.Log.Info("an answer goes by chat.postEphemeral", "because", err)
	err = b.patiently(ctx, m, func(ctx context.Context, m message) error { return b.slack.whisper(ctx, who.channel, who.user, m) })
	if err != nil {
		b.opt.Log.Error("a person could not be answered", "user", who.user, "channel", who.channel, "remedy", remedy(apiCode(err)), "error", err)
	}
}

// patiently sends an answer again that surely didn't arrive, when Slack says it
// may, and in a simpler form when Slack refuses the form. What may have arrived
// isn't sent twice by the same way. ctx may have run out of time; only when the
// bot stops there is no second try.
func (b *Bot) patiently(ctx context.Context, m message, send func(context.Context, message) error) error {
	alive, pause := context.WithoutCancel(ctx), b.answerPause()
	deadline := b.opt.Now().Add(answerPatience)
	for level := 0; ; {
		err := send(alive, m.at(level))
		f, after := fateOf(err)
		switch {
		case err == nil:
			return nil
		case f == fateTooBig && level < levelPlain:
			level++
			continue
		case f == fateNotSent:
			after = pause.NextBackOff()
		case f != fateLimited:
			return err
		}
		if b.opt.Now().Add(after).After(deadline) || ctx.Err() != nil {
			return err
		}
		sleepFor(ctx, after)
	}
}

func (b *Bot) answerPause() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: b.opt.Pace.RetryFirst, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: b.opt.Pace.RetryMost,
	}
}
