package bot_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"twokey/actions"
	"twokey/bot"
	"twokey/bot/slacksim"
)

// BenchmarkLargestRequest renders a request that has to be cut in every place, and
// sends it through all checks of the simulated workspace, without a network.
func BenchmarkLargestRequest(b *testing.B) {
	plan := switchoverPlan()
	for i := range 100 {
		plan.Checks = append(plan.Checks, actions.Check{Title: fmt.Sprint("check ", i), Status: actions.Bad, Detail: strings.Repeat("<detail> ", 80), Fix: "fix it"})
	}
	s := newTale(b, plan)
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			if m := bot.Rendering(s.scene); len(m) == 0 {
				b.Fatal("nothing was rendered")
			}
		}
	})
	b.Run("validate", func(b *testing.B) {
		w := slacksim.New(slacksim.Options{Events: []string{}})
		defer w.Close()
		m := bot.RenderRequest(s.scene)
		form := url.Values{"token": {w.BotToken()}, "channel": {ops}, "text": {m.Text}, "blocks": {string(m.Blocks)}}.Encode()
		b.SetBytes(int64(len(form)))
		for b.Loop() {
			rec := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodPost, "/api/chat.postMessage", strings.NewReader(form))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if w.Handler().ServeHTTP(rec, req); !strings.Contains(rec.Body.String(), `"ok":true`) {
				b.Fatal(rec.Body)
			}
		}
	})
}
