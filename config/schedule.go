package config

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the zone of the schedule must not depend on what the machine has installed

	"github.com/robfig/cron/v3"
)

// cronProblem says what is wrong with a spec, after its text; "" for nothing.
func cronProblem(spec string) string {
	// Such a prefix would override schedule.timezone, and the parser panics on
	// one without a blank after it.
	if strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=") {
		return "names a time zone, which has its own key: schedule.timezone"
	}
	if rest, ok := strings.CutPrefix(spec, "@every "); ok {
		if d, err := time.ParseDuration(rest); err == nil && d < time.Second {
			return "is more often than once a second"
		}
	}
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		return fmt.Sprintf("is none: %v", err)
	}
	// Any fixed moment will do: the parser looks five years ahead, so that a
	// 29th of February is found.
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return "names a moment that never comes"
	}
	return ""
}

// QuietHours are the two times of the day as spans from midnight; equal ones when
// there are none.
func (a Alerts) QuietHours() (from, to time.Duration) {
	first, second, _ := strings.Cut(a.Quiet, "-")
	return sinceMidnight(first), sinceMidnight(second)
}

func sinceMidnight(clock string) time.Duration {
	t, err := time.Parse("15:04", clock)
	if err != nil { // judged before anybody has an Alerts; "" is none
		return 0
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

func timezone(name string) bool {
	_, err := time.LoadLocation(name)
	return err == nil
}

// Location is the time zone of the specs.
func (s Schedule) Location() *time.Location {
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil { // judged before anybody has a Schedule; UTC is what the zero value means
		return time.UTC
	}
	return loc
}
