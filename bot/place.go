package bot

import (
	"strconv"
	"strings"
	"time"

	"twokey/approvals"
)

// spot is where a message lies in Slack.
type spot struct{ channel, ts string }

// place is what the store keeps of a message: nothing, that a post was begun
// and its end isn't known, or where the message lies.
type place struct {
	spot  spot
	begun time.Time // of a post whose end isn't known; zero otherwise
}

func (p place) posted() bool { return p.spot.ts != "" }
func (p place) open() bool   { return !p.begun.IsZero() }

const begunPrefix = "begun/" // begun/<channel>/<unix>; a posted one is <channel>/<ts>

func (p place) String() string {
	if p.open() {
		return begunPrefix + p.spot.channel + "/" + strconv.FormatInt(p.begun.Unix(), 10)
	}
	return p.spot.channel + "/" + p.spot.ts
}

// parsePlace reads what String wrote; anything else is no place.
func parsePlace(text string) place {
	if rest, found := strings.CutPrefix(text, begunPrefix); found {
		channel, unix, _ := strings.Cut(rest, "/")
		at, err := strconv.ParseInt(unix, 10, 64)
		if err != nil || channel == "" {
			return place{}
		}
		return place{spot: spot{channel: channel}, begun: time.Unix(at, 0)}
	}
	channel, ts, ok := strings.Cut(text, "/")
	if !ok || channel == "" || ts == "" {
		return place{}
	}
	return place{spot: spot{channel: channel, ts: ts}}
}

// is says whether a press in this message can be one of this place. While the
// end of a post isn't known, any message of the channel may be the one.
func (p place) is(channel, ts string) bool {
	return p.spot.channel == channel && (p.open() || p.spot.ts == ts)
}

// The keys of a request's messages in the outbox.
func requestKey(id string) string     { return approvals.RequestSubject(id) }
func resultKey(id string) string      { return requestKey(id) + "/result" }
func heldKey(id string, n int) string { return requestKey(id) + "/held/" + strconv.Itoa(n) }
func reminderKey(id string) string    { return requestKey(id) + "/reminder" }
func newsKey(seq uint64) string       { return "event/" + strconv.FormatUint(seq, 10) }

// requestOf is the id of the request that an event is about.
func requestOf(subject string) (id string, ok bool) {
	id, ok = strings.CutPrefix(subject, approvals.RequestSubject(""))
	return id, ok && id != ""
}
