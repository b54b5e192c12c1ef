package slacksim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

// furnished is a page with everything that it can show: a message with buttons
// that ask first, a thread, a picture, what only one person sees, and a Home.
func furnished(t *testing.T, b *bundle) (ts string) {
	t.Helper()
	no := button("deny", "Deny", "req-1")
	no.Confirm = slack.NewConfirmationBlockObject(plainTitle("Deny it?"), plainTitle("All will see."), plainTitle("Yes, deny"), plainTitle("Back"))
	ts = b.post(t, slack.MsgOptionText("vote", false), slack.MsgOptionBlocks(
		slack.NewHeaderBlock(plainTitle("Switchover of orders")), section("*dc1* → `dc2`, ~never~ _once_, <@"+dba1+">\n```MEMBER  ROLE\ndc1     primary```"),
		slack.NewContextBlock("", slack.NewTextBlockObject(slack.MarkdownType, "Digest `753e62f19238`", false, false)), slack.NewActionBlock("votes", no)))
	b.post(t, slack.MsgOptionText("still needs 2 approvals", false), slack.MsgOptionTS(ts))
	b.upload(t, slack.UploadFileParameters{Title: "Lag of orders", AltTxt: "Line chart: replay was at most 4 kB behind", Channel: ops, InitialComment: "the last hour"})
	if _, err := b.api.PostEphemeralContext(b.ctx, ops, oncall, slack.MsgOptionText(":no_entry_sign: You asked for this.", false)); err != nil {
		t.Fatal(err)
	}
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{section("*orders*: synchronous"), slack.NewActionBlock("do", button("status", "Status", "orders"))}}}
	if _, err := b.api.PublishViewContext(b.ctx, slack.PublishViewContextRequest{UserID: oncall, View: home}); err != nil {
		t.Fatal(err)
	}
	return ts
}

// named are the roles of what people act on or are told of: without a name a
// screen reader can only say that something is there.
var named = []string{"button", "link", "textbox", "radio", "radiogroup", "checkbox", "combobox", "dialog", "alertdialog", "image", "heading", "log", "navigation", "main", "complementary", "article", "toolbar"}

// nameless lists what has a role and no name.
func (w *browser) nameless(t *testing.T) (out []string, roles map[string]int) {
	t.Helper()
	tree, err := chromedp.Call(w.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	roles = map[string]int{}
	for _, n := range tree.Nodes {
		role := textOf(n.Role)
		if n.Ignored || !slices.Contains(named, role) {
			continue
		}
		roles[role]++
		if strings.TrimSpace(textOf(n.Name)) == "" {
			out = append(out, fmt.Sprintf("%s %s", role, n.NodeID))
		}
	}
	return out, roles
}

func textOf(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// faint lists texts whose contrast with what lies behind them is below that of
// WCAG 2.2 AA: 4.5, or 3 for large ones.
const faint = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return { r: m[0], g: m[1], b: m[2], a: m[3] ?? 1 }; };
	const over = (top, under) => ({ r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1 });
	const behind = (e) => { const layers = []; for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor)); return layers.reverse().reduce((u, l) => over(l, u), { r: 255, g: 255, b: 255, a: 1 }); };
	const light = (c) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(c.r) + 0.7152 * f(c.g) + 0.0722 * f(c.b); };
	const out = [];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement, said = texts.currentNode.textContent.trim();
		if (!said || !e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || e.closest(":disabled, [aria-hidden=true]")) continue;
		const style = getComputedStyle(e), back = behind(e), [a, b] = [light(over(parse(style.color), back)), light(back)].sort((x, y) => y - x);
		const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < (large ? 3 : 4.5)) out.push(said.slice(0, 40) + ": " + ratio.toFixed(2));
	}
	return out;
})()`

// spilled lists what is wider than its place.
const spilled = `[...document.querySelectorAll(".message .content, .sidebar, .home, dialog, .panel")].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.className + ": " + e.scrollWidth + " in " + e.clientWidth)`

func (w *browser) strings(t *testing.T, expression string) []string {
	t.Helper()
	out, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](expression))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fit demands of what the page shows now that it can be read, by everybody.
func (w *browser) fit(t *testing.T, what string) map[string]int {
	t.Helper()
	without, roles := w.nameless(t)
	if len(without) > 0 {
		t.Errorf("%s: without a name: %v", what, without)
	}
	if low := w.strings(t, faint); len(low) > 0 {
		t.Errorf("%s: too faint: %q", what, low)
	}
	if wide := w.strings(t, spilled); len(wide) > 0 {
		t.Errorf("%s: wider than its place: %q", what, wide)
	}
	return roles
}

// theme switches to a theme, step by step: the next step only when the page has
// made the one before.
func (w *browser) theme(t *testing.T, name string) {
	t.Helper()
	next := map[string]string{"auto": "light", "light": "dark", "dark": "auto"}
	now, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.querySelector('[aria-label^="Theme:"]').ariaLabel.match(/\w+(?=\.)/)[0]`))
	if err != nil {
		t.Fatal(err)
	}
	for ; now != name; now = next[now] {
		w.do(t, "switch from "+now, chromedp.Click(chromedp.CSS(`[aria-label^="Theme: `+now+`"]`)), chromedp.WaitVisible(chromedp.CSS(`[aria-label^="Theme: `+next[now]+`"]`)))
	}
	w.do(t, "be "+name, chromedp.WaitVisible(chromedp.CSS(`:root[data-theme="`+name+`"]`)))
}

// TestPageIsForEverybody: in the light and in the dark, on a desk and on a
// telephone, everything has a name that can be read out, texts have contrast, and
// nothing is wider than its place.
func TestPageIsForEverybody(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.Now = time.Now })
	w := newBrowser(t, b)
	ts := furnished(t, b)
	b.app.answers(b.deny(&ts))
	seen := map[string]int{}
	for _, theme := range []string{"light", "dark"} {
		w.do(t, "open the page", chromedp.Navigate(b.base+"/?"+theme+"#as="+oncall), chromedp.WaitVisible(chromedp.CSS(".ephemeral")), chromedp.WaitVisible(chromedp.CSS(".message img")))
		w.theme(t, theme)
		maps.Copy(seen, w.fit(t, theme+", the channel"))
		w.do(t, "open the thread", chromedp.Click(`//button[contains(., "1 reply")]`), chromedp.WaitVisible(`//aside//*[contains(text(), "still needs 2 approvals")]`))
		maps.Copy(seen, w.fit(t, theme+", a thread"))
		w.do(t, "close it by keyboard", chromedp.Focus(chromedp.CSS(`aside button`)), chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent(chromedp.CSS("aside")))
		w.do(t, "ask before a press", chromedp.Click(`//button[text()="Deny"]`), chromedp.WaitVisible(chromedp.CSS("dialog.confirm")))
		maps.Copy(seen, w.fit(t, theme+", a question"))
		w.do(t, "go on to the form", chromedp.Click(`//button[text()="Yes, deny"]`), chromedp.WaitVisible(chromedp.CSS("dialog.modal input")))
		maps.Copy(seen, w.fit(t, theme+", a form"))
		w.do(t, "close the form", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent(chromedp.CSS("dialog")))
		w.do(t, "open the inspector", chromedp.Focus(chromedp.CSS(`.message [aria-label="Show the JSON"]`)), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("pre.json span")))
		maps.Copy(seen, w.fit(t, theme+", the inspector"))
		w.do(t, "open the Home", chromedp.Click(`//button[contains(., "App Home")]`), chromedp.WaitVisible(`//button[text()="Status"]`))
		maps.Copy(seen, w.fit(t, theme+", the Home"))
		w.do(t, "take a telephone", chromedp.EmulateViewport(390, 844))
		maps.Copy(seen, w.fit(t, theme+", the Home on a telephone"))
		w.do(t, "put it away", chromedp.EmulateViewport(1280, 900))
	}
	for _, role := range []string{"button", "textbox", "radio", "dialog", "image", "heading", "log", "navigation", "main", "complementary", "article"} {
		if seen[role] == 0 {
			t.Errorf("nothing was a %s: the search is broken (%v)", role, seen)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.issues) != 0 { // errors, and whatever was loaded from elsewhere
		t.Errorf("the browser complains: %v", w.issues)
	}
}

// TestPageByKeyboardAlone: whoever has no mouse reaches a button, is asked, says
// yes, fills the form in and sends it.
func TestPageByKeyboardAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.Now = time.Now })
	w := newBrowser(t, b)
	ts := furnished(t, b)
	b.app.answers(b.deny(&ts))
	w.do(t, "open the page", chromedp.Navigate(b.base+"/#as="+dba1), chromedp.WaitVisible(chromedp.CSS(".message")), chromedp.WaitVisible(`//button[text()="Deny"]`))
	w.tabTo(t, "Deny")
	w.do(t, "press it", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("dialog.confirm")))
	w.tabTo(t, "Yes, deny")
	w.do(t, "say yes", chromedp.KeyEvent(" "), chromedp.WaitVisible(chromedp.CSS("dialog.modal input")))
	if in, err := chromedp.Run(w.ctx, chromedp.Evaluate[bool](`document.querySelector("dialog.modal").contains(document.activeElement)`)); err != nil || !in {
		t.Errorf("the focus is not in the form (%v)", err)
	}
	w.do(t, "give a reason", chromedp.Focus(chromedp.CSS("dialog.modal input")), chromedp.KeyEvent("no mouse here"), chromedp.KeyEvent(kb.Enter), chromedp.WaitNotPresent(chromedp.CSS("dialog")))
	w.do(t, "read the result", chromedp.WaitVisible(`//*[contains(text(), "no mouse here")]`))
}

// tabTo presses Tab until a button has the focus, and demands that this shows.
func (w *browser) tabTo(t *testing.T, button string) {
	t.Helper()
	for range 80 {
		at, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](`(() => { const e = document.activeElement, s = getComputedStyle(e); return [e.textContent.trim(), s.outlineStyle, s.boxShadow]; })()`))
		if err != nil {
			t.Fatal(err)
		}
		if at[0] == button {
			if at[1] == "none" && at[2] == "none" {
				t.Errorf("that %s has the focus doesn't show", button)
			}
			return
		}
		w.do(t, "press Tab", chromedp.KeyEvent(kb.Tab))
	}
	t.Fatalf("Tab never leads to %s", button)
}
