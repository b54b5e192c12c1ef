package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
	"twokey/config"
)

// asking is the part of the admin socket that takes what Slack's commands take.
// A request that was opened here is posted in the ops channel like any other and
// decided there: there is no way to vote over the socket.
type asking struct {
	desk  *actions.Desk
	bot   *bot.Bot
	slack config.Slack
	// approvers of the configuration, by name.
	approvers map[approvals.Person]string
	people    bot.People
	listed    []approvals.Person   // the approvers of the list, in its order
	rule      approvals.FactorRule // whether they need one-time codes
}

// asked is what the socket answers to a question: the request as it stands, and
// where people decide it. Link is "" while Slack has not taken the message.
type asked struct {
	Request approvals.Request `json:"request"`
	Plan    actions.Plan      `json:"plan"`
	Team    string            `json:"team"`
	Channel string            `json:"channel"`
	Link    string            `json:"link,omitempty"`
	Error   string            `json:"error,omitempty"`
}

// planned is the answer to a question that asks nobody.
type planned struct {
	Plan  actions.Plan `json:"plan"`
	Error string       `json:"error,omitempty"`
}

// inserted is the answer to insert-test.
type inserted struct {
	Pair  string          `json:"pair"`
	Node  string          `json:"node"`
	Row   actions.TestRow `json:"row"`
	Error string          `json:"error,omitempty"`
}

// compared is the answer to verify-data.
type compared struct {
	actions.Comparison

	Error string `json:"error,omitempty"`
}

// pointed is the answer to point.
type pointed struct {
	Pair  string `json:"pair"`
	Node  string `json:"node"`
	Error string `json:"error,omitempty"`
}

func (a asking) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/ask", a.ask)
	mux.HandleFunc("GET /v1/plan", a.plan)
	mux.HandleFunc("POST /v1/insert-test", a.insertTest)
	mux.HandleFunc("GET /v1/verify-data", a.verifyData)
	mux.HandleFunc("POST /v1/point", a.point)
}

// linkPatience is how long an answer waits for Slack to take the message.
const linkPatience = 10 * time.Second

func (a asking) ask(w http.ResponseWriter, r *http.Request) {
	answer := asked{Team: a.slack.Team, Channel: a.slack.Channel}
	q, err := a.question(r.URL.Query())
	if err == nil {
		answer.Request, err = a.desk.Ask(r.Context(), q)
	}
	if err == nil {
		err = json.Unmarshal(answer.Request.Subject.Data, &answer.Plan)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), linkPatience)
		defer cancel()
		answer.Link = a.bot.Link(ctx, answer.Request.ID)
	}
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (a asking) plan(w http.ResponseWriter, r *http.Request) {
	var answer planned
	q, err := a.question(r.URL.Query())
	if err == nil {
		answer.Plan, err = a.desk.Preview(r.Context(), q)
	}
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (a asking) insertTest(w http.ResponseWriter, r *http.Request) {
	var answer inserted
	who, err := a.person(r.URL.Query().Get("as"))
	if err == nil {
		answer.Pair, err = a.pair(r.URL.Query().Get("pair"))
	}
	if err == nil {
		answer.Node, answer.Row, err = a.desk.InsertTest(r.Context(), answer.Pair, who)
	}
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (a asking) verifyData(w http.ResponseWriter, r *http.Request) {
	var answer compared
	pair, err := a.pair(r.URL.Query().Get("pair"))
	if err == nil {
		answer.Comparison, err = a.desk.VerifyData(r.Context(), pair)
	}
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (a asking) point(w http.ResponseWriter, r *http.Request) {
	var answer pointed
	pair, err := a.pair(r.URL.Query().Get("pair"))
	if err == nil {
		answer.Pair = pair
		answer.Node, err = a.desk.PointClients(r.Context(), pair)
	}
	answer.Error = errorText(err)
	reply(w, answer, err)
}

func (a asking) question(v url.Values) (actions.Question, error) {
	who, err := a.person(v.Get("as"))
	if err != nil {
		return actions.Question{}, err
	}
	pair, err := a.pair(v.Get("pair"))
	return actions.Question{
		Pair: pair, Kind: actions.Kind(v.Get("kind")), To: v.Get("to"), Reason: v.Get("reason"), Requester: who, Place: a.bot.Place(),
	}, err
}

// pair is the named one, or the only one.
func (a asking) pair(name string) (string, error) {
	pairs := a.desk.Pairs()
	if name == "" && len(pairs) == 1 {
		return pairs[0].Name, nil
	}
	var names []string
	for _, p := range pairs {
		names = append(names, p.Name)
	}
	if name == "" {
		return "", refusal("Which pair? There are: %s.", strings.Join(names, ", "))
	}
	return name, nil // the desk refuses an unknown one
}

// person is who asks: an approver's name, or a Slack member id. Whoever asks
// can't approve, so the name matters; and so nobody may ask as nobody.
func (a asking) person(as string) (approvals.Person, error) {
	if _, known := a.approvers[approvals.Person(as)]; known {
		return approvals.Person(as), nil
	}
	if memberID.MatchString(as) {
		return a.people.Person(a.slack.Team, as), nil
	}
	return "", refusal("%q is neither an approver's name nor a Slack member id (U…). Give --as: who asks is shown, and can't approve.", as)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func reply(w http.ResponseWriter, answer any, err error) {
	code := http.StatusOK
	switch {
	case err == nil:
	case approvals.Refused(err) != "":
		code = http.StatusBadRequest
	default:
		code = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may be gone
}

// callFor sends a question over the admin socket and decodes the answer.
func callFor[T any](ctx context.Context, socket, method, what string, v url.Values) (answer T, err error) {
	err = callBot(ctx, socket, method, what+"?"+v.Encode(), func(resp *http.Response) error {
		if resp.StatusCode == http.StatusNotFound {
			return errOldBot
		}
		return json.NewDecoder(resp.Body).Decode(&answer)
	})
	return answer, err
}

var errOldBot = errors.New("the running bot doesn't know this question; is it of another version?")
