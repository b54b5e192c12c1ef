package slacksim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

const minute = time.Minute

func unix(s int64) time.Time { return time.Unix(s, 0) }

func plainTitle(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
}

func aModal(title string) slack.ModalViewRequest {
	reason := slack.NewPlainTextInputBlockElement(plainTitle("why"), "text")
	reason.MinLength = 3
	days := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, nil, "pick",
		slack.NewOptionBlockObject("1", plainTitle("one"), nil), slack.NewOptionBlockObject("2", plainTitle("two"), nil))
	pick := slack.NewInputBlock("days", plainTitle("Days"), nil, days)
	pick.Optional = true
	return slack.ModalViewRequest{
		Type: slack.VTModal, Title: plainTitle(title), Submit: plainTitle("Send"), Close: plainTitle("Back"), CallbackID: "cb",
		PrivateMetadata: "req-1", NotifyOnClose: true, Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewInputBlock("reason", plainTitle("Reason"), nil, reason), pick,
		}},
	}
}

// trigger makes a person press something and returns the right to open a modal.
func (b *bundle) trigger(t *testing.T, user string) string {
	t.Helper()
	d, err := b.Command(b.ctx, user, ops, "/pg", "x")
	if err != nil {
		t.Fatal(err)
	}
	return d.TriggerID
}

func (b *bundle) open(t *testing.T, user string) *slack.ViewResponse {
	t.Helper()
	v, err := b.api.OpenViewContext(b.ctx, b.trigger(t, user), aModal("Deny"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTriggerWorksOnceWithinThreeSeconds(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	used := b.trigger(t, dba1)
	if _, err := b.api.OpenViewContext(b.ctx, used, aModal("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.api.OpenViewContext(b.ctx, used, aModal("b")); err == nil || err.Error() != "exchanged_trigger_id" {
		t.Errorf("second use: %v", err)
	}
	late := b.trigger(t, dba1)
	b.clock.advance(3 * time.Second)
	if _, err := b.api.OpenViewContext(b.ctx, late, aModal("c")); err == nil || err.Error() != "expired_trigger_id" {
		t.Errorf("after three seconds: %v", err)
	}
	kept := b.trigger(t, dba1)
	b.clock.advance(3*time.Second - time.Millisecond)
	if _, err := b.api.OpenViewContext(b.ctx, kept, aModal("d")); err != nil {
		t.Errorf("just in time: %v", err)
	}
}

func TestSubmissionCarriesWhatWasEntered(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	v := b.open(t, dba1)
	open := b.Modals(dba1)
	if len(open) != 1 || open[0].ID != v.ID || open[0].Title != "Deny" || len(open[0].Inputs()) != 2 {
		t.Fatalf("open %+v", open)
	}
	d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"reason": "no way", "pick": "2"})
	if err != nil || !d.Acknowledged() {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	p := b.payload(t)
	if p.Type != slack.InteractionTypeViewSubmission || p.View.CallbackID != "cb" || p.View.PrivateMetadata != "req-1" || p.View.ID != v.ID || p.User.ID != dba1 {
		t.Errorf("payload %+v", p)
	}
	values := p.View.State.Values
	if values["reason"]["text"].Value != "no way" || values["days"]["pick"].SelectedOption.Value != "2" {
		t.Errorf("values %+v", values)
	}
	if len(b.Modals(dba1)) != 0 {
		t.Error("an acknowledged submission closes the view")
	}
}

func TestSlacksFormChecksBeforeItSends(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	v := b.open(t, dba1)
	before := len(b.app.requests())
	for name, values := range map[string]map[string]string{
		"an empty field that is needed":       {},
		"a text that is too short":            {"reason": "no"},
		"an option that isn't offered":        {"reason": "nope", "pick": "9"},
		"an input that the view doesn't have": {"reason": "nope", "colour": "red"},
	} {
		if _, err := b.SubmitModal(b.ctx, dba1, v.ID, values); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
	if len(b.app.requests()) != before {
		t.Error("the app was asked")
	}
	if _, err := b.SubmitModal(b.ctx, dba2, v.ID, map[string]string{"reason": "mine"}); err == nil {
		t.Error("somebody else submitted it")
	}
}

func TestAnswersToASubmission(t *testing.T) {
	t.Parallel()
	other := aModal("Other")
	for _, tt := range []struct {
		name   string
		answer any
		check  func([]slacksim.View, slacksim.Delivery) bool
	}{
		{"clear closes the whole stack", slack.NewClearViewSubmissionResponse(), func(v []slacksim.View, d slacksim.Delivery) bool {
			return len(v) == 0 && d.Acknowledged()
		}},
		{"update changes the view", slack.NewUpdateViewSubmissionResponse(&other), func(v []slacksim.View, _ slacksim.Delivery) bool {
			return len(v) == 1 && v[0].Title == "Other" && v[0].Updates == 1
		}},
		{"push puts one on top", slack.NewPushViewSubmissionResponse(&other), func(v []slacksim.View, _ slacksim.Delivery) bool {
			return len(v) == 2 && v[1].Title == "Other" && v[1].PreviousID == v[0].ID && v[1].RootID == v[0].ID
		}},
		{"errors stand beside the input", slack.NewErrorsViewSubmissionResponse(map[string]string{"reason": "say more"}), func(v []slacksim.View, _ slacksim.Delivery) bool {
			return len(v) == 1 && v[0].Errors["reason"] == "say more"
		}},
		{"errors for what is no input are trouble", slack.NewErrorsViewSubmissionResponse(map[string]string{"nothing": "x"}), func(v []slacksim.View, d slacksim.Delivery) bool {
			return len(v) == 1 && d.Failure == "invalid_response" && strings.HasPrefix(v[0].Shown, "We had some trouble connecting")
		}},
		{"a view that is invalid is trouble", slack.NewUpdateViewSubmissionResponse(&slack.ModalViewRequest{Type: slack.VTModal}), func(v []slacksim.View, d slacksim.Delivery) bool {
			return len(v) == 1 && v[0].Title == "Deny" && d.Shown != ""
		}},
		{"an action that doesn't exist is trouble", object{"response_action": "explode"}, func(v []slacksim.View, d slacksim.Delivery) bool {
			return len(v) == 1 && d.Failure == "invalid_response"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			v := b.open(t, dba1)
			b.app.answers(answerJSON(tt.answer))
			d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"reason": "because"})
			if err != nil || !tt.check(b.Modals(dba1), d) {
				t.Errorf("delivery %+v, %v\nviews %+v", d, err, b.Modals(dba1))
			}
		})
	}
}

func TestSubmissionThatFailsKeepsTheView(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	v := b.open(t, dba1)
	b.app.answers(func(taken) (int, string, string) { return http.StatusBadGateway, "", "" })
	d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"reason": "because"})
	if err != nil || d.Failure != "http_service_error" {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	if open := b.Modals(dba1); len(open) != 1 || open[0].Shown == "" {
		t.Errorf("views %+v", open)
	}
}

func TestClosingAModalTellsTheApp(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	v := b.open(t, dba1)
	if _, err := b.CloseModal(b.ctx, dba1, v.ID); err != nil {
		t.Fatal(err)
	}
	if p := b.payload(t); p.Type != slack.InteractionTypeViewClosed || p.View.ID != v.ID {
		t.Errorf("payload %+v", p)
	}
	if len(b.Modals(dba1)) != 0 {
		t.Error("it is still open")
	}
}

func TestUpdatingAndPushingViews(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	v := b.open(t, dba1)
	updated, err := b.api.UpdateViewContext(b.ctx, aModal("Second"), "", v.Hash, v.ID)
	if err != nil || updated.ID != v.ID || updated.Hash == v.Hash {
		t.Fatalf("updated %+v, %v", updated, err)
	}
	if _, err := b.api.UpdateViewContext(b.ctx, aModal("Third"), "", v.Hash, v.ID); err == nil || err.Error() != "hash_conflict" {
		t.Errorf("update under an old hash: %v", err)
	}
	for range 2 {
		if _, err := b.api.PushViewContext(b.ctx, b.trigger(t, dba1), aModal("On top")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.api.PushViewContext(b.ctx, b.trigger(t, dba1), aModal("Too high")); err == nil || err.Error() != "push_limit_reached" {
		t.Errorf("a fourth view: %v", err)
	}
	if _, err := b.api.PushViewContext(b.ctx, b.trigger(t, dba2), aModal("On nothing")); err == nil || err.Error() != "not_found" {
		t.Errorf("a push onto nothing: %v", err)
	}
}

func TestViewLimits(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	view := func(change func(v object)) object {
		v := object{"type": "modal", "title": plain(5), "submit": plain(4), "blocks": []object{{"type": "divider"}}}
		change(v)
		return v
	}
	for _, tt := range []struct {
		name   string
		change func(v object)
		want   string
	}{
		{"a title of 24 characters", func(v object) { v["title"] = plain(24) }, ""},
		{"a title of 25 characters", func(v object) { v["title"] = plain(25) }, "invalid_arguments"},
		{"a submit button of 25 characters", func(v object) { v["submit"] = plain(25) }, "invalid_arguments"},
		{"private metadata of 3,000 characters", func(v object) { v["private_metadata"] = strings.Repeat("x", 3000) }, ""},
		{"private metadata of 3,001 characters", func(v object) { v["private_metadata"] = strings.Repeat("x", 3001) }, "invalid_arguments"},
		{"a hundred blocks", func(v object) { v["blocks"] = repeated(100, func(int) object { return object{"type": "divider"} }) }, ""},
		{"a hundred and one blocks", func(v object) { v["blocks"] = repeated(101, func(int) object { return object{"type": "divider"} }) }, "invalid_arguments"},
		{"more than 250 kB", func(v object) {
			v["blocks"] = repeated(100, func(int) object { return object{"type": "section", "text": text("mrkdwn", 2000)} })
		}, "view_too_large"},
		{"an input without a submit button", func(v object) {
			delete(v, "submit")
			v["blocks"] = []object{{"type": "input", "label": plain(3), "element": object{"type": "plain_text_input"}}}
		}, "invalid_arguments"},
		{"a table, which views don't have", func(v object) { v["blocks"] = []object{{"type": "table", "rows": []any{}}} }, "invalid_arguments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.json(t, "views.open", object{"trigger_id": b.trigger(t, dba1), "view": view(tt.change)})
			if a.code() != tt.want {
				t.Errorf("%.300s", a.raw)
			}
		})
	}
}

func TestAppHome(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{
		slack.NewActionBlock("all", button("status", "Status", "orders")),
	}}}
	v, err := b.api.PublishViewContext(b.ctx, slack.PublishViewContextRequest{UserID: oncall, View: home})
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.api.PublishViewContext(b.ctx, slack.PublishViewContextRequest{UserID: oncall, View: home, Hash: &v.Hash})
	if err != nil || again.ID != v.ID {
		t.Errorf("published again: %+v, %v", again, err)
	}
	if _, err := b.api.PublishViewContext(b.ctx, slack.PublishViewContextRequest{UserID: oncall, View: home, Hash: &v.Hash}); err == nil || err.Error() != "hash_conflict" {
		t.Errorf("under an old hash: %v", err)
	}
	if _, err := b.PressView(b.ctx, oncall, v.ID, "status", ""); err != nil {
		t.Fatal(err)
	}
	p := b.payload(t)
	if p.View.Type != slack.VTHomeTab || p.ActionCallback.BlockActions[0].Value != "orders" || p.ResponseURL != "" || p.TriggerID == "" {
		t.Errorf("payload %+v", p)
	}
}

func TestWaitWakesOnEveryChange(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	done := make(chan error, 1)
	go func() {
		done <- b.Wait(b.ctx, func(s *slacksim.Snapshot) bool { return len(s.Messages(ops)) == 3 })
	}()
	for range 3 {
		b.post(t, slack.MsgOptionText("x", false))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	if err := b.Wait(ctx, func(*slacksim.Snapshot) bool { return false }); err == nil {
		t.Error("it outlived its context")
	}
}

func TestSnapshotDoesNotChange(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.post(t, slack.MsgOptionText("before", false))
	snap := b.Snapshot()
	if _, _, _, err := b.api.UpdateMessageContext(b.ctx, ops, ts, slack.MsgOptionText("after", false)); err != nil {
		t.Fatal(err)
	}
	b.post(t, slack.MsgOptionText("more", false))
	if got := snap.Messages(ops); len(got) != 1 || got[0].Text != "before" {
		t.Errorf("snapshot %+v", got)
	}
}
