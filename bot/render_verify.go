package bot

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// verifyMessage shows every check, and what would have to change.
func verifyMessage(reports []actions.Report) message { return verifyPage(reports).message() }

func verifyPage(reports []actions.Report) *page {
	p := &page{}
	for i, r := range reports {
		if i > 0 {
			p.divider()
		}
		verifyOf(p, r)
	}
	return p
}

func verifyOf(p *page, r actions.Report) {
	e, v := r.Evidence, r.Verdict
	bad, unclear := len(v.With(actions.Bad)), len(v.With(actions.Unclear))
	count := checkCount(len(v.Checks), bad, unclear)
	p.header("%s: %s", e.Pair.Name, firstWords(r, string(count)))
	if r.GuaranteeOff() != "" {
		p.must(count + ".")
	}
	p.must(verdict(v.Loss, v.Headline, time.Time{}) + whyLine(v))
	pausedPart(p, e.Memory.Paused)
	var lines []markup
	for _, c := range v.Checks {
		lines = append(lines, checkLine(c)+agedAt(c, e.At))
	}
	p.lines("", lines)
	p.section(failuresOf(e))
	p.section(latchLine(e))
	p.context(say("Observed at %s; what is older says so. Not to be seen from here: %s.", when(e.At), strings.Join(actions.NotVisible(), "; ")))
}

// agedAt tells how old a check's oldest fact is, where it isn't of this look.
func agedAt(c actions.Check, at time.Time) markup {
	if old := c.Age(at); old != "" {
		return say(" (%s)", old)
	}
	return ""
}

func checkCount(all, bad, unclear int) markup {
	if bad+unclear == 0 {
		return say("all %d checks hold", all)
	}
	return say("%d of %d checks failed, %d unknown", bad, all, unclear)
}

func latchLine(e actions.Evidence) markup {
	l := e.Memory.Latch
	switch {
	case !e.HasMemory:
		return "Synchronous since: unknown, because nothing is remembered here."
	case l == nil:
		return "Synchronous since: not shown yet."
	}
	return say("Shown to be synchronous since %s (from %s on), last seen %s.", when(l.Since), code(l.L.String()), when(l.SeenAt))
}

// previewMessage is a plan that nobody was asked to approve.
func previewMessage(plan actions.Plan, pair actions.Pair) message {
	return previewPage(plan, pair).message()
}

func previewPage(plan actions.Plan, pair actions.Pair) *page {
	p := &page{}
	p.header("Dry run: %s of %s", kindTitle(plan.Kind), plan.Pair)
	p.must(move(plan.Kind, nodeIn(pair, plan.Facts, plan.From), nodeIn(pair, plan.Facts, plan.To)))
	p.must(verdict(plan.Loss, plan.Verdict, plan.AsOf))
	if plan.Pause != "" {
		p.section(say("*Writers will feel:* %s\n", plan.Pause) + after(plan))
	}
	p.lines("*Checks*", checkLines(plan.Checks))
	p.lines("*Steps*", stepLines(plan.Steps))
	p.context("Nothing was asked and nothing was done. Leave out `--dry-run` to ask two approvers.")
	return p
}

// testRowMessage is the recipe insert-test.
func testRowMessage(pair, node string, row actions.TestRow) message {
	p := &page{}
	p.must(say(":white_check_mark: %s: test row %d was committed on *%s* in %s.", pair, row.ID, node, took(row.Took)))
	return p.message()
}

// comparisonMessage is the recipe verify-data.
func comparisonMessage(c actions.Comparison) message {
	p := &page{}
	verdict := say(":white_check_mark: %s: %s and %s hold the same rows.", c.Pair, c.Primary, c.Standby)
	if !c.Identical {
		verdict = say(":x: *%s: %s and %s differ.* Under writes a difference can pass; ask again.", c.Pair, c.Primary, c.Standby)
	}
	p.must(verdict)
	p.section(pre(comparisonTable(c), limitSection))
	p.context(say("Compared at %s by count and checksum.", when(c.CheckedAt)))
	return p.message()
}

func comparisonTable(c actions.Comparison) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "TABLE\t%s\t%s\tCHECKSUM\n", c.Primary, c.Standby)
	for _, t := range c.Tables {
		same := "same"
		if !t.SumsEqual {
			same = "DIFFERS"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", oneLine(t.Table), rowsCell(t.PrimaryRows), rowsCell(t.StandbyRows), same)
	}
	_ = w.Flush() // into memory
	return b.String()
}

func rowsCell(n int64) string {
	if n < 0 {
		return "missing"
	}
	return fmt.Sprint(n)
}

// openMessage lists what waits for approval or runs.
func openMessage(open []approvals.Request, links map[string]string, people People) message {
	p := &page{}
	if len(open) == 0 {
		p.must("No request is open.")
		return p.message()
	}
	p.header("Open requests: %d", len(open))
	for _, r := range open {
		p.section(openLine(r, links[r.ID], people))
	}
	return p.message()
}

func openLine(r approvals.Request, link string, people People) markup {
	v := view{request: r, people: people}
	m := say("*%s*: %s. Asked by %s %s", v.what(), v.standing(), person(r.Requester), when(r.CreatedAt))
	if r.State.Votable() {
		m += say(", expires %s", when(r.ExpiresAt))
	}
	return m + say(". %s", requestLink(r.ID, link))
}

// requestLink leads to a request's message; without a link it names the id.
func requestLink(id, link string) markup {
	if link == "" {
		return say("Request %s.", code(id))
	}
	return say("<%s|Open the request>", strings.NewReplacer("|", "%7C", " ", "%20").Replace(link))
}
