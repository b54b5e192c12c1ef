package bot

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// verb is one command as the help lists it.
type verb struct {
	name, args, about, example string
	pair                       pairNeed
	reason                     reasonNeed
	question                   bool // takes to and --dry-run
	id                         bool // takes the id of a request
	window                     bool // takes a time to look back
}

type pairNeed int

const (
	pairNone pairNeed = iota
	pairAll           // left out, it means all of them
	pairAny           // left out, it is none: whichever
	pairOne           // may be left out when there is one
)

// reasonNeed says whether words after "--" are taken.
type reasonNeed int

const (
	reasonNone reasonNeed = iota
	reasonMay
	reasonMust
)

const (
	verbHelp       = "help"
	verbStatus     = "status"
	verbVerify     = "verify"
	verbFailover   = "failover"
	verbSwitchover = "switchover"
	verbRejoin     = "rejoin"
	verbPause      = "pause"
	verbResume     = "resume"
	verbDrill      = "drill"
	verbLag        = "lag"
	verbHistory    = "history"
	verbAudit      = "audit"
	verbApprovals  = "approvals"
	verbCancel     = "cancel"
	verbInsertTest = "insert-test"
	verbVerifyData = "verify-data"
)

func verbs() []verb {
	return []verb{
		{name: verbStatus, args: "[pair]", about: "both nodes side by side", example: "status orders", pair: pairAll},
		{name: verbVerify, args: "[pair]", about: "every check, and whether zero loss is proven", example: "verify orders", pair: pairAll},
		{name: verbLag, args: "[pair] [1h|24h|7d]", about: "how far the standby was behind, as a chart", example: "lag orders 24h", pair: pairOne, window: true},
		{name: verbFailover, args: "[pair] [to <node>] [--dry-run] [-- reason]", about: "ask for a switchover, or a disaster failover if the primary is gone", example: "failover orders -- kernel upgrade on dc1", pair: pairOne, reason: reasonMay, question: true},
		{name: verbSwitchover, args: "[pair] [to <node>] [--dry-run] [-- reason]", about: "ask for a planned switchover, nothing else", example: "switchover orders to dc2 -- kernel upgrade on dc1", pair: pairOne, reason: reasonMay, question: true},
		{name: verbRejoin, args: "[pair] [--dry-run] [-- reason]", about: "ask to make the old primary the new standby", example: "rejoin orders -- dc1 is repaired", pair: pairOne, reason: reasonMay, question: true},
		{name: verbPause, args: "[pair] -- reason", about: "let nothing be carried out on a pair until it is resumed; checks go on", example: "pause orders -- disk of dc2 is being replaced", pair: pairOne, reason: reasonMust},
		{name: verbResume, args: "[pair] [-- reason]", about: "end a pause", example: "resume orders -- disk is replaced", pair: pairOne, reason: reasonMay},
		{name: verbDrill, args: "[pair] [-- reason]", about: "rehearse: the whole approval with two people, then a dry run; nothing is changed", example: "drill orders -- monthly rehearsal", pair: pairOne, reason: reasonMay},
		{name: verbApprovals, about: "what waits for approval or runs", example: "approvals"},
		{name: verbHistory, args: "[pair]", about: "past requests: who asked, who voted, how they ended", example: "history orders", pair: pairAny},
		{name: verbAudit, args: "[request or entry]", about: "the audit log: its end, one request's part, or one entry", example: "audit 42", id: true},
		{name: verbCancel, args: "[request]", about: "take back what you asked for", example: "cancel", id: true},
		{name: verbInsertTest, args: "[pair]", about: "commit a test row on the primary", example: "insert-test orders", pair: pairOne},
		{name: verbVerifyData, args: "[pair]", about: "compare the rows of both nodes", example: "verify-data orders", pair: pairOne},
		{name: verbHelp, about: "this list", example: "help"},
	}
}

func (v verb) kind() actions.Kind {
	switch v.name {
	case verbSwitchover:
		return actions.KindSwitchover
	case verbRejoin:
		return actions.KindRejoin
	case verbDrill:
		return actions.KindDrill
	}
	return actions.KindAuto
}

// Intent is what a slash command asks for.
type Intent struct {
	Verb   string
	Pairs  []string // resolved: configured names
	Kind   actions.Kind
	To     string // node, "" to let the evidence say
	Reason string
	DryRun bool
	ID     string        // of a request, or the number of an audit entry
	Back   time.Duration // to look back
}

// Parse reads the text of a slash command. What it can't read is a *Refusal
// CodeInput with a suggestion or an example; text written by the person is in
// the message as it was, unescaped.
func Parse(command, text string, pairs []actions.Pair) (Intent, error) {
	p := parser{command: command, pairs: pairs}
	p.words, p.reason, p.dashes = split(text)
	if len(p.words) == 0 {
		return Intent{Verb: verbHelp}, nil
	}
	v, err := p.verb(p.words[0])
	if err != nil {
		return Intent{}, err
	}
	p.rest = p.words[1:]
	return p.intent(v)
}

type parser struct {
	command string
	pairs   []actions.Pair
	words   []string
	rest    []string // words not read yet
	reason  string
	dashes  bool // there was a --
}

func (p *parser) verb(word string) (verb, error) {
	var names []string
	for _, v := range verbs() {
		if strings.EqualFold(v.name, word) {
			return v, nil
		}
		names = append(names, v.name)
	}
	if near := nearest(word, names); near != "" {
		return verb{}, p.refuse("There is no command %q. Did you mean `%s %s`?", word, p.command, near)
	}
	return verb{}, p.refuse("There is no command %q. `%s help` lists them.", word, p.command)
}

func (p *parser) intent(v verb) (Intent, error) {
	in := Intent{Verb: v.name, Kind: v.kind()}
	if v.reason == reasonNone && p.dashes {
		return Intent{}, p.wrong(v, "%s takes no reason", v.name)
	}
	in.Reason = p.reason
	if v.window {
		in.Back = windows()[0].back
		if err := p.window(v, &in); err != nil { // also before the pair, where that is left out
			return Intent{}, err
		}
	}
	if v.id && len(p.rest) > 0 {
		in.ID, p.rest = p.rest[0], p.rest[1:]
	}
	if err := p.pair(v, &in); err != nil {
		return Intent{}, err
	}
	if v.question {
		if err := p.question(v, &in); err != nil {
			return Intent{}, err
		}
	}
	switch {
	case len(p.rest) > 0:
		return Intent{}, p.surplus(v)
	case v.reason == reasonMust && oneLine(in.Reason) == "":
		return Intent{}, p.wrong(v, "%s needs a reason, which follows --", v.name)
	}
	return in, nil
}

func (p *parser) surplus(v verb) error {
	if v.reason != reasonNone {
		return p.wrong(v, "I don't understand %q. A reason follows --", p.rest[0])
	}
	return p.wrong(v, "%q is too much for %s", p.rest[0], v.name)
}

// pair reads the pair, or takes the only one.
func (p *parser) pair(v verb, in *Intent) error {
	if v.pair == pairNone {
		return nil
	}
	if len(p.rest) > 0 && !isKeyword(p.rest[0]) {
		name, err := p.resolve(v, p.rest[0])
		in.Pairs, p.rest = []string{name}, p.rest[1:]
		return err
	}
	switch {
	case v.pair == pairAny:
		return nil
	case len(p.pairs) == 1 || v.pair == pairAll:
		for _, pair := range p.pairs {
			in.Pairs = append(in.Pairs, pair.Name)
		}
		return nil
	}
	return p.wrong(v, "Which pair? There is: %s", pairNames(p.pairs))
}

// window is a time to look back, in people's words.
type window struct {
	word string
	back time.Duration
}

// windows can be looked back for; the first one is meant when none is named.
func windows() []window {
	return []window{{"1h", time.Hour}, {"24h", 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}}
}

// windowWord is the word for a time to look back.
func windowWord(back time.Duration) string {
	for _, w := range windows() {
		if w.back == back {
			return w.word
		}
	}
	return back.String()
}

var looksLikeTime = regexp.MustCompile(`^[0-9]+ *[a-zA-Z]*$`)

// window takes the last word, where it looks like a time; people also say it first.
func (p *parser) window(v verb, in *Intent) error {
	if len(p.rest) == 2 && looksLikeTime.MatchString(p.rest[0]) && p.find(p.rest[0]).Name == "" {
		p.rest = []string{p.rest[1], p.rest[0]}
	}
	last := len(p.rest) - 1
	if last < 0 || !looksLikeTime.MatchString(p.rest[last]) || p.find(p.rest[last]).Name != "" {
		return nil
	}
	for _, w := range windows() {
		if strings.EqualFold(w.word, p.rest[last]) {
			in.Back, p.rest = w.back, p.rest[:last]
			return nil
		}
	}
	return p.wrong(v, "%q can't be looked back for; there is 1h, 24h and 7d", p.rest[last])
}

func isKeyword(word string) bool {
	return strings.EqualFold(word, "to") || strings.HasPrefix(word, "--")
}

func (p *parser) resolve(v verb, word string) (string, error) {
	var names []string
	for _, pair := range p.pairs {
		if pair.Name == word {
			return pair.Name, nil
		}
		names = append(names, pair.Name)
	}
	for _, pair := range p.pairs {
		if strings.EqualFold(pair.Name, word) {
			return pair.Name, nil
		}
		if _, isNode := pair.Node(word); isNode {
			return "", p.wrong(v, "%q is a node of %s, not a pair", word, pair.Name)
		}
	}
	if near := nearest(word, names); near != "" {
		return "", p.wrong(v, "There is no pair %q. Did you mean %s?", word, near)
	}
	return "", p.wrong(v, "There is no pair %q. There is: %s", word, pairNames(p.pairs))
}

// question reads [to <node>] and [--dry-run], in any order.
func (p *parser) question(v verb, in *Intent) error {
	in.Reason, in.DryRun = dryRunLast(p.reason)
	for len(p.rest) > 0 {
		switch word := p.rest[0]; {
		case strings.EqualFold(word, "--dry-run"):
			in.DryRun, p.rest = true, p.rest[1:]
		case strings.HasPrefix(word, "--"):
			return p.wrong(v, "There is no option %q; there is --dry-run", word)
		case strings.EqualFold(word, "to") && in.To == "" && v.kind() != actions.KindRejoin:
			if err := p.node(v, in); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (p *parser) node(v verb, in *Intent) error {
	if len(p.rest) < 2 {
		return p.wrong(v, "\"to\" needs a node")
	}
	pair := p.find(in.Pairs[0])
	var names []string
	for _, n := range pair.Nodes {
		names = append(names, n.Name)
		if strings.EqualFold(n.Name, p.rest[1]) {
			in.To, p.rest = n.Name, p.rest[2:]
			return nil
		}
	}
	hint := fmt.Sprintf("Its nodes: %s", strings.Join(names, ", "))
	if near := nearest(p.rest[1], names); near != "" {
		hint = fmt.Sprintf("Did you mean %s?", near)
	}
	return p.wrong(v, "Pair %s has no node %q. %s", pair.Name, p.rest[1], hint)
}

func (p *parser) find(name string) actions.Pair {
	for _, pair := range p.pairs {
		if pair.Name == name {
			return pair
		}
	}
	return actions.Pair{}
}

// wrong refuses arguments, with an example of how to say it.
func (p *parser) wrong(v verb, format string, args ...any) error {
	said := fmt.Sprintf(format, args...)
	if !strings.HasSuffix(said, "?") {
		said += "."
	}
	return p.refuse("%s For example: `%s %s`", said, p.command, v.example)
}

func (p *parser) refuse(format string, args ...any) error {
	return refuse(approvals.CodeInput, format, args...)
}
