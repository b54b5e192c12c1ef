package bot

import (
	"strings"

	"twokey/actions"
	"twokey/approvals"
)

// helpMessage lists the commands, the first three as the table has them first.
func helpMessage(command string, pairs []actions.Pair) message {
	p := &page{}
	p.header("twokey: two-person PostgreSQL failover")
	var lines []markup
	for _, v := range verbs() {
		usage := strings.TrimSpace(command + " " + v.name + " " + v.args)
		lines = append(lines, say("%s  %s", code(usage), v.about))
	}
	p.lines("", lines)
	p.context(say("Pairs: %s. With one pair it may be left out. A reason follows `--`, and a failover runs only after two named people approved it.", pairNames(pairs)))
	return p.message()
}

func pairNames(pairs []actions.Pair) string {
	names := make([]string, len(pairs))
	for i, p := range pairs {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}

// refusalMessage is what the person who asked sees instead of what was asked.
func refusalMessage(r *approvals.Refusal, link string) message {
	p := &page{}
	p.must(named(say(":no_entry_sign: %s", r.Message)))
	if r.Request != "" {
		p.section(requestLink(r.Request, link))
	}
	return p.message()
}

// faultMessage tells of a fault by the id under which the log has it. After an
// uncertain one it is not known whether something happened.
func faultMessage(incident string, uncertain bool) message {
	p := &page{}
	m := say(":x: That didn't work, and the fault is not yours. The log has it as incident %s.", code(incident))
	if uncertain {
		m = say(":warning: *It is not known whether that took effect.* Look before you try again. The log has it as incident %s.", code(incident))
	}
	p.must(m + " `status` shows how things are now.")
	return p.message()
}

func noteMessage(m markup) message {
	p := &page{}
	p.must(m)
	return p.message()
}

// askedMessage tells the requester that the question is out, or why the
// approvers can't see it: an answer like this one gets through even then.
func askedMessage(v view, trouble string) message {
	p := &page{}
	if trouble == "" {
		p.must(say("Asked for approval: %s. The request is in this channel; it expires %s.", v.what(), when(v.request.ExpiresAt)))
	} else {
		p.must(say("Asked for approval: %s. It expires %s.", v.what(), when(v.request.ExpiresAt)))
		p.must(say(":warning: *The approvers can't see it yet*: Slack doesn't take this bot's messages right now (%s). It is posted as soon as Slack does.", trouble))
	}
	p.context(v.footer())
	return p.message()
}
