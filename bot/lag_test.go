package bot_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/bot"
	"twokey/bot/slacksim"
)

// aDay is a day of looks each minute: known, unknown for two hours, a peak.
func aDay() actions.LagHistory {
	h := actions.LagHistory{Pair: "orders", From: noon.Add(-24 * time.Hour), To: noon, Limits: actions.DefaultThresholds()}
	num := func(n int) *uint64 { u := uint64(n); return &u }
	for i := range 24 * 60 {
		s := actions.Sample{At: h.From.Add(time.Duration(i) * time.Minute), Primary: "dc1", State: string(actions.HealthOK)}
		switch {
		case i >= 600 && i < 720:
			s.State = string(actions.HealthBlocked)
		case i == 900:
			late := 8200 * time.Millisecond
			s.Write, s.Flush, s.Replay, s.Behind = num(4096), num(1<<20), num(40<<20), &late
		default:
			s.Write, s.Flush, s.Replay = num(0), num(0), num(256)
		}
		h.Samples = append(h.Samples, s)
	}
	h.Marks = []actions.Mark{{At: noon.Add(-14 * time.Hour), Kind: actions.MarkAlert, Text: "writes block"}, {At: noon.Add(-10 * time.Hour), Kind: actions.MarkFailover, Text: "switchover"}}
	return h
}

func TestLagIsAChartWithTheSameInWords(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.desk.lag = aDay()
	b.say(oncall, "lag 24h")
	m := b.message("Replication lag of orders, last 24h")
	for _, want := range []string{"replay 40 MiB behind", "flush 1.0 MiB, write 4.0 KiB; late by 8.2 s at most", "Not known for 2 h 0 min of it", "alert, writes block", "switchover", "Last look"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the words lack %q:\n%s", want, m.Text)
		}
	}
	if len(m.Files) != 1 || m.Files[0].Name != "lag-orders-24h.png" || m.Files[0].Mimetype != "image/png" {
		t.Fatalf("files %+v", m.Files)
	}
	raw, ok := b.FileContent(m.Files[0].ID)
	if _, err := png.Decode(bytes.NewReader(raw)); !ok || err != nil {
		t.Errorf("the picture doesn't read: %v", err)
	}
	for _, want := range []string{"Replay was at most 40 MiB behind", "Not known from 13 Mar 22:00 to 14 Mar 00:00", "14 Mar 02:00: switchover", "It was late by 8.2 s at most", "At the end it is 256 B behind"} {
		if alt := m.Files[0].AltText; !strings.Contains(alt, want) {
			t.Errorf("the description lacks %q: %s", want, alt)
		}
	}
	if n := len(b.Messages(ops)); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestLagIsWordsAloneWhereNoFileIsTaken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		change func(*setup)
		fail   func(*bundle)
		says   string
	}{
		"the app may not upload":    {func(s *setup) { s.sim.Scopes = []string{"chat:write", "channels:history", "users:read", "commands"} }, func(*bundle) {}, "missing_scope): add the missing scope"},
		"the upload is not taken":   {func(*setup) {}, func(b *bundle) { b.Fail("files.completeUploadExternal", slacksim.Error("internal_error")) }, "The chart could not be"},
		"no address for the upload": {func(*setup) {}, func(b *bundle) { b.Fail("files.getUploadURLExternal", slacksim.Down()) }, "The chart could not be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, change.change)
			b.desk.lag = aDay()
			change.fail(b)
			b.say(oncall, "lag orders 24h")
			m := b.message("Replication lag of orders, last 24h")
			if !strings.Contains(m.Text, change.says) || !strings.Contains(m.Text, "replay 40 MiB behind") || len(m.Files) != 0 {
				t.Errorf("the words are\n%s", m.Text)
			}
			b.logged("a chart could not be shown")
		})
	}
}

func TestLagOfWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.say(oncall, "lag 7d")
	m := b.message("Nothing is known of this time: nobody looked.")
	if len(m.Files) != 0 {
		t.Errorf("a picture of nothing: %+v", m.Files)
	}
}

// TestAChartGoesToSlackAlone: the upload's address comes in an answer, and the
// upload carries the token.
func TestAChartGoesToSlackAlone(t *testing.T) {
	t.Parallel()
	stolen := make(chan string, 1)
	thief := serve(t, func(_ http.ResponseWriter, r *http.Request) { stolen <- r.Header.Get("Authorization") })
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"ok":true,"upload_url":%q,"file_id":"F1"}`, thief+"/upload")
	})
	if err := bot.Upload(t.Context(), api+"/api/", "xoxb-secret", []byte("png")); err == nil {
		t.Error("uploaded to an address that is not Slack's")
	}
	select {
	case token := <-stolen:
		t.Errorf("somebody else got %q", token)
	default:
	}
}

func TestLagWords(t *testing.T) {
	t.Parallel()
	idle, last, one := aDay(), aDay(), aDay()
	zero := uint64(0)
	for i := range idle.Samples {
		idle.Samples[i].Write, idle.Samples[i].Flush, idle.Samples[i].Replay, idle.Samples[i].Behind = &zero, &zero, &zero, nil
	}
	idle.Marks = nil
	last.Samples = last.Samples[:650]
	for i := range 20 {
		last.Marks = append(last.Marks, actions.Mark{At: noon.Add(time.Duration(i-20) * time.Minute), Kind: actions.MarkFailover, Text: "dc2 became the primary, not by a request"})
	}
	one.Samples = one.Samples[610:612]
	for name, h := range map[string]actions.LagHistory{"lag_day": aDay(), "lag_idle": idle, "lag_unknown_now": last, "lag_never_known": one} {
		m := bot.RenderLag(h, "")
		lawfulMessage(t, name, m)
		golden(t, name, m)
	}
}
