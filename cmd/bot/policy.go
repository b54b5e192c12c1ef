package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

const settingPolicy = "policy"

// announcePolicy makes a changed list of approvers or policy a fact of the
// audit log, which is posted in the channel: nobody changes it unseen.
func (s *service) announcePolicy(ctx context.Context) error {
	is := describePolicy(s.cfg.Policy.Domain(), s.cfg.Policy.Accounts())
	was, known, err := s.store.Setting(ctx, settingPolicy)
	if err != nil || was == is {
		return err
	}
	if known {
		data, err := json.Marshal(actions.PolicyChange{Old: was, New: is})
		if err != nil {
			return err
		}
		e := approvals.Event{At: time.Now(), Subject: "bot", Kind: actions.NewsPolicy, Data: data}
		if err := s.store.Append(ctx, []approvals.Event{e}); err != nil {
			return err
		}
	}
	return s.store.SetSetting(ctx, settingPolicy, is)
}

func describePolicy(p approvals.Policy, accounts map[approvals.Person]string) string {
	text := "approvers:"
	for _, who := range p.Approvers {
		text += fmt.Sprintf(" %s (%s)", who, accounts[who])
	}
	return text + fmt.Sprintf("; requester may approve: %t; expiry %s; hold %s", p.AllowRequester, p.Expiry, p.HoldExpiry)
}
