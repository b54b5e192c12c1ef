package bot

import (
	"context"
	"time"
)

// Place is where a request that comes from outside of Slack is decided: the one
// channel.
func (b *Bot) Place() string { return placeOf(b.opt.Team, b.opt.Channel) }

// Link leads to a request's message. It waits until that was posted or ctx ends;
// "" when it can't be had.
func (b *Bot) Link(ctx context.Context, request string) string {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if link := b.courier.link(ctx, requestKey(request)); link != "" {
			return link
		}
		select {
		case <-ctx.Done():
			return ""
		case <-tick.C:
		}
	}
}
