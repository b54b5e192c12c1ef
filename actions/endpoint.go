package actions

import (
	"context"
	"fmt"
	"strings"
)

// EndpointSeen is what was read of one endpoint.
type EndpointSeen struct {
	Text    string `json:"text"`    // what it is, see [Endpoint.Describe]
	Node    string `json:"node"`    // that it leads to, "" for neither
	Problem string `json:"problem"` // why it could not be read
}

func endpointSeen(ctx context.Context, e Endpoint) EndpointSeen {
	seen := EndpointSeen{Text: e.Describe()}
	node, err := e.Read(ctx)
	if err != nil {
		seen.Problem = err.Error()
		return seen
	}
	seen.Node = node
	return seen
}

// checkEndpoints is asked only where a pair has one. It never stands in the way:
// a failover must not wait for a DNS provider.
func checkEndpoints(e Evidence, r roles) (Status, string, string) {
	if r.from.Name == "" {
		return unseen(r.from)
	}
	var wrong []string
	for _, s := range e.Endpoints {
		switch {
		case s.Problem != "":
			wrong = append(wrong, fmt.Sprintf("%s can't be read: %s", s.Text, s.Problem))
		case s.Node == "":
			wrong = append(wrong, s.Text+" leads to neither node")
		case s.Node != r.from.Name:
			wrong = append(wrong, s.Text+" leads to "+s.Node)
		}
	}
	if len(wrong) > 0 {
		return Warn, strings.Join(wrong, "; "), fmt.Sprintf("Clients that use it may not find %s. Point it there (on the bot's machine: bot point %s), or mend what keeps the bot from reading it.", r.from.Name, e.Pair.Name)
	}
	return OK, "it leads to " + r.from.Name, ""
}

// endpointFact makes a plan stale whose endpoints are no longer those that it
// named. Where they lead is none: the plan changes that itself.
func endpointFact(e Evidence) Facts {
	if len(e.Endpoints) == 0 {
		return nil
	}
	return Facts{{"endpoint", strings.Join(endpointTexts(e), "; ")}}
}

func endpointTexts(e Evidence) []string {
	texts := make([]string, len(e.Endpoints))
	for i, s := range e.Endpoints {
		texts[i] = s.Text
	}
	return texts
}

// planEndpoints is the plan's part on endpoints, after the probe: nobody waits
// for it.
func (p *Plan) planEndpoints(texts []string) {
	for _, text := range texts {
		p.add(OpEndpoint, p.To, "point clients at %s: %s", p.To, text)
	}
}

// pointClients points the endpoints at the new primary. One that fails leaves a
// working primary, and something for people to do.
func (x *execution) pointClients(ctx context.Context) {
	for _, e := range x.hands.Endpoints {
		err := x.step(ctx, OpEndpoint, x.plan.To, func(ctx context.Context) (string, error) {
			ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "pointing the endpoint at "+x.plan.To)
			defer cancel()
			return e.Describe(), e.Point(ctx, x.plan.To)
		})
		if err != nil && ctx.Err() == nil { // told to end, the next run does it
			x.todo("Point clients at %s yourself: %s (%v). On the bot's machine: bot point %s.", x.plan.To, e.Describe(), err, x.plan.Pair)
		}
	}
	if missing := x.plan.count(OpEndpoint) - len(x.hands.Endpoints); missing > 0 { // a resumed plan of another config
		x.todo("The plan names %d endpoints that are not configured any more: point them at %s yourself.", missing, x.plan.To)
	}
}

func (p Plan) count(op Op) int {
	n := 0
	for _, s := range p.Steps {
		if s.Op == op {
			n++
		}
	}
	return n
}
