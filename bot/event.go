package bot

import (
	"context"
	"encoding/json"
	"net/http"
)

// envelope is what the bot reads of the Events API.
type envelope struct {
	Type      string `json:"type"`
	Challenge string `json:"challenge"`
	Team      string `json:"team_id"`
	EventID   string `json:"event_id"`
	Event     struct {
		Type      string `json:"type"`
		Subtype   string `json:"subtype"`
		User      string `json:"user"`
		Tab       string `json:"tab"`
		Channel   string `json:"channel"`
		DeletedTS string `json:"deleted_ts"`
	} `json:"event"`
}

func (b *Bot) event(d delivery) ack {
	var e envelope
	if json.Unmarshal(d.payload, &e) != nil {
		return malformed
	}
	if e.Type == "url_verification" {
		return ack{status: http.StatusOK, body: map[string]string{"challenge": e.Challenge}}
	}
	if e.Type != "event_callback" || e.Team != b.opt.Team {
		return acknowledged
	}
	key := d.keyOf("event", e.EventID)
	if !b.seen.take(key) {
		return acknowledged
	}
	if !b.presses.do(func(ctx context.Context) { b.happened(ctx, e) }) {
		b.seen.forget(key)
		return unavailable // Slack delivers it again
	}
	return acknowledged
}

// happened does an event's work; doing it twice does no harm.
func (b *Bot) happened(ctx context.Context, e envelope) {
	err := b.safely(ctx, func(ctx context.Context) error {
		switch {
		case e.Event.Type == "app_home_opened" && e.Event.Tab == "home":
			return b.homes.opened(ctx, e.Event.User)
		case e.Event.Type == "message" && e.Event.Subtype == "message_deleted":
			return b.courier.deleted(ctx, spot{channel: e.Event.Channel, ts: e.Event.DeletedTS})
		}
		return nil
	})
	if err != nil {
		b.opt.Log.Error("an event could not be handled", "type", e.Event.Type, "event", e.EventID, "error", err)
	}
}
