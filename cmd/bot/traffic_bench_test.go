package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot/slacksim"
)

// traffic is what people and Slack send to a bot, mixed, at a fixed rate.
type traffic struct {
	slack *slacksim.Workspace
	over  approvals.Request // of which people press buttons that are stale
	ts    string            // of its message
	url   string            // of the bot

	all     sync.WaitGroup
	mu      sync.Mutex
	took    map[string][]time.Duration // by what was sent, from its planned moment to its acknowledgement
	refused map[string]int             // of each, that the bot told to try again later
	failed  []string
}

// mixed is what is sent, in turn: half of it commands, a third presses.
var mixed = []string{
	"command help", "press details", "command status", "vote", "command help", "event", "command history", "press details", "command statsu", "vote",
	"command help", "press details", "command status", "vote", "command help", "event", "command history", "press details", "command status", "forged",
}

// run sends for a while, whatever becomes of what was sent before, and waits for
// the last acknowledgement.
func (t *traffic) run(ctx context.Context, rate int, last time.Duration) {
	start := time.Now()
	for i := range int(last.Seconds() * float64(rate)) {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due)) // the rate is the point here
		t.all.Go(func() {
			what := mixed[i%len(mixed)]
			refused, trouble := t.send(ctx, what, i)
			t.note(strings.Fields(what)[0], time.Since(due), refused, trouble)
		})
	}
	t.all.Wait()
}

func (t *traffic) note(what string, took time.Duration, refused bool, trouble string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took[what] = append(t.took[what], took)
	if refused {
		t.refused[what]++
	}
	if trouble != "" {
		t.failed = append(t.failed, trouble)
	}
}

// send makes one delivery and says whether the bot turned it away, and what went
// wrong.
func (t *traffic) send(ctx context.Context, what string, n int) (refused bool, trouble string) {
	kind, text, _ := strings.Cut(what, " ")
	var d slacksim.Delivery
	var err error
	switch kind {
	case "command":
		d, err = t.slack.Command(ctx, oncall, opsChannel, "/pg", text)
	case "press":
		d, err = t.slack.Press(ctx, manager, opsChannel, t.ts, text)
	case "vote":
		d, err = t.slack.Deliver(ctx, "interaction", t.vote(n))
	case "event":
		d, err = t.slack.Deliver(ctx, "event", t.event(n))
	default:
		return false, t.forge(ctx)
	}
	if err != nil {
		return false, err.Error()
	}
	if d.Status == http.StatusServiceUnavailable || strings.Contains(string(d.Response), "Try again") {
		return true, ""
	}
	if !d.Acknowledged() {
		return false, d.String()
	}
	return false, ""
}

func (t *traffic) vote(n int) map[string]any {
	_, _, app := t.slack.Identity()
	return map[string]any{
		"type": "block_actions", "trigger_id": fmt.Sprintf("%d.vote.%d", time.Now().UnixNano(), n), "api_app_id": app, "team": map[string]any{"id": t.slack.Team()},
		"user": map[string]any{"id": dba1, "team_id": t.slack.Team()}, "channel": map[string]any{"id": opsChannel},
		"container": map[string]any{"type": "message", "channel_id": opsChannel, "message_ts": t.ts},
		"actions":   []any{map[string]any{"action_id": "approve", "block_id": "b", "type": "button", "value": t.over.ID + "|" + t.over.Digest().Short(), "action_ts": strconv.Itoa(n)}},
	}
}

func (t *traffic) event(n int) map[string]any {
	return map[string]any{
		"type": "event_callback", "team_id": t.slack.Team(), "event_id": fmt.Sprintf("Ev%d.%d", time.Now().UnixNano(), n),
		"event": map[string]any{"type": "app_home_opened", "user": oncall, "tab": "home"},
	}
}

// forge sends what Slack did not sign.
func (t *traffic) forge(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/slack/commands", strings.NewReader("text=status"))
	if err != nil {
		return err.Error()
	}
	req.Header = slacksim.Sign("not the secret", time.Now(), []byte("text=status"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return "a forged command was answered with " + resp.Status
	}
	return ""
}

// report gives the quantiles of all, and logs those of each kind.
func (t *traffic) report(b *testing.B) {
	b.Helper()
	if len(t.failed) > 0 {
		b.Errorf("%d deliveries were not taken in time, the first: %s", len(t.failed), t.failed[0])
	}
	var all []time.Duration
	refused := 0
	for kind, took := range t.took {
		slices.Sort(took)
		b.Logf("%-8s %5d: p50 %.1f ms, p99 %.1f ms, most %.1f ms, %d turned away", kind, len(took),
			inMilliseconds(took[len(took)/2]), inMilliseconds(took[len(took)*99/100]), inMilliseconds(took[len(took)-1]), t.refused[kind])
		refused += t.refused[kind]
		all = append(all, took...)
	}
	slices.Sort(all)
	b.ReportMetric(inMilliseconds(all[len(all)/2]), "p50-ms")
	b.ReportMetric(inMilliseconds(all[len(all)*99/100]), "p99-ms")
	b.ReportMetric(inMilliseconds(all[len(all)-1]), "most-ms")
	b.ReportMetric(100*float64(refused)/float64(len(all)), "%turned-away")
	b.ReportMetric(0, "ns/op")
}

// trafficOn is traffic for a world in which one request was taken back.
func trafficOn(w *world) *traffic {
	w.t.Helper()
	ts := w.ask("switchover orders -- to be taken back")
	w.press(oncall, ts, "cancel")
	over := w.request(in(approvals.Cancelled))
	w.shown("Switchover of orders: cancelled")
	return &traffic{slack: w.slack, over: over, ts: ts, url: "http://" + w.service.public.Addr().String(), took: map[string][]time.Duration{}, refused: map[string]int{}}
}

// BenchmarkAcknowledgement sends 200 requests a second, mixed, to a bot whose
// Slack takes 2 s for each answer, while one switchover of a real pair follows
// another. Everything is on this machine: the bot, Slack, the servers, the load.
// One iteration takes 20 s.
func BenchmarkAcknowledgement(b *testing.B) {
	c := &contest{b: b, marks: map[string]time.Time{}, phases: map[string][]time.Duration{}}
	c.world = newWorld(b, func(d *demo) { d.log = slog.New(slog.DiscardHandler) })
	c.health(actions.HealthOK)
	t := trafficOn(c.world)
	c.slack.Fail(slacksim.Any, slacksim.Slow(2*time.Second))
	executed := 0
	for b.Loop() {
		done := make(chan struct{})
		var moving sync.WaitGroup
		moving.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					c.approved(actions.KindSwitchover)
					executed++
				}
			}
		})
		t.run(c.ctx(), 200, 20*time.Second)
		close(done)
		moving.Wait()
	}
	b.StopTimer()
	c.slack.Heal(slacksim.Any)
	t.report(b)
	b.ReportMetric(float64(executed), "switchovers")
	c.noLoss()
}

// manyCommands are what BenchmarkManyCommands sends, in turn: what is answered at
// once, and what asks the store and the servers.
var manyCommands = []string{"help", "help", "statsu", "help", "approvals", "help", "help", "statsu", "help", "history", "help", "help", "statsu", "help", "status", "help", "help", "statsu", "help", "audit"}

// BenchmarkManyCommands serves a bot as a process of its own, sends it 150,000
// commands, 16 at a time, and reads what it keeps in memory on the way.
func BenchmarkManyCommands(b *testing.B) {
	w, pid := servedForLong(b)
	for b.Loop() {
		sent := 0
		for _, mark := range []int{1_000, 10_000, 50_000, 100_000, 150_000} {
			sendUpTo(b, w, &sent, mark)
			b.ReportMetric(residentMB(b, pid, "RssAnon:"), fmt.Sprintf("MB-after-%dk", mark/1000))
			b.Logf("after %d: %.1f MB of its own, %.1f MB of files", mark, residentMB(b, pid, "RssAnon:"), residentMB(b, pid, "RssFile:"))
		}
	}
	b.ReportMetric(0, "ns/op")
}

// servedForLong is a served bot whose log nobody reads.
func servedForLong(b *testing.B) (w *world, pid int) {
	b.Helper()
	w = newClosed(b)
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack} {
		w.must(step(b.Context())) // for longer than a test waits
	}
	path, err := w.writeConfig()
	w.must(err)
	p := startProgram(b, "serve", "-c", path)
	w.slack.SetRequestURL("http://" + p.await(`"ready","listen":"([^"]+)"`))
	go func() {
		for range p.lines { // until it ends; a full pipe would stop it
		}
	}()
	return w, p.cmd.Process.Pid
}

// sendUpTo sends commands until so many were sent in all.
func sendUpTo(b *testing.B, w *world, sent *int, most int) {
	b.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for ; *sent < most; *sent++ {
		text := manyCommands[*sent%len(manyCommands)]
		group.Go(func() error {
			d, err := w.slack.Command(b.Context(), oncall, opsChannel, "/pg", text)
			if err == nil && !d.Acknowledged() {
				err = errors.New(d.String())
			}
			return err
		})
	}
	w.must(group.Wait())
}

// residentMB is what a process has in memory, of its own (RssAnon) or of files that
// it has mapped, such as its program and the store (RssFile).
func residentMB(b *testing.B, pid int, what string) float64 {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Skipf("SKIPPED: this system doesn't tell what a process keeps in memory: %v", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			kB, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kB) / 1024
		}
	}
	b.Fatalf("no %s in /proc", what)
	return 0
}
