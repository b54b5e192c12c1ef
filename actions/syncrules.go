package actions

import (
	"regexp"
	"slices"
	"strings"
)

// firstOne matches FIRST 1 (name), the only form besides the bare name that
// makes exactly one named standby count.
var firstOne = regexp.MustCompile(`(?i)^\s*first\s+1\s*\(\s*(.+?)\s*\)\s*$`)

// acceptableNames says whether synchronous_standby_names names exactly this
// standby. Lists, ANY and the star are refused: with them a commit can be
// acknowledged without being on this standby.
func acceptableNames(setting, standby string) bool {
	name := strings.TrimSpace(setting)
	if m := firstOne.FindStringSubmatch(name); m != nil {
		name = m[1]
	}
	if len(name) > 2 && strings.HasPrefix(name, `"`) && strings.HasSuffix(name, `"`) {
		name = name[1 : len(name)-1]
	}
	return name != "" && name != "*" && strings.EqualFold(name, standby)
}

// commitsWait says whether a commit with the server's own settings waits for
// the standby's flush.
func commitsWait(s *Server) bool {
	return slices.Contains([]string{"on", "remote_apply"}, s.Settings["synchronous_commit"])
}

// claimants are the walsenders whose name counts as the standby's: PostgreSQL
// matches names without case, so an impostor in another case counts too.
func claimants(s *Server, standby string) []Standby {
	var out []Standby
	for _, w := range s.Standbys {
		if strings.EqualFold(w.Name, standby) {
			out = append(out, w)
		}
	}
	return out
}

// syncRaceFixed says whether this minor version is free of the start-up race
// in synchronous waiting (fixed in 15.13, 16.9, 17.5).
func syncRaceFixed(version int) bool {
	fixed := map[int]int{15: 13, 16: 9, 17: 5}
	return version%10000 >= fixed[version/10000]
}

// synchronousNow says whether a commit on the primary, made with the server's
// settings, is acknowledged only after the standby has flushed it, as far as
// one look can tell. The latch adds what one look can't tell.
func synchronousNow(r roles) bool {
	if r.primary == nil || r.standby == nil {
		return false
	}
	s, ok := r.syncStandby()
	return ok && len(claimants(r.primary, r.to.Name)) == 1 &&
		(r.to.Source == "" || s.ClientAddr == r.to.Source) &&
		acceptableNames(r.primary.Settings["synchronous_standby_names"], r.to.Name) &&
		commitsWait(r.primary) && len(r.primary.SyncOverrides) == 0 &&
		durable(r.primary) && durable(r.standby) &&
		r.primary.SystemID == r.standby.SystemID &&
		r.standby.Receiver != nil && r.standby.Receiver.Timeline == r.primary.Timeline &&
		s.Flush <= r.primary.FlushLSN
}

func durable(s *Server) bool {
	return s.Settings["fsync"] == "on" && s.Settings["full_page_writes"] == "on"
}
