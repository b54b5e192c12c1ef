package bot

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"twokey/actions"
	"twokey/approvals"
	"twokey/secret"
)

// OnRendered sees every message that tests render. Set before tests run.
var OnRendered = func(Rendered) {}

// Rendered is a message as it would be sent.
type Rendered struct {
	Text          string
	Blocks, Short json.RawMessage
}

func rendered(m message) Rendered {
	encode := func(v any) json.RawMessage {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return raw
	}
	out := Rendered{Text: string(m.text), Blocks: encode(m.blocks), Short: encode(m.short)}
	OnRendered(out)
	return out
}

func Genuine(key string, now time.Time, h http.Header, body []byte) bool {
	return signature{secret: secret.New(key), now: func() time.Time { return now }}.genuine(h, body)
}

func Sign(key, stamp string, body []byte) string {
	return signature{secret: secret.New(key)}.sign(stamp, body)
}

// Scene is what the messages about a request are made from.
type Scene struct {
	Request approvals.Request
	Journal []actions.Entry
	Pairs   []actions.Pair
	People  People
	Audit   approvals.Event
	Now     time.Time
}

func (s Scene) view() view {
	v := newView(s.Request, s.Journal, s.Pairs, s.People, s.Now)
	v.audit = headOf(s.Audit)
	return v
}

func RenderRequest(s Scene) Rendered { return rendered(requestMessage(s.view())) }

// Rendering is what the program does, without what tests need beside it.
func Rendering(s Scene) string { return string(requestMessage(s.view()).text) }

func RenderResult(s Scene) Rendered { return rendered(resultMessage(s.view())) }
func RenderHeld(s Scene) Rendered   { return rendered(heldMessage(s.view())) }
func RenderAsked(s Scene) Rendered  { return rendered(askedMessage(s.view(), "")) }

func RenderStatus(r ...actions.Report) Rendered { return rendered(statusMessage(r)) }
func RenderVerify(r ...actions.Report) Rendered { return rendered(verifyMessage(r)) }
func RenderPreview(p actions.Plan, pair actions.Pair) Rendered {
	return rendered(previewMessage(p, pair))
}

// RenderNews is news told to nobody in particular, or among people.
func RenderNews(e approvals.Event, among ...People) Rendered {
	return rendered(newsMessage(e, append(among, People{})[0]))
}

func RenderComparison(c actions.Comparison) Rendered { return rendered(comparisonMessage(c)) }
func RenderHelp(pairs []actions.Pair) Rendered       { return rendered(helpMessage("/pg", pairs)) }
func RenderRefusal(r *approvals.Refusal, link string) Rendered {
	return rendered(refusalMessage(r, link))
}
func RenderTestRow(pair, node string, row actions.TestRow) Rendered {
	return rendered(testRowMessage(pair, node, row))
}
func RenderOpen(open []approvals.Request, links map[string]string, p People) Rendered {
	return rendered(openMessage(open, links, p))
}

func RenderMissed(events ...approvals.Event) Rendered { return rendered(missedMessage(events)) }

// RenderAskedInVain is RenderAsked while messages don't leave.
func RenderAskedInVain(s Scene, trouble string) Rendered {
	return rendered(askedMessage(s.view(), trouble))
}

// Material is everything that messages and views are made from.
type Material struct {
	Words    []string // at least one
	Scene    Scene
	Past     []approvals.Request
	Reports  []actions.Report
	News     []approvals.Event
	Late     []approvals.Event
	Alert    actions.Alert
	Alerts   Alerts
	States   []actions.PairState // at least one, with an incident
	Lag      actions.LagHistory
	Trail    actions.Trail
	Compared actions.Comparison
}

// Built is a message, or a view as JSON.
type Built struct {
	Message Rendered
	View    json.RawMessage
}

// Builders call every function that makes a message, a page or a view, by its
// name, in each way that it can be called.
func Builders(m Material) map[string]func() []Built {
	v, last := m.Scene.view(), m.last()
	link := map[string]string{m.Scene.Request.ID: "https://sim.example/p"}
	messages := func(all ...message) (out []Built) {
		for _, m := range all {
			out = append(out, Built{Message: rendered(m)})
		}
		return out
	}
	pages := func(all ...*page) (out []Built) {
		for _, p := range all {
			out = append(out, Built{Message: rendered(p.message())}, Built{View: asJSON(p.view(actionDetails, "Page", "", ""))}, Built{View: asJSON(p.home())})
		}
		return out
	}
	views := func(all ...slack.ModalViewRequest) (out []Built) {
		for _, v := range all {
			out = append(out, Built{View: asJSON(v)})
		}
		return out
	}
	return map[string]func() []Built{
		"askedMessage": func() []Built {
			return messages(askedMessage(v, ""), askedMessage(v, last))
		},
		"auditMessage": func() []Built {
			return messages(auditMessage(m.Trail, m.Scene.People, "/pg"), auditMessage(m.trail(), m.Scene.People, "/pg"))
		},
		"changeMessage":     func() []Built { return messages(changeMessage(m.News[0], m.Alert, m.Alerts)) },
		"codeView":          func() []Built { return views(codeView(m.sheet(), nil), codeView(m.sheet(), &v)) },
		"comparisonMessage": func() []Built { return messages(comparisonMessage(m.Compared)) },
		"denyView":          func() []Built { return views(denyView(m.sheet(), nil), denyView(m.sheet(), &v)) },
		"detailsView":       func() []Built { return views(detailsView(v)) },
		"factorMessage": func() (out []Built) {
			for _, e := range m.News {
				if f, ok := factorMessage(e, m.Scene.People); ok {
					out = append(out, messages(f)...)
				}
			}
			return out
		},
		"faultMessage":     func() []Built { return messages(faultMessage(last, false), faultMessage(last, true)) },
		"groupMessage":     func() []Built { return messages(groupMessage(m.States, m.Alerts)) },
		"groupOverMessage": func() []Built { return messages(groupOverMessage(m.States)) },
		"heldMessage":      func() []Built { return messages(heldMessage(v)) },
		"helpMessage":      func() []Built { return messages(helpMessage("/pg", m.pairs())) },
		"historyMessage": func() []Built {
			return messages(historyMessage(m.Past, last, link, m.Scene.People, "/pg"))
		},
		"historyPage": func() []Built { return pages(historyPage(m.Past, "", nil, m.Scene.People, "/pg")) },
		"homeForm": func() (out []Built) {
			for _, action := range []string{homeFailover, homeRejoin, homeDrill, homePause, homeResume} {
				form, _ := homeForm(action, last)
				out = append(out, views(form)...)
			}
			return out
		},
		"homePage": func() []Built {
			return pages(homePage(m.Scene.home()), homePage(homeScene{states: m.States, command: "/pg"}))
		},
		"incidentMessage": func() []Built {
			return messages(incidentMessage(m.News[0], m.Alert, m.Alerts), incidentMessage(m.News[0], m.Alert, Alerts{}))
		},
		"lagMessage":    func() []Built { return messages(lagMessage(m.Lag, esc(last)), lagMessage(m.Lag, "")) },
		"lagPage":       func() []Built { return pages(lagPage(m.Lag, esc(last))) },
		"missedMessage": func() []Built { return messages(missedMessage(m.Late), missedMessage(m.Late[:1])) },
		"newsMessage": func() (out []Built) {
			for _, e := range m.News {
				out = append(out, messages(newsMessage(e, m.Scene.People))...)
			}
			return out
		},
		"noteMessage": func() []Built { return messages(noteMessage(say("%s", last))) },
		"noteView":    func() []Built { return views(noteView(say("%s", last))) },
		"openMessage": func() []Built {
			return messages(openMessage(append(m.Past, m.Scene.Request), link, m.Scene.People), openMessage(nil, nil, m.Scene.People))
		},
		"pauseMessage": func() (out []Built) {
			for _, e := range m.News {
				out = append(out, messages(pauseMessage(e))...)
			}
			return out
		},
		"previewMessage": func() []Built { return messages(previewMessage(v.plan, ordersOf(m))) },
		"previewPage":    func() []Built { return pages(previewPage(v.plan, ordersOf(m))) },
		"rawNews":        func() []Built { return messages(rawNews(m.News[0])) },
		"refusalMessage": func() []Built {
			r := &approvals.Refusal{Message: last, Request: m.Scene.Request.ID}
			return messages(refusalMessage(r, ""), refusalMessage(r, "https://sim.example/p"))
		},
		"reminderMessage": func() []Built { return messages(reminderMessage(v)) },
		"requestMessage":  func() []Built { return messages(requestMessage(v)) },
		"resultMessage":   func() []Built { return messages(resultMessage(v)) },
		"statementView": func() []Built {
			return views(statementView(m.sheet(), nil, false), statementView(m.sheet(), &v, true))
		},
		"statusMessage":  func() []Built { return messages(statusMessage(m.Reports)) },
		"statusPage":     func() []Built { return pages(statusPage(m.Reports)) },
		"strangerHome":   func() []Built { return pages(strangerHome("C0OPS00001")) },
		"testRowMessage": func() []Built { return messages(testRowMessage(m.Words[0], last, actions.TestRow{ID: 7})) },
		"verifyMessage":  func() []Built { return messages(verifyMessage(m.Reports)) },
		"verifyPage":     func() []Built { return pages(verifyPage(m.Reports)) },
		"waitView":       func() []Built { return views(waitView(last)) },
		"page":           func() []Built { return []Built{{Message: FromStrings(m.Words)}} },
	}
}

func asJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func (m Material) last() string {
	if len(m.Words) == 0 {
		return ""
	}
	return m.Words[len(m.Words)-1]
}

func (m Material) sheet() sheet {
	return sheet{Request: m.Scene.Request.ID, Digest: m.Scene.Request.Digest().Short(), Channel: "C1", Message: "1.2"}
}

func (m Material) trail() actions.Trail {
	t := m.Trail
	t.Request = &m.Scene.Request
	return t
}

func (m Material) pairs() []actions.Pair {
	pairs := make([]actions.Pair, len(m.Words))
	for i, w := range m.Words {
		pairs[i] = actions.Pair{Name: w}
	}
	return pairs
}

func ordersOf(m Material) actions.Pair { return m.Scene.Pairs[0] }

// Views gives every modal that a scene can lead to, and the home, as JSON.
func Views(s Scene) map[string]json.RawMessage {
	v := s.view()
	sheet := sheet{Request: s.Request.ID, Digest: s.Request.Digest().Short(), Channel: "C1", Message: "1.2"}
	views := map[string]any{
		"deny": denyView(sheet, &v), "deny at first": denyView(sheet, nil), "statement": statementView(sheet, &v, true), "code": codeView(sheet, &v), "code at first": codeView(sheet, nil),
		"statement at first": statementView(sheet, nil, false), "details": detailsView(v), "wait": waitView("Details"),
		"home": homePage(s.home()).home(),
	}
	out := map[string]json.RawMessage{}
	for name, view := range views {
		raw, err := json.Marshal(view)
		if err != nil {
			panic(err)
		}
		out[name] = raw
	}
	return out
}

// FromStrings makes a page that holds the given strings in every place that a
// page has.
func FromStrings(words []string) Rendered {
	p := &page{}
	var lines []markup
	for _, w := range words {
		p.header("%s", w)
		p.must(say("%s %s", w, code(w)))
		p.section(pre(w, limitSection))
		p.context(say("<@U1> %s", w))
		lines = append(lines, esc(w), code(w))
		p.actions(button{action: actionApprove, label: w, value: w, confirm: &confirm{title: w, text: w, yes: w, no: w}})
	}
	p.lines(esc("title"), lines)
	return rendered(p.message())
}

func Cut(s string, limit int) string     { return string(cut(markup(s), limit)) }
func Escape(s string) string             { return string(esc(s)) }
func Pre(s string, limit int) string     { return string(pre(s, limit)) }
func Length(s string) int                { return lengthOf(s) }
func Clip(s string, limit int) string    { return clip(s, limit) }
func DryRunLast(s string) (string, bool) { return dryRunLast(s) }

const LimitText, LimitAllText = limitText, limitAllText

// AnswerAtLength makes a bot in Socket Mode, before it runs, answer commands and
// submissions at once with more than an acknowledgement may hold.
func (b *Bot) AnswerAtLength() {
	p := &page{}
	for range 3 {
		p.section(markup(strings.Repeat("€", limitSection)))
	}
	p.context("the end")
	take := b.sockets.take
	b.sockets.take = func(d delivery) ack {
		if d.kind == kindCommand {
			return b.answerNow(b.askerOf(d), p.message())
		}
		if in, ok := parsePayload(d.payload); ok && in.Type == "view_submission" {
			v := p.view("", "twokey", "", "")
			return b.submissionAck(in.View.ID, slack.NewUpdateViewSubmissionResponse(&v))
		}
		return take(d)
	}
}

func RenderLag(h actions.LagHistory, trouble string) Rendered {
	return rendered(lagMessage(h, esc(trouble)))
}
func RenderHistory(past []approvals.Request, pair string, p People) Rendered {
	return rendered(historyMessage(past, pair, nil, p, "/pg"))
}
func RenderAudit(t actions.Trail, p People) Rendered { return rendered(auditMessage(t, p, "/pg")) }

// Upload sends a file with a token of its own.
func Upload(ctx context.Context, api, token string, content []byte) error {
	o, err := Options{APIURL: api, Token: secret.New(token)}.withDefaults()
	if err != nil {
		return err
	}
	defer o.HTTPClient.CloseIdleConnections()
	return newClient(o).upload(ctx, file{name: "x.png", content: content, channel: "C1"})
}

func RenderReminder(s Scene) Rendered { return rendered(reminderMessage(s.view())) }
func RenderIncident(e approvals.Event, a actions.Alert, how Alerts) Rendered {
	return rendered(incidentMessage(e, a, how))
}
func RenderChange(e approvals.Event, a actions.Alert, how Alerts) Rendered {
	return rendered(changeMessage(e, a, how))
}
func RenderGroup(members []actions.PairState, how Alerts) Rendered {
	return rendered(groupMessage(members, how))
}
func RenderGroupOver(members []actions.PairState) Rendered {
	return rendered(groupOverMessage(members))
}
func Left(now, until time.Time) (string, time.Time) {
	words, next := left(now, until)
	return string(words), next
}
func Sparkline(lag []*uint64) string { return sparkline(lag) }

// home shows the scene's request as open, and as the last failover.
func (s Scene) home() homeScene {
	h := homeScene{people: s.People, command: "/pg", promotions: map[string]*approvals.Request{}, links: map[string]string{}}
	for _, p := range s.Pairs {
		h.states = append(h.states, actions.PairState{Pair: p, Open: &s.Request, Memory: actions.Remembered{
			Health: actions.Health(s.Request.Why), Primary: p.Nodes[0].Name, Paused: &actions.Paused{Why: s.Request.Reason, By: s.Request.Requester},
			Incident: &actions.Incident{Troubles: []actions.Trouble{{Code: s.Request.Why, Level: actions.LevelCritical, Text: s.Request.Reason}}},
		}})
		h.promotions[p.Name] = &s.Request
	}
	return h
}

// RenderHome is the Home's content as if it were a message.
func RenderHome(states []actions.PairState, promotions map[string]*approvals.Request) Rendered {
	return rendered(homePage(homeScene{states: states, promotions: promotions, people: People{}, command: "/pg"}).message())
}

// HomeForms are all of them, as JSON.
func HomeForms(pair string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, action := range []string{homeFailover, homeRejoin, homeDrill, homePause, homeResume} {
		form, _ := homeForm(action, pair)
		raw, err := json.Marshal(form)
		if err != nil {
			panic(err)
		}
		out[action] = raw
	}
	return out
}

// HomeView is the Home of many pairs, as JSON.
func HomeView(states []actions.PairState) json.RawMessage {
	raw, err := json.Marshal(homePage(homeScene{states: states, command: "/pg"}).home())
	if err != nil {
		panic(err)
	}
	return raw
}
