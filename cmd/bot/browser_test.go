package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"twokey/actions"
	"twokey/approvals"
)

// TestApprovalClickedThrough opens the demo's page in a real browser, one for
// each of three people, and does what they do there: ask, be refused, deny
// with a reason, read the details, approve as two others, read the result. With
// TWOKEY_SCREENSHOTS set to a folder it leaves pictures there; those of
// docs/pictures were taken so.
func TestApprovalClickedThrough(t *testing.T) {
	t.Parallel()
	path := chromium(t)
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	asker := openBrowser(w.ctx(), t, path)
	first, second := openBrowser(w.ctx(), t, path), openBrowser(w.ctx(), t, path)
	asker.open(w, oncall)
	first.open(w, dba1)
	second.open(w, dba2)

	asker.say("/pg status")
	asker.sees("MEMBER")
	asker.picture("0-status")
	asker.say("/pg failover orders -- maintenance of dc1")
	asker.sees("0 of 2 approvals")
	asker.picture("1-asked")
	asker.approve("try as the requester")
	asker.sees("You asked for this")
	asker.picture("2-refused")

	first.sees("0 of 2 approvals") // without a reload
	first.do("deny", chromedp.Click(`//button[text()="Deny"]`), chromedp.WaitVisible(chromedp.CSS("dialog.modal")),
		chromedp.WaitVisible(`//dialog//*[contains(text(), "Switchover of orders")]`))
	first.do("not without a reason", chromedp.Click(`//dialog//button[@type="submit"]`), chromedp.WaitVisible(chromedp.CSS("dialog.modal :is(input, textarea):invalid")))
	first.do("give a reason", chromedp.SendKeys(chromedp.CSS("dialog.modal :is(input, textarea)"), "not during the sale"))
	first.picture("3-deny")
	first.do("send it", chromedp.Click(`//dialog//button[@type="submit"]`), chromedp.WaitNotPresent(chromedp.CSS("dialog")))
	second.sees("denied by dba-1")
	second.sees("not during the sale")
	second.picture("4-denied")

	asker.say("/pg failover orders -- the sale is over")
	second.sees("Switchover of orders: 0 of 2 approvals")
	second.do("read the details", chromedp.Click(`//button[text()="Details"][ancestor::article//*[contains(text(), "0 of 2")]]`),
		chromedp.WaitVisible(`//dialog//*[contains(text(), "twokey request, format")]`))
	second.picture("5-details")
	second.do("close them", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent(chromedp.CSS("dialog")))
	first.approve("approve as dba-1")
	second.sees("1 of 2 approvals")
	second.asked()
	second.picture("6-confirm")
	second.confirmed()
	for _, b := range []*browser{asker, first, second} {
		b.sees("Switchover of orders: done")
		b.sees("postgresql://")
	}
	asker.picture("7-result")
	asker.dark()
	asker.picture("8-result-dark")
	asker.do("open the Home", chromedp.Click(`//button[contains(., "App Home")]`), chromedp.WaitVisible(`//*[contains(text(), "Last failover: switchover")]`))
	asker.picture("10-home")
	if r, out := w.ended(); r.State != approvals.Succeeded || out.NewPrimary != "dc2" {
		t.Errorf("the request ended %s with %q as primary: %s", r.State, out.NewPrimary, r.Why)
	}
	w.noLoss()
}

// TestRequestExpiresOnThePage: nobody decides, and the message says so by itself.
func TestRequestExpiresOnThePage(t *testing.T) {
	t.Parallel()
	path := chromium(t)
	w := newWorld(t, func(d *demo) { d.expiry = "8s" })
	w.health(actions.HealthOK)
	b := openBrowser(w.ctx(), t, path)
	b.open(w, dba1)
	w.ask("failover orders -- nobody is awake")
	b.sees("0 of 2 approvals")
	b.sees("Switchover of orders: expired")
	b.do("find no button to approve with", chromedp.WaitNotPresent(`//button[text()="Approve"]`))
	b.picture("9-expired")
	if r, _ := w.ended(); r.State != approvals.Expired {
		t.Errorf("the request ended %s: %s", r.State, r.Why)
	}
}

// chromium finds a browser. Where there is none the test says so loudly; CI
// installs one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("TWOKEY_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("TWOKEY_CI") != "" {
		t.Fatal("no Chromium is installed, and CI opens the page")
	}
	t.Skip("SKIPPED: no Chromium is installed, so no failover was clicked through on the page (set TWOKEY_CHROMIUM, or install the package chromium)")
	return ""
}

type browser struct {
	t   *testing.T
	ctx context.Context
}

func openBrowser(ctx context.Context, t *testing.T, path string) *browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true), chromedp.WindowSize(1280, 1560)) // a whole request fits
	ctx, cancelExec := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancel(); cancelExec() })
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // the browser lives as long as the context of its first action
		t.Fatal(err)
	}
	return &browser{t, ctx}
}

// open shows the page as one person.
func (b *browser) open(w *world, user string) {
	b.t.Helper()
	b.do("open the page as "+user, chromedp.Navigate(w.page+"/#as="+user), chromedp.WaitVisible(chromedp.CSS("textarea")))
}

func (b *browser) say(line string) {
	b.t.Helper()
	b.do("type "+line, chromedp.SendKeys(chromedp.CSS(".composer textarea"), line), chromedp.Click(chromedp.CSS(".composer .send")))
}

// sees waits for words on the page.
func (b *browser) sees(words string) {
	b.t.Helper()
	b.do("see "+words, chromedp.WaitVisible(`//*[contains(text(), "`+words+`")]`))
}

// dark switches to the dark theme, which is two steps from the system's own.
func (b *browser) dark() {
	b.t.Helper()
	b.do("switch to dark", chromedp.Click(chromedp.CSS(`[aria-label^="Theme: auto"]`)), chromedp.Click(chromedp.CSS(`[aria-label^="Theme: light"]`)),
		chromedp.WaitVisible(chromedp.CSS(`:root[data-theme="dark"]`)))
}

func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.picture("failed")
		b.t.Fatalf("%s: %v", what, err)
	}
}

func (b *browser) approve(what string) {
	b.t.Helper()
	b.t.Log(what)
	b.asked()
	b.confirmed()
}

// asked presses Approve, which asks first.
func (b *browser) asked() {
	b.t.Helper()
	b.do("press Approve", chromedp.Click(`//button[text()="Approve"]`), chromedp.WaitVisible(chromedp.CSS("dialog.confirm")))
}

func (b *browser) confirmed() {
	b.t.Helper()
	b.do("confirm", chromedp.Click(`//dialog//button[starts-with(text(), "Approve")]`), chromedp.WaitNotPresent(chromedp.CSS("dialog.confirm")))
}

// picture saves what the browser shows, where pictures are wanted.
func (b *browser) picture(name string) {
	b.t.Helper()
	folder := os.Getenv("TWOKEY_SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("no picture of %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		b.t.Error(err)
	}
}
