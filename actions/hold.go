package actions

import (
	"context"
	"fmt"
	"strings"

	"twokey/approvals"
)

// hold puts the request on held until an approver types the pair's name, or
// refuses, or the time is over. It can be called again after a restart: an
// answer that was given meanwhile counts.
func (x *execution) hold(ctx context.Context, doubts []string, fenced bool) (approvals.Pause, error) {
	question := x.question(doubts, fenced)
	if p, ok := answered(x.req); ok {
		return p, judgeAnswer(p)
	}
	if x.req.State != approvals.Held {
		if err := x.ask(ctx, question); err != nil {
			return approvals.Pause{}, err
		}
	}
	r, err := x.desk.await(ctx, x.req.ID, func(r approvals.Request) bool { return r.State != approvals.Held })
	if err != nil {
		return approvals.Pause{}, err
	}
	x.req = r
	p, _ := answered(r)
	return p, judgeAnswer(p)
}

// question names what is in doubt, and only that, and what is true already.
func (x *execution) question(doubts []string, fenced bool) string {
	text := strings.TrimSuffix(strings.Join(doubts, "; "), ".") + "."
	if fenced {
		return text + fmt.Sprintf(" %s has been fenced and stays off, whatever you decide. By typing %q you accept what can't be proven.", x.plan.From, x.plan.Pair)
	}
	return text + fmt.Sprintf(" By typing %q you state that %s is off and stays off, and that you accept what can't be proven.", x.plan.Pair, x.plan.From)
}

func (x *execution) ask(ctx context.Context, question string) error {
	now := x.desk.now()
	r, err := x.desk.opt.Store.Update(ctx, x.req.ID, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Hold(now, question, x.plan.Pair, now.Add(x.desk.opt.Policy.HoldExpiry))
	})
	if err == nil {
		x.req = r
	}
	return err
}

// answered is the last pause of a request, when it has its answer.
func answered(r approvals.Request) (approvals.Pause, bool) {
	if len(r.Pauses) == 0 {
		return approvals.Pause{}, false
	}
	p := r.Pauses[len(r.Pauses)-1]
	return p, p.Answer != ""
}

func judgeAnswer(p approvals.Pause) error {
	switch p.Answer {
	case approvals.Accept:
		return nil
	case approvals.Refuse:
		return fmt.Errorf("%s refused to state it", p.By)
	}
	return fmt.Errorf("nobody stated it in time")
}
