package slacksim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("TWOKEY_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("TWOKEY_CI") != "" {
		t.Fatal("no Chromium is installed, and CI opens the page")
	}
	t.Skip("SKIPPED: no Chromium is installed, so the page was not opened (set TWOKEY_CHROMIUM, or install the package chromium)")
	return ""
}

// browser is a headless Chromium on the page, which records what it complains of
// and what it loads from elsewhere.
type browser struct {
	ctx context.Context

	mu     sync.Mutex
	issues []string
}

func newBrowser(t *testing.T, b *bundle) *browser {
	t.Helper()
	path := findChromium(t)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true), chromedp.WindowSize(1280, 900))
	ctx, cancelTime := context.WithTimeout(context.Background(), 90*time.Second)
	ctx, cancelExec := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancel(); cancelExec(); cancelTime() })
	w := &browser{ctx: ctx}
	if err := chromedp.Listen(ctx, func(e any) { w.hear(e, b.base) }); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *browser) hear(e any, base string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case *cdpruntime.EventExceptionThrown:
		w.issues = append(w.issues, thrown(e.ExceptionDetails))
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, base) && !strings.HasPrefix(e.Request.URL, "data:") {
			w.issues = append(w.issues, "loads "+e.Request.URL)
		}
	}
}

func thrown(d *cdpruntime.ExceptionDetails) string {
	if d.Exception == nil {
		return d.Text
	}
	return d.Text + " " + d.Exception.Description
}

func (w *browser) do(t *testing.T, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// deny is a stand-in for the app: "deny" opens a modal, whose reason ends up in
// the message.
func (b *bundle) deny(ts *string) func(taken) (int, string, string) {
	return func(r taken) (int, string, string) {
		form, _ := url.ParseQuery(r.Body)
		var p slack.InteractionCallback
		if json.Unmarshal([]byte(form.Get("payload")), &p) != nil {
			return http.StatusOK, "", "pair *orders* is well, at 10:30:45"
		}
		if p.Type == slack.InteractionTypeViewSubmission {
			reason := p.View.State.Values["reason"]["text"].Value
			_, _, _, err := b.api.UpdateMessageContext(b.ctx, ops, *ts, slack.MsgOptionText("Denied by <@"+p.User.ID+">: "+reason, false))
			return statusOf(err), "", ""
		}
		_, err := b.api.OpenViewContext(b.ctx, p.TriggerID, aModal("Deny"))
		return statusOf(err), "", ""
	}
}

func statusOf(err error) int {
	if err != nil {
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.Now = time.Now })
	w := newBrowser(t, b)
	no := button("deny", "Deny", "req-1")
	no.Confirm = slack.NewConfirmationBlockObject(plainTitle("Deny it?"), plainTitle("All will see."), plainTitle("Yes, deny"), plainTitle("Back"))
	ts := b.post(t, slack.MsgOptionText("vote", false), slack.MsgOptionBlocks(section("Switchover of *orders*"), slack.NewActionBlock("votes", no)))
	b.app.answers(b.deny(&ts))

	w.do(t, "open the page as oncall", chromedp.Navigate(b.base+"/#as="+oncall), chromedp.WaitVisible(chromedp.CSS(".message")))
	w.do(t, "type a command", chromedp.SendKeys(chromedp.CSS("textarea"), "/pg status"+kb.Enter),
		chromedp.WaitVisible(chromedp.CSS(".ephemeral")))
	whisper, err := chromedp.Run(w.ctx, chromedp.Text(chromedp.CSS(".ephemeral .content")))
	if err != nil || whisper != "pair orders is well, at 10:30:45" {
		t.Errorf("the answer reads %q (%v)", whisper, err)
	}

	w.do(t, "become dba-1, by the switch", chromedp.Click(`//label[.//b="dba-1"]`),
		chromedp.WaitNotPresent(chromedp.CSS(".ephemeral")))
	w.do(t, "press, and think again", chromedp.Click(`//button[text()="Deny"]`),
		chromedp.WaitVisible(chromedp.CSS("dialog.confirm")), chromedp.KeyEvent(kb.Escape),
		chromedp.WaitNotPresent(chromedp.CSS("dialog.confirm")))
	if n := len(b.app.requests()); n != 1 {
		t.Fatalf("the app got %d requests before the dialog was answered", n)
	}
	w.do(t, "press, and mean it", chromedp.Click(`//button[text()="Deny"]`),
		chromedp.Click(`//button[text()="Yes, deny"]`), chromedp.WaitVisible(chromedp.CSS("dialog.modal textarea, dialog.modal input")))
	w.do(t, "give a reason", chromedp.SendKeys(chromedp.CSS("dialog.modal input"), "disk <b>is</b> fine"+kb.Enter),
		chromedp.WaitNotPresent(chromedp.CSS("dialog")))
	w.do(t, "see the result", chromedp.WaitVisible(`//*[contains(text(), "disk <b>is</b> fine")]`))

	w.do(t, "open the inspector, by keyboard", chromedp.Focus(chromedp.CSS(`.message [aria-label="Show the JSON"]`)), chromedp.KeyEvent(kb.Enter),
		chromedp.WaitVisible(`//pre[contains(., "Denied by")]`))
	w.do(t, "open the App Home", chromedp.Click(`//button[contains(., "App Home")]`),
		chromedp.WaitVisible(chromedp.CSS(".home")))
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.issues) != 0 {
		t.Errorf("the browser complains: %v", w.issues)
	}
}
