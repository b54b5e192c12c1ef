package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// What was last in force, as settings of the store.
const (
	settingPolicy    = "policy"
	settingApprovers = "approvers" // of a group, as last looked up
)

// announcePolicy makes a changed list of approvers or policy a fact of the
// audit log, which is posted in the channel: nobody changes it unseen.
func (s *service) announcePolicy(ctx context.Context) error {
	is := describePolicy(s.cfg.Policy.Domain(), s.cfg.Policy.Accounts())
	return s.store.ChangeSetting(ctx, settingPolicy, func(was string, known bool) (string, []approvals.Event) {
		if !known {
			return is, nil
		}
		return is, []approvals.Event{changeOf(actions.NewsPolicy, was, is)}
	})
}

func changeOf(kind, was, is string) approvals.Event {
	data, err := json.Marshal(actions.PolicyChange{Old: was, New: is})
	if err != nil { // two strings
		panic(err)
	}
	return approvals.Event{At: time.Now(), Subject: "bot", Kind: kind, Data: data}
}

func describePolicy(p approvals.Policy, accounts map[approvals.Person]string) string {
	text := "approvers: members of user group " + p.Group
	if p.Group == "" {
		text = describePeople(p.Approvers, accounts)
	}
	text += fmt.Sprintf("; requester may approve: %t; expiry %s; hold %s", p.AllowRequester, p.Expiry, p.HoldExpiry)
	if p.Factor.On() {
		text += "; one-time code " + string(p.Factor)
	}
	return text
}

func describePeople(people []approvals.Person, accounts map[approvals.Person]string) string {
	words := make([]string, len(people))
	for i, who := range people {
		words[i] = string(who)
		if account := accounts[who]; account != "" {
			words[i] += " (" + account + ")"
		}
	}
	return "approvers: " + strings.Join(words, ", ")
}

// roster is the approvers' group. Whenever it is found changed, whoever asked,
// that becomes a fact of the audit log and a message.
type roster struct {
	approvals.Roster
	s *service
}

// Approvers looks the group up, and tells of a change. That a change can't be
// told is no reason to refuse a vote: the next look-up tells it.
func (r roster) Approvers(ctx context.Context) ([]approvals.Person, error) {
	who, err := r.Roster.Approvers(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.announce(context.WithoutCancel(ctx), who); err != nil {
		r.s.log.Error("a change of the approvers' group can't be recorded", "error", err)
	}
	return who, nil
}

func (r roster) announce(ctx context.Context, who []approvals.Person) error {
	is := "group " + r.s.cfg.Policy.ApproverGroup + ", " + describePeople(slices.Sorted(slices.Values(who)), r.s.cfg.Policy.Accounts())
	return r.s.store.ChangeSetting(ctx, settingApprovers, func(was string, _ bool) (string, []approvals.Event) {
		return is, []approvals.Event{changeOf(actions.NewsApprovers, was, is)}
	})
}

// rosterEvery is how often the group is looked at when nobody asks.
const rosterEvery = time.Minute

// watchRoster notices a change of the group although nobody asks or votes.
func (s *service) watchRoster(ctx context.Context) error {
	if s.roster == nil {
		return nil
	}
	tick := time.NewTicker(rosterEvery)
	defer tick.Stop()
	for {
		if _, err := s.roster.Approvers(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the approvers' group can't be looked up; until it can nobody asks or decides", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
