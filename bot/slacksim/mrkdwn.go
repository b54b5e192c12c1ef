package slacksim

import (
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	markup   = regexp.MustCompile(`<([^<>\n]+)>`)
	emphasis = []*regexp.Regexp{
		regexp.MustCompile(`(^|[\s(\[{>"'|])\*([^\s*](?:[^*\n]*[^\s*])?)\*`),
		regexp.MustCompile(`(^|[\s(\[{>"'|])_([^\s_](?:[^_\n]*[^\s_])?)_`),
		regexp.MustCompile(`(^|[\s(\[{>"'|])~([^\s~](?:[^~\n]*[^\s~])?)~`),
	}
	fences = regexp.MustCompile("(?s)```(.*?)```|`([^`\n]+)`")
)

// reader turns mrkdwn into what a person reads: names instead of ids, dates
// instead of timestamps, no markup signs.
type reader struct {
	snap *Snapshot
	zone *time.Location
	now  time.Time
}

func (r reader) plain(mrkdwn string) string {
	var out strings.Builder
	for {
		at := fences.FindStringSubmatchIndex(mrkdwn)
		if at == nil {
			break
		}
		out.WriteString(r.prose(mrkdwn[:at[0]]))
		code := fences.FindStringSubmatch(mrkdwn[at[0]:at[1]])
		out.WriteString(html.UnescapeString(r.links(strings.Trim(code[1]+code[2], "\n"))))
		mrkdwn = mrkdwn[at[1]:]
	}
	out.WriteString(r.prose(mrkdwn))
	return out.String()
}

func (r reader) prose(s string) string {
	for _, e := range emphasis {
		s = e.ReplaceAllString(s, "$1$2")
	}
	return html.UnescapeString(r.links(s))
}

func (r reader) links(s string) string {
	return markup.ReplaceAllStringFunc(s, func(m string) string { return r.link(m[1 : len(m)-1]) })
}

// link reads what stands between < and >.
func (r reader) link(inner string) string {
	target, label, labelled := strings.Cut(inner, "|")
	switch {
	case strings.HasPrefix(target, "@"):
		return "@" + r.name(target[1:])
	case strings.HasPrefix(target, "#"):
		if c, ok := r.snap.st.channels[target[1:]]; ok {
			return "#" + c.Name
		}
		return target
	case strings.HasPrefix(target, "!date^"):
		return r.date(strings.Split(target, "^"), label)
	case strings.HasPrefix(target, "!subteam^"):
		if g, ok := r.snap.st.groups[strings.TrimPrefix(target, "!subteam^")]; ok {
			return "@" + g.Handle
		}
		return or(label, target)
	case strings.HasPrefix(target, "!"):
		return "@" + target[1:]
	case labelled && label != target:
		return label + " (" + target + ")"
	}
	return target
}

func (r reader) name(id string) string {
	switch id {
	case BotUserID:
		return botName
	case "USLACKBOT":
		return "Slackbot"
	}
	if a, ok := r.snap.st.accounts[id]; ok {
		return a.Name
	}
	return id
}

// date reads !date^seconds^format; what can't be read shows the fallback.
func (r reader) date(parts []string, fallback string) string {
	if len(parts) < 3 {
		return fallback
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return fallback
	}
	t := time.Unix(seconds, 0).In(r.zone)
	day := t.Format("January 2, 2006")
	if pretty, same := t.Format("2006-01-02"), r.now.In(r.zone).Format("2006-01-02"); pretty == same {
		day = "today"
	}
	return strings.NewReplacer(
		"{date_num}", t.Format("2006-01-02"), "{date}", t.Format("January 2, 2006"), "{date_short}", t.Format("Jan 2, 2006"),
		"{date_long}", t.Format("Monday, January 2, 2006"), "{date_pretty}", day, "{date_short_pretty}", day,
		"{date_long_pretty}", day, "{time}", t.Format("15:04"), "{time_secs}", t.Format("15:04:05"),
		"{ago}", t.Sub(r.now).Round(time.Second).String(),
	).Replace(parts[2])
}
