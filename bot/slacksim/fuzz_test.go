package slacksim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"twokey/bot/slacksim"
)

// Whatever an app sends, the Web API answers 200 with ok true or false, and
// what was taken can be read, inspected and transcribed.
func FuzzWebAPI(f *testing.F) {
	for _, seed := range []string{
		`{"channel":"C0OPS00001","text":"x","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*b* <@U1> <!date^1^{date}|x> ` + "```c```" + `"}}]}`,
		`{"channel":"C0OPS00001","blocks":[{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"B"}}]}]}`,
		`{"channel":"C0OPS00001","blocks":[{"type":"table","rows":[[{"type":"raw_text","text":"a"}],null,[null]]}]}`,
		`{"channel":"C0OPS00001","blocks":[{"type":"rich_text","elements":[{"type":"rich_text_list","elements":[{"type":"text"}]},null,7]}]}`,
		`{"channel":7,"text":{},"blocks":[null],"metadata":[]}`,
		`{"view":{"type":"home","blocks":[{"type":"input","label":null,"element":{"type":"checkboxes","options":[null]}}]},"user_id":"U0ONCALL01"}`,
	} {
		f.Add("chat.postMessage", seed)
		f.Add("views.publish", seed)
	}
	w := slacksim.New(slacksim.Options{Events: []string{}})
	f.Cleanup(func() { _ = w.Close() })
	f.Fuzz(func(t *testing.T, method, body string) {
		if strings.ContainsAny(method, "/?#% \n") || method == "" {
			return
		}
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		req.URL.Path = "/api/" + method
		req.Header.Set("Authorization", "Bearer "+w.BotToken())
		req.Header.Set("Content-Type", "application/json")
		rw := httptest.NewRecorder()
		w.Handler().ServeHTTP(rw, req)
		var answer struct {
			OK    *bool
			Error string
		}
		if err := json.Unmarshal(rw.Body.Bytes(), &answer); rw.Code != http.StatusOK || err != nil || answer.OK == nil || *answer.OK != (answer.Error == "") {
			t.Fatalf("status %d, %v: %s", rw.Code, err, rw.Body)
		}
		_ = w.Transcript()
		for _, m := range w.Messages("C0OPS00001") {
			if m.TS == "" || (len(m.Blocks) > 0 && !json.Valid(m.Blocks)) {
				t.Fatalf("stored %+v", m)
			}
			_ = m.Buttons()
		}
	})
}
