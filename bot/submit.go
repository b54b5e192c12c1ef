package bot

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
)

// submitted takes a view that a person sent off. Its work may take longer than
// Slack waits; then the view says so, and is changed when the work is done.
func (b *Bot) submitted(d delivery, p payload) ack {
	work := b.submission(p)
	if work == nil {
		return acknowledged
	}
	key := d.keyOf("submission", p.TriggerID)
	if !b.seen.take(key) {
		return ack{status: http.StatusOK, body: slack.NewClearViewSubmissionResponse()}
	}
	slot := &answerSlot{done: make(chan struct{})}
	taken := b.presses.do(func(ctx context.Context) {
		err := b.safely(ctx, func(ctx context.Context) error { return work(ctx, key) })
		if late := slot.put(err); late {
			b.afterAck(ctx, p.View.ID, err)
		}
	})
	if !taken {
		b.seen.forget(key)
		return unavailable
	}
	done, err := slot.wait(withinAck)
	return b.submissionAck(p.View.ID, b.submissionAnswer(p, err, done))
}

// submission is the work of a view that was sent off, nil for one that records
// nothing.
func (b *Bot) submission(p payload) func(ctx context.Context, key string) error {
	if strings.HasPrefix(p.View.Callback, homePrefix) {
		return func(ctx context.Context, key string) error { return b.submitHome(ctx, key, p) }
	}
	s, ok := parseSheet(p.View.Private)
	if !ok || !submits(p.View.Callback) {
		return nil
	}
	return func(ctx context.Context, key string) error { return b.submit(ctx, key, s, p) }
}

// submits says whether a view records a decision.
func submits(callback string) bool {
	return callback == actionApprove || callback == actionDeny || callback == actionStatement
}

// submissionAck keeps the view open, where what it is to show is too large for
// an acknowledgement, and fills it afterwards.
func (b *Bot) submissionAck(viewID string, answer *slack.ViewSubmissionResponse) ack {
	a := ack{status: http.StatusOK, body: answer}
	if full := answer.View; full != nil {
		wait := waitView("twokey")
		a.small = slack.NewUpdateViewSubmissionResponse(&wait)
		a.rest = func(ctx context.Context) { b.changeLater(ctx, viewID, *full) }
	}
	return a
}

// submit is the work of a submission.
func (b *Bot) submit(ctx context.Context, key string, s sheet, p payload) error {
	who := asker{
		team: p.Team.ID, user: p.User.ID, channel: s.Channel, person: b.opt.People.Person(p.home(), p.User.ID),
		place: placeOf(p.Team.ID, s.Channel), proof: "submission of view " + p.View.ID,
	}
	if m, refused := b.outside(who, p.AppID); refused {
		return refuse(approvals.CodePlace, "%s", string(plain(m.text)))
	}
	if p.View.Callback != actionApprove && oneLine(p.typed()) == "" {
		return refuse(approvals.CodeInput, "Nothing was entered.")
	}
	return b.once(ctx, key, func() error {
		if _, err := b.own(ctx, s.Request, s.Channel, s.Message); err != nil {
			return err
		}
		ballot := b.ballot(who, s.Digest, clip(oneLine(p.typed()), maxPart))
		ballot.Code = p.code()
		var err error
		switch p.View.Callback {
		case actionApprove:
			_, err = b.opt.Desk.Approve(ctx, s.Request, ballot)
		case actionDeny:
			_, err = b.opt.Desk.Deny(ctx, s.Request, ballot)
		case actionStatement:
			_, err = b.opt.Desk.Answer(ctx, s.Request, ballot, approvals.Accept, p.typed())
		}
		return err
	})
}

// submissionAnswer closes the view, keeps it open with what is wrong, or says
// that it takes longer.
func (b *Bot) submissionAnswer(p payload, err error, done bool) *slack.ViewSubmissionResponse {
	switch {
	case !done:
		v := noteView("Recording your decision …")
		return slack.NewUpdateViewSubmissionResponse(&v)
	case err == nil && strings.HasPrefix(p.View.Callback, homePrefix):
		v := noteView(say(":white_check_mark: Done; %s shows it.", channelLink(b.opt.Channel)))
		return slack.NewUpdateViewSubmissionResponse(&v)
	case err == nil:
		return slack.NewClearViewSubmissionResponse()
	}
	if input := wrongInput(err); input != "" && p.has(input) {
		r, _ := errors.AsType[*approvals.Refusal](err)
		return slack.NewErrorsViewSubmissionResponse(map[string]string{input: clip(oneLine(r.Message), limitPlaceholder)})
	}
	v := b.endView(err)
	return slack.NewUpdateViewSubmissionResponse(&v)
}

// wrongInput is the field that a refusal is about, "" for none: then correcting
// what was typed doesn't help, and the view ends.
func wrongInput(err error) string {
	switch approvals.Refused(err) {
	case approvals.CodeStatement, approvals.CodeInput:
		return inputText
	case approvals.CodeFactor:
		return inputCode
	}
	return ""
}

// settleAck is how long Slack may take to show what the acknowledgement said;
// a change of the view before that would be overwritten by it.
const settleAck = 500 * time.Millisecond

func (b *Bot) afterAck(ctx context.Context, viewID string, err error) {
	v := noteView(":white_check_mark: Your decision is recorded.")
	if err != nil {
		v = b.endView(err)
	}
	b.changeLater(ctx, viewID, v)
}

// changeLater changes a view whose acknowledgement has just left.
func (b *Bot) changeLater(ctx context.Context, viewID string, v slack.ModalViewRequest) {
	timer := time.NewTimer(settleAck)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := b.slack.change(context.WithoutCancel(ctx), viewID, v); err != nil {
		b.opt.Log.Info("a view could not show the result; it may be closed", "error", err)
	}
}

// answerSlot hands the work's result to the acknowledgement, unless that has
// gone out already.
type answerSlot struct {
	mu   sync.Mutex
	left bool
	err  error
	done chan struct{} // closed by put
}

// put stores the result and says whether nobody waits for it any more.
func (s *answerSlot) put(err error) (late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	close(s.done)
	return s.left
}

// wait gives the result, or done == false after patience.
func (s *answerSlot) wait(patience time.Duration) (done bool, err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.done:
		return true, s.err
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done: // in the same instant
		return true, s.err
	default:
		s.left = true
		return false, nil
	}
}
