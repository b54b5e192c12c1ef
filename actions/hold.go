package actions

import (
	"context"
	"fmt"

	"twokey/approvals"
)

// hold puts the request on held until an approver types the pair's name, or
// refuses, or the time is over. nth is the question's place among those that
// the plan can lead to: it can be called again after a restart, and then the
// answer that was given meanwhile counts, for that question alone.
func (x *execution) hold(ctx context.Context, nth int, question string) (approvals.Pause, error) {
	var p approvals.Pause
	err := x.step(ctx, OpHold, "", func(ctx context.Context) (string, error) {
		var err error
		p, err = x.asked(ctx, nth, question)
		return fmt.Sprintf("%s typed %s", p.By, p.Statement), err
	})
	return p, err
}

func (x *execution) asked(ctx context.Context, nth int, question string) (approvals.Pause, error) {
	if p, ok := answer(x.req, nth); ok {
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
	p, _ := answer(r, nth)
	return p, judgeAnswer(p)
}

// answer is the nth pause of a request, when it has its answer.
func answer(r approvals.Request, nth int) (approvals.Pause, bool) {
	if nth >= len(r.Pauses) {
		return approvals.Pause{}, false
	}
	return r.Pauses[nth], r.Pauses[nth].Answer != ""
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
