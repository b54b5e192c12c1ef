package slacksim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// SubmitModal fills the inputs of the topmost view and submits it. values are by
// block_id or action_id; what isn't given keeps its initial value. The app's
// answer decides whether the view closes, changes, or shows errors.
func (w *Workspace) SubmitModal(ctx context.Context, userID, viewID string, values map[string]string) (Delivery, error) {
	who, v, err := w.topmost(userID, viewID)
	if err != nil {
		return Delivery{}, fmt.Errorf("submit: %w", err)
	}
	if v.Submit == "" {
		return Delivery{}, fmt.Errorf("submit: view %s has no submit button", viewID)
	}
	state, err := v.values(values, true)
	if err != nil {
		return Delivery{}, fmt.Errorf("submit: %w", err)
	}
	w.act(who, v.Channel, fmt.Sprintf("[%s] in %q", v.Submit, v.Title))
	payload := w.envelope("view_submission", who)
	triggerID := w.newTrigger(who.ID, v.Channel)
	payload["trigger_id"], payload["view"], payload["response_urls"] = triggerID, v.wire(w.opt.Team, state), []any{}
	out, err := interaction("view_submission", payload)
	if err != nil {
		return Delivery{}, err
	}
	d := w.send(ctx, out)
	d.TriggerID = triggerID
	return w.submitDone(v, d), nil
}

func (w *Workspace) topmost(userID, viewID string) (Account, View, error) {
	snap := w.Snapshot()
	who, ok := snap.st.accounts[userID]
	stack := snap.Modals(userID)
	switch {
	case !ok || who.Deleted:
		return who, View{}, fmt.Errorf("no active account %s", userID)
	case len(stack) == 0 || stack[len(stack)-1].ID != viewID:
		return who, View{}, fmt.Errorf("%s has no view %s on top", userID, viewID)
	}
	return who, stack[len(stack)-1], nil
}

// submitDone does what the app's answer to a submission says.
func (w *Workspace) submitDone(v View, d Delivery) Delivery {
	err := w.obey(v, d)
	if err == nil {
		return d
	}
	if d.Acknowledged() {
		d.Failure = err.Error()
	}
	d.Shown = trouble(d)
	w.complainInView(v, d.Shown)
	return d
}

// submission is an app's answer to a submission.
type submission struct {
	Action string            `json:"response_action"`
	View   any               `json:"view"`
	Errors map[string]string `json:"errors"`
}

func (w *Workspace) obey(v View, d Delivery) error {
	if !d.Acknowledged() {
		return fail(d.Failure)
	}
	var s submission
	if len(strings.TrimSpace(string(d.Response))) > 0 {
		dec := json.NewDecoder(strings.NewReader(string(d.Response)))
		dec.UseNumber()
		if err := dec.Decode(&s); err != nil {
			return fail("invalid_response")
		}
	}
	if s.View != nil {
		w.heard(Acknowledgement, args{"view": s.View})
	}
	switch s.Action {
	case "", "clear":
		w.change(func(st *state) { st.closeView(v, s.Action == "clear") })
		return nil
	case "errors":
		return w.refuse(v, s.Errors)
	case "update", "push":
		return w.next(v, s)
	}
	return fail("invalid_response")
}

// refuse shows errors beside inputs; Slack takes only keys that are input blocks.
func (w *Workspace) refuse(v View, errors map[string]string) error {
	inputs := v.Inputs()
	for key := range errors {
		if !slices.ContainsFunc(inputs, func(i Input) bool { return i.BlockID == key }) {
			return fail("invalid_response")
		}
	}
	if len(errors) == 0 {
		return fail("invalid_response")
	}
	w.editView(v, func(v View) View { v.Errors, v.Shown = errors, ""; return v })
	return nil
}

func (w *Workspace) next(v View, s submission) error {
	nv, err := w.readView(s.View, "modal")
	if err != nil {
		return err
	}
	w.change(func(st *state) {
		old, open := st.open(v.ID, "")
		switch {
		case !open:
		case s.Action == "update":
			w.replaceLocked(st, old, nv)
		case len(st.modals[v.User]) >= maxStack:
			err = fail("push_limit_reached")
		default:
			w.pushLocked(st, nv, v.User, v.Channel)
		}
	})
	return err
}

func (w *Workspace) complainInView(v View, text string) {
	w.editView(v, func(v View) View { v.Shown = text; return v })
}

func (w *Workspace) editView(v View, edit func(View) View) {
	w.change(func(st *state) {
		stack := slices.Clone(st.modals[v.User])
		for i := range stack {
			if stack[i].ID == v.ID {
				stack[i] = edit(stack[i])
			}
		}
		st.modals[v.User] = stack
	})
}

// CloseModal closes the topmost view; the app is told if it asked for that.
func (w *Workspace) CloseModal(ctx context.Context, userID, viewID string) (Delivery, error) {
	who, v, err := w.topmost(userID, viewID)
	if err != nil {
		return Delivery{}, fmt.Errorf("close: %w", err)
	}
	w.change(func(st *state) { st.closeView(v, v.ClearOnClose) })
	if !v.NotifyOnClose {
		return Delivery{Kind: "view_closed"}, nil
	}
	payload := w.envelope("view_closed", who)
	payload["view"], payload["is_cleared"] = v.wire(w.opt.Team, v.initial()), v.ClearOnClose
	out, err := interaction("view_closed", payload)
	if err != nil {
		return Delivery{}, err
	}
	return w.send(ctx, out), nil
}
