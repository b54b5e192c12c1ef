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

// TestFailoverClickedThrough opens the demo's page in a real browser and does
// what people do there: ask, be refused, approve as two others, read the
// result. With TWOKEY_SCREENSHOTS set to a folder it leaves pictures there.
func TestFailoverClickedThrough(t *testing.T) {
	t.Parallel()
	path := chromium(t)
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	b := openBrowser(w.ctx(), t, path)
	b.do("open the page as oncall", chromedp.Navigate(w.page+"/#as="+oncall), chromedp.WaitVisible(chromedp.CSS("textarea")))
	b.do("look", chromedp.SendKeys(chromedp.CSS("textarea"), "/pg status"+kb.Enter),
		chromedp.WaitVisible(`//*[contains(text(), "MEMBER")]`))
	b.do("ask", chromedp.SendKeys(chromedp.CSS("textarea"), "/pg failover orders -- maintenance of dc1"+kb.Enter),
		chromedp.WaitVisible(`//button[text()="Approve"]`))
	b.picture("asked")
	b.approve("try as the requester")
	b.do("be refused", chromedp.WaitVisible(`//*[contains(text(), "You asked for this")]`))
	b.become("dba-1")
	b.approve("approve as dba-1")
	b.do("see one approval", chromedp.WaitVisible(`//*[contains(text(), "1 of 2 approvals")]`))
	b.picture("one-approval")
	b.become("dba-2")
	b.approve("approve as dba-2")
	b.do("see the result", chromedp.WaitVisible(`//*[contains(text(), "Switchover of orders: done")]`),
		chromedp.WaitVisible(`//*[contains(text(), "postgresql://")]`))
	b.picture("done")
	if r, out := w.ended(); r.State != approvals.Succeeded || out.NewPrimary != "dc2" {
		t.Errorf("the request ended %s with %q as primary: %s", r.State, out.NewPrimary, r.Why)
	}
	w.noLoss()
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
		chromedp.Flag("disable-quic", true), chromedp.WindowSize(1280, 1000))
	ctx, cancelExec := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancel(); cancelExec() })
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // the browser lives as long as the context of its first action
		t.Fatal(err)
	}
	return &browser{t, ctx}
}

func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.picture("failed")
		b.t.Fatalf("%s: %v", what, err)
	}
}

func (b *browser) approve(what string) {
	b.t.Helper()
	b.do(what, chromedp.Click(`//button[text()="Approve"]`), chromedp.WaitVisible(chromedp.CSS("dialog.confirm")),
		chromedp.Click(`//dialog//button[starts-with(text(), "Approve")]`), chromedp.WaitNotPresent(chromedp.CSS("dialog.confirm")))
}

func (b *browser) become(name string) {
	b.t.Helper()
	b.do("become "+name, chromedp.Click(`//label[.//b="`+name+`"]`))
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
