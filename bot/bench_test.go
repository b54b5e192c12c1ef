package bot_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/actions"
	"twokey/bot"
	"twokey/bot/slacksim"
)

const (
	benchRate = 100 // commands a second
	benchTime = 10 * time.Second
)

// BenchmarkAcknowledgement sends slash commands at a fixed rate, whatever
// becomes of the earlier ones, over real HTTP, signed, to a bot whose work takes
// 200 ms for each. One iteration takes 10 s.
func BenchmarkAcknowledgement(b *testing.B) {
	w := newBundle(b)
	w.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 256
	w.desk.setDelay(func(ctx context.Context) error {
		timer := time.NewTimer(200 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	b.ResetTimer()
	var took []time.Duration
	for n := range b.N {
		took = append(took, w.commandsAtRate(b, n)...)
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(milliseconds(took[len(took)-1]), "max-ms")
	b.ReportMetric(0, "ns/op")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// commandsAtRate measures each command from its planned moment, so that a
// stalled sender doesn't hide a stalled bot.
func (b *bundle) commandsAtRate(t testing.TB, run int) []time.Duration {
	total := benchRate * int(benchTime/time.Second)
	took := make([]time.Duration, total)
	start := time.Now()
	var all sync.WaitGroup
	for i := range total {
		due := start.Add(time.Duration(i) * time.Second / benchRate)
		time.Sleep(time.Until(due)) // the rate is the point here
		all.Go(func() {
			form := url.Values{"team_id": {team}, "channel_id": {ops}, "user_id": {oncall}, "text": {"status"}, "trigger_id": {fmt.Sprintf("%d-%d", run, i)}}
			body := []byte(form.Encode())
			req, err := http.NewRequest(http.MethodPost, b.url+"/slack/commands", strings.NewReader(form.Encode()))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = slacksim.Sign(b.SigningSecret(), time.Now(), body)
			resp, err := b.client.Do(req)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("command %d: %v", i, err)
				return
			}
			resp.Body.Close()
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	return took
}

// BenchmarkLargestRequest renders a request that has to be cut in every place.
func BenchmarkLargestRequest(b *testing.B) {
	plan := switchoverPlan()
	for i := range 100 {
		plan.Checks = append(plan.Checks, actions.Check{Title: fmt.Sprint("check ", i), Status: actions.Bad, Detail: strings.Repeat("<detail> ", 80), Fix: "fix it"})
	}
	s := newTale(b, plan)
	for b.Loop() {
		if m := bot.RenderRequest(s.scene); len(m.Text) == 0 {
			b.Fatal("nothing was rendered")
		}
	}
}
