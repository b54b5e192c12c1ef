package bot

import (
	"time"

	"twokey/approvals"
)

// reminderMessage calls those who have not voted, shortly before it is too late.
func reminderMessage(v view) message {
	p := &page{}
	r := v.request
	missing := approvals.Required - len(r.Votes)
	m := say(":alarm_clock: *%s* still needs %d %s, and expires %s", v.what(), missing, plural(missing, "approval"), when(r.ExpiresAt))
	if words, _ := left(v.now, r.ExpiresAt); words != "" {
		m += say(", in %s", words)
	}
	p.must(m + ".")
	var calls markup
	for _, who := range r.Waiting() {
		calls += say(" %s", v.people.call(who))
	}
	p.must(say("Not voted yet:%s. Approve or deny it in its message above.", calls))
	p.context(v.footer())
	return p.message()
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// left is how long it is until a moment, rounded up to what people think in, and
// when these words will be others; "" when it is over.
func left(now, until time.Time) (words markup, next time.Time) {
	d := until.Sub(now)
	step := time.Minute
	switch {
	case d <= 0 || now.IsZero():
		return "", time.Time{}
	case d > 2*time.Hour:
		step = time.Hour
	case d > 10*time.Minute:
		step = 5 * time.Minute
	}
	n := (d + step - 1).Truncate(step)
	next = until.Add(step - n)
	if n >= time.Hour && n%time.Hour == 0 {
		return say("%d h", int(n/time.Hour)), next
	}
	return say("%d min", int(n/time.Minute)), next
}
