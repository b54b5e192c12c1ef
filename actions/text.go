package actions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Text is the plan as people approve it: every field that the executor acts
// on, in one canonical form. The digest is made of it. What servers and
// platforms say keeps to its own line, see plain.
func (p Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan: %s of pair %s, from %s to %s\n", p.Kind, p.Pair, p.From, p.To)
	fmt.Fprintf(&b, "verdict (as of %s): %s\n", clock(p.AsOf), plain(p.Verdict))
	fmt.Fprintf(&b, "acknowledged loss: %s\nafter promotion: %s\nwriters: %s\n", p.Loss, p.After, plain(p.Pause))
	fmt.Fprintf(&b, "\nsteps:\n")
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%2d. [%s %s] %s\n", i+1, s.Op, s.Node, plain(s.Text))
	}
	if len(p.Rehearsed) > 0 || p.Rehearses != "" {
		fmt.Fprintf(&b, "\nrehearsed, and not done: %s\n", p.Rehearses)
	}
	for i, s := range p.Rehearsed {
		fmt.Fprintf(&b, "%2d. would: [%s %s] %s\n", i+1, s.Op, s.Node, plain(s.Text))
	}
	fmt.Fprintf(&b, "\npromotion may rest on: %s\n", p.clearanceText())
	fmt.Fprintf(&b, "\nfacts that must still hold:\n")
	for _, f := range p.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", f.Name, orNothing(plain(f.Value)))
	}
	fmt.Fprintf(&b, "\nchecks:\n")
	for _, c := range p.Checks {
		fmt.Fprintf(&b, "- %s: %s (%s)\n", c.Title, c.Status, plain(c.Detail))
	}
	return b.String()
}

// plain is s as one line that can't be taken for another: quoted where it holds
// what isn't printed, a line feed say, and where it looks quoted already.
func plain(s string) string {
	if strings.HasPrefix(s, `"`) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func (p Plan) clearanceText() string {
	if len(p.Clearances) == 0 {
		return "nothing: this plan promotes nobody"
	}
	words := make([]string, len(p.Clearances))
	for i, c := range p.Clearances {
		words[i] = string(c)
	}
	return strings.Join(words, " or ")
}

// allows says whether a promotion under this plan may rest on such a clearance.
func (p Plan) allows(kind ClearanceKind) bool { return slices.Contains(p.Clearances, kind) }
