package main

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/bot/slacksim"
)

// TestLagOfARealPair: replay is paused under writes, so the standby has every
// write and is late; the chart and its words say so, and since a switchover.
func TestLagOfARealPair(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.sweeps = "@every 1s" })
	w.health(actions.HealthOK)
	w.must(w.load.Until(w.ctx(), 50))
	w.onNode("dc2", "SELECT pg_wal_replay_pause()")
	w.sampled("the standby to be late", func(s actions.Sample) bool {
		return s.Behind != nil && *s.Behind > time.Second && s.Replay != nil && *s.Replay > 0 && s.Flush != nil && *s.Flush < *s.Replay
	})
	w.onNode("dc2", "SELECT pg_wal_replay_resume()")
	w.sampled("the standby to have caught up", func(s actions.Sample) bool { return s.Behind == nil || *s.Behind < time.Second })
	ts := w.ask("switchover orders -- to be seen in the chart")
	w.press(dba1, ts, "approve")
	w.message(ts, "1 of 2 approvals")
	w.press(dba2, ts, "approve")
	w.message(ts, "Switchover of orders: done")

	m := w.chart("lag orders 1h")
	for _, want := range []string{"Highest: replay ", "; late by ", "Last look", ": switchover", "Not known for "} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the words lack %q:\n%s", want, m.Text)
		}
	}
	if alt := m.Files[0].AltText; !strings.Contains(alt, "It was late by ") || !strings.Contains(alt, "switchover") {
		t.Errorf("the description is %q", alt)
	}
	raw, _ := w.slack.FileContent(m.Files[0].ID)
	if img, err := png.Decode(bytes.NewReader(raw)); err != nil || img.Bounds().Dx() < 800 {
		t.Errorf("the picture: %v", err)
	}
	w.noLoss()
}

// chart types a command and waits for the message with its picture.
func (w *world) chart(text string) (m slacksim.Message) {
	w.t.Helper()
	_, err := w.slack.Command(w.ctx(), oncall, opsChannel, "/pg", text)
	w.must(err)
	w.must(w.slack.Wait(w.ctx(), func(s *slacksim.Snapshot) bool {
		for _, m = range s.Messages(opsChannel) {
			if len(m.Files) > 0 {
				return true
			}
		}
		return false
	}))
	return m
}

func (w *world) onNode(node, statement string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx(), w.pair.Node(node).AdminURL("postgres"))
	w.must(err)
	_, err = conn.Exec(w.ctx(), statement)
	w.must(errors.Join(err, conn.Close(context.WithoutCancel(w.ctx()))))
}

// sampled waits until the newest sample is as wanted.
func (w *world) sampled(what string, fit func(actions.Sample) bool) {
	w.t.Helper()
	wake, cancel := w.service.store.Subscribe()
	defer cancel()
	ctx := w.ctx()
	for {
		all, err := w.service.store.Samples(ctx, w.pair.Name, time.Time{})
		w.must(err)
		if n := len(all); n > 0 && fit(all[n-1]) {
			return
		}
		select {
		case <-wake:
		case <-ctx.Done():
			w.t.Fatalf("waiting for %s: %v", what, context.Cause(ctx))
		}
	}
}
