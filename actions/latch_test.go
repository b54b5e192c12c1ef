package actions_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/actions"
)

// later is the same world one second on, as a second look at it sees it.
func later(e actions.Evidence, changes ...change) actions.Evidence {
	e.At = e.At.Add(time.Second)
	return with(e, changes...)
}

// progressed moves both nodes on by some bytes.
func progressed(bytes actions.LSN) change {
	return both(
		on("dc1", func(s *actions.Server) { s.FlushLSN += bytes }),
		walsender(func(s *actions.Standby) { s.Flush += bytes; s.Replay += bytes }),
		on("dc2", func(s *actions.Server) { s.ReceiveLSN += bytes; s.ReplayLSN += bytes }),
	)
}

func TestArm(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		first, then actions.Evidence
		from        actions.LSN
		armed       bool
	}{
		"both looks alike, the standby past L":                       {but(), later(but()), latchedFrom, true},
		"the standby has flushed exactly L":                          {but(), later(but()), written, true},
		"the standby has not flushed L yet":                          {but(), later(but()), written + 8, false},
		"writes went on between the looks":                           {but(), later(but(progressed(4096))), written + 8, true},
		"the primary says that L is flushed, the standby itself not": {but(), later(but(walsender(func(s *actions.Standby) { s.Flush += 8 }), on("dc1", func(s *actions.Server) { s.FlushLSN += 8 }))), written + 8, false},
		"the primary reloaded in between":                            {but(), later(but(on("dc1", func(s *actions.Server) { s.ConfLoaded = noon }))), latchedFrom, false},
		"the primary was restarted in between":                       {but(), later(but(on("dc1", func(s *actions.Server) { s.StartedAt = noon }))), latchedFrom, false},
		"the standby reloaded in between":                            {but(), later(but(on("dc2", func(s *actions.Server) { s.ConfLoaded = noon }))), latchedFrom, false},
		"the standby was restarted in between":                       {but(), later(but(on("dc2", func(s *actions.Server) { s.StartedAt = noon }))), latchedFrom, false},
		"the names were written otherwise in between":                {but(), later(but(setting("dc1", "synchronous_standby_names", `"dc2"`))), latchedFrom, false},
		"the roles changed in between":                               {but(), later(but(swapped)), latchedFrom, false},
		"the timeline moved on in between":                           {but(), later(but(on("dc1", func(s *actions.Server) { s.Timeline = 4 }), on("dc2", func(s *actions.Server) { s.Receiver.Timeline = 4 }))), latchedFrom, false},
		"the first look saw no synchronous standby":                  {but(detached), later(but()), latchedFrom, false},
		"the second look saw no synchronous standby":                 {but(), later(but(detached)), latchedFrom, false},
		"the first look saw an empty list of names":                  {but(names("")), later(but()), latchedFrom, false},
		"the second look did not see the standby":                    {but(), later(but(gone("dc2", actions.Silent, "silent"))), latchedFrom, false},
		"the second look did not see the primary":                    {but(), later(but(disaster)), latchedFrom, false},
		"a role commits without waiting":                             {but(), later(but(on("dc1", func(s *actions.Server) { s.SyncOverrides = []string{"role batch"} }))), latchedFrom, false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			row.first.Memory, row.then.Memory = actions.Remembered{}, actions.Remembered{}
			l := actions.Arm(row.first, row.then, row.from)
			if (l != nil) != row.armed {
				t.Fatalf("armed: %t, want %t", l != nil, row.armed)
			}
			if l != nil {
				wantArmed(t, *l, row.then, row.from)
			}
		})
	}
}

// wantArmed: the latch is for the second look's world, and is proof there.
func wantArmed(t *testing.T, l actions.Latch, then actions.Evidence, from actions.LSN) {
	t.Helper()
	if l.L != from || !l.Since.Equal(then.At) || !l.SeenAt.Equal(then.At) || l.HighestFlush < from || l.Primary != "dc1" || l.Standby != "dc2" || l.Names != "dc2" {
		t.Errorf("armed from %s at %s: %+v", from, then.At, l)
	}
	then.Memory.Latch = &l
	if v := actions.Judge(then); v.Loss != actions.LossNone || !v.Since.Equal(l.Since) {
		t.Errorf("with the new latch: %s since %s", v.Headline, v.Since)
	}
}

func TestRememberingKeepsOrVoidsTheLatch(t *testing.T) {
	t.Parallel()
	standbyAway, primaryAway := gone("dc2", actions.Silent, "silent"), gone("dc1", actions.Silent, "silent")
	reloaded := func(node string) change {
		return on(node, func(s *actions.Server) { s.ConfLoaded = ago(time.Second) })
	}
	restarted := func(node string) change {
		return on(node, func(s *actions.Server) { s.StartedAt = ago(time.Second) })
	}
	recovering := on("dc1", func(s *actions.Server) { s.InRecovery, s.Standbys = true, nil })
	for title, row := range map[string]struct {
		changes []change
		kept    bool
		seen    time.Time // when the primary was last seen to keep to it
	}{
		"nothing changed": {nil, true, noon},
		"writes went on":  {[]change{progressed(1 << 20)}, true, noon},
		"the primary gave no answer: memory is kept as it is":      {[]change{disaster}, true, ago(10 * time.Second)},
		"the primary gave no answer and the standby still streams": {[]change{primaryAway}, true, ago(10 * time.Second)},
		"the primary gave no answer and the standby was restarted": {[]change{disaster, restarted("dc2")}, true, ago(10 * time.Second)},
		"neither answered": {[]change{primaryAway, standbyAway}, true, ago(10 * time.Second)},
		"the standby gave no answer, the primary is as it was":         {[]change{standbyAway}, true, noon},
		"the standby has lost its stream: the primary then waits":      {[]change{detached}, true, noon},
		"the standby is away altogether: the primary then waits":       {[]change{detached, standbyAway}, true, noon},
		"the standby catches up: nobody is released by it":             {[]change{walsender(func(s *actions.Standby) { s.State, s.SyncState = "catchup", "potential" })}, true, noon},
		"the standby's receiver was not there at that moment":          {[]change{on("dc2", func(s *actions.Server) { s.Receiver = nil })}, true, noon},
		"the primary reloaded, so its names may have changed and back": {[]change{reloaded("dc1")}, false, noon},
		"the primary was restarted":                                    {[]change{restarted("dc1")}, false, noon},
		"the standby reloaded":                                         {[]change{reloaded("dc2")}, false, noon},
		"the standby was restarted":                                    {[]change{restarted("dc2")}, false, noon},
		"the standby was restarted and is not back in the stream":      {[]change{detached, restarted("dc2")}, false, noon},
		"the names were emptied":                                       {[]change{setting("dc1", "synchronous_standby_names", "")}, false, noon},
		"the names were emptied, and only the primary was seen":        {[]change{standbyAway, setting("dc1", "synchronous_standby_names", "")}, false, noon},
		"the primary reloaded, and only the primary was seen":          {[]change{standbyAway, reloaded("dc1")}, false, noon},
		"the primary was restarted, and only it was seen":              {[]change{standbyAway, restarted("dc1")}, false, noon},
		"synchronous_commit was set to local, only the primary seen":   {[]change{standbyAway, setting("dc1", "synchronous_commit", "local")}, false, noon},
		"an impostor streams, and only the primary was seen":           {[]change{standbyAway, walsender(func(s *actions.Standby) { s.ClientAddr = "10.9.0.9" })}, false, noon},
		"a role got its own synchronous_commit":                        {[]change{on("dc1", func(s *actions.Server) { s.SyncOverrides = []string{"role batch"} })}, false, noon},
		"fsync was switched off on the primary":                        {[]change{setting("dc1", "fsync", "off")}, false, noon},
		"fsync was switched off on the standby":                        {[]change{setting("dc2", "fsync", "off")}, false, noon},
		"an impostor stands beside the standby":                        {[]change{on("dc1", func(s *actions.Server) { s.Standbys = append(s.Standbys, actions.Standby{Name: "DC2"}) })}, false, noon},
		"the timeline moved on":                                        {[]change{on("dc1", func(s *actions.Server) { s.Timeline = 4 })}, false, noon},
		"the standby follows another timeline":                         {[]change{on("dc2", func(s *actions.Server) { s.Receiver.Timeline = 2 })}, false, noon},
		"the standby has flushed what the primary hasn't":              {[]change{walsender(func(s *actions.Standby) { s.Flush += 8 })}, false, noon},
		"the standby was set back before L":                            {[]change{walsender(func(s *actions.Standby) { s.Flush = latchedFrom - 8 })}, false, noon},
		"the roles were swapped":                                       {[]change{swapped, latch(func(l *actions.Latch) { l.Primary, l.Standby, l.Names = "dc1", "dc2", "dc2" })}, false, noon},
		"the standby was promoted, and only it answers":                {[]change{primaryAway, on("dc2", func(s *actions.Server) { s.InRecovery = false })}, false, noon},
		"both accept writes":                                           {[]change{on("dc2", func(s *actions.Server) { s.InRecovery = false })}, false, noon},
		"both are in recovery":                                         {[]change{recovering}, false, noon},
		"the standby is one of another system":                         {[]change{on("dc2", func(s *actions.Server) { s.SystemID = "7302" })}, false, noon},
		"the standby that alone answers is one of another system":      {[]change{disaster, on("dc2", func(s *actions.Server) { s.SystemID = "7302" })}, false, noon},
		"the clock was set back":                                       {[]change{disaster, func(e *actions.Evidence) { e.At = ago(time.Hour) }}, false, noon},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			e := but(row.changes...)
			wantLatch(t, e.Memory, actions.Remembering(e), row.kept, row.seen)
		})
	}
}

func wantLatch(t *testing.T, before, m actions.Remembered, kept bool, seen time.Time) {
	t.Helper()
	switch {
	case kept && m.Latch == nil:
		t.Fatal("the latch was voided")
	case !kept && m.Latch != nil:
		t.Fatalf("the latch was kept: %+v", *m.Latch)
	case !kept:
		if m.Voided == nil || *m.Voided != *before.Latch {
			t.Errorf("what the voided latch knew is forgotten: %+v", m.Voided)
		}
		return
	}
	if !m.Latch.SeenAt.Equal(seen) {
		t.Errorf("last seen at %s, want %s", m.Latch.SeenAt, seen)
	}
	if !m.Latch.Since.Equal(before.Latch.Since) || m.Latch.L != before.Latch.L || m.Latch.HighestFlush < before.Latch.HighestFlush {
		t.Errorf("the latch changed from %+v to %+v", *before.Latch, *m.Latch)
	}
	if m.Voided != nil {
		t.Errorf("a latch in force, and a voided one: %+v", m.Voided)
	}
}

// TestNamesChangedAndBackIsSeen: between two looks the names were emptied and
// set again; everything looks as before but for the time of the reload.
func TestNamesChangedAndBackIsSeen(t *testing.T) {
	t.Parallel()
	e := but()
	e.Memory = actions.Remembering(e)
	e = later(e, on("dc1", func(s *actions.Server) { s.ConfLoaded = noon.Add(500 * time.Millisecond) }))
	e.Memory = actions.Remembering(e)
	if v := actions.Judge(e); v.Loss != actions.LossUnproven || v.Health != actions.HealthArming || !v.Since.IsZero() {
		t.Errorf("%s, %s, since %s", v.Health, v.Headline, v.Since)
	}
}

// TestHighestFlushKeepsRising: each look that sees both raises it, to what both
// nodes say, and no look lowers it.
func TestHighestFlushKeepsRising(t *testing.T) {
	t.Parallel()
	e := but()
	for i, row := range []struct {
		change change
		want   actions.LSN
	}{
		{progressed(0), written},
		{progressed(0x100), written + 0x100},
		{both(on("dc1", func(s *actions.Server) { s.FlushLSN += 0x100 }), walsender(func(s *actions.Standby) { s.Flush += 0x100 })), written + 0x100},
		{on("dc2", func(s *actions.Server) { s.ReceiveLSN += 0x80 }), written + 0x180},
		{walsender(func(s *actions.Standby) { s.Flush -= 0x100 }), written + 0x180},
		{gone("dc1", actions.Silent, "silent"), written + 0x180},
	} {
		e = later(e, row.change)
		e.Memory = actions.Remembering(e)
		if e.Memory.Latch == nil || e.Memory.Latch.HighestFlush != row.want {
			t.Fatalf("look %d: %+v, want highest flush %s", i, e.Memory.Latch, row.want)
		}
	}
}

func TestRememberingWhatWasSeen(t *testing.T) {
	t.Parallel()
	earlier := ago(10 * time.Second)
	for title, row := range map[string]struct {
		changes              []change
		primary              string
		primaryAt, unguarded time.Time
	}{
		"both seen":           {nil, "dc1", noon, time.Time{}},
		"the primary is away": {[]change{disaster}, "dc1", earlier, time.Time{}},
		"the primary is away, the standby streams": {[]change{gone("dc1", actions.Silent, "silent")}, "dc1", earlier, time.Time{}},
		"the standby is away":                      {[]change{gone("dc2", actions.Silent, "silent")}, "dc1", noon, time.Time{}},
		"the roles were swapped":                   {[]change{swapped}, "dc2", noon, time.Time{}},
		"the primary acknowledges alone":           {[]change{names(""), detached}, "dc1", noon, noon},
		"it still acknowledges alone": {[]change{names(""), detached, memory(func(m *actions.Remembered) { m.Unprotected = ago(time.Hour) })},
			"dc1", noon, ago(time.Hour)},
		"it acknowledged alone, and went away": {[]change{disaster, memory(func(m *actions.Remembered) { m.Unprotected = ago(time.Hour) })},
			"dc1", earlier, ago(time.Hour)},
		"it acknowledged alone, waits again, and that is not shown yet": {[]change{memory(func(m *actions.Remembered) { m.Unprotected, m.Latch = ago(time.Hour), nil })},
			"dc1", noon, ago(time.Hour)},
		"it acknowledged alone, waits again, and its standby is not there": {[]change{detached, memory(func(m *actions.Remembered) { m.Unprotected = ago(time.Hour) })},
			"dc1", noon, ago(time.Hour)},
		"it acknowledged alone, and waits again": {[]change{memory(func(m *actions.Remembered) { m.Unprotected = ago(time.Hour) })},
			"dc1", noon, time.Time{}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			m := actions.Remembering(but(row.changes...))
			if m.Primary != row.primary || !m.PrimaryAt.Equal(row.primaryAt) || !m.Unprotected.Equal(row.unguarded) || !m.LookedAt.Equal(noon) {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestRememberingAPrimaryThatIsGone: a standby that goes on streaming proves
// nothing of its primary; a message that it got after the primary had ceased to
// answer the bot does, and so does a stream that it lost of itself. Seeing the
// primary again settles it.
func TestRememberingAPrimaryThatIsGone(t *testing.T) {
	t.Parallel()
	silent := gone("dc1", actions.Silent, "silent")
	heard := func(at time.Time) change {
		return on("dc2", func(s *actions.Server) { s.Receiver.LastMsgAt = &at })
	}
	by, ends := ago(5*time.Second), noon.Add(time.Millisecond)
	since := func(g actions.Gone) change {
		return memory(func(m *actions.Remembered) { m.Gone = &g })
	}
	for title, row := range map[string]struct {
		changes []change
		want    *actions.Gone
	}{
		"the primary answers":                                     {[]change{heard(noon)}, nil},
		"the first look without its answer":                       {[]change{silent, heard(noon)}, &actions.Gone{By: ends}},
		"the standby has heard nothing since the first such look": {[]change{silent, heard(ago(6 * time.Second)), since(actions.Gone{By: by})}, &actions.Gone{By: by}},
		"the standby heard from it after that": {[]change{silent, heard(ago(time.Second)), since(actions.Gone{By: by})},
			&actions.Gone{By: by, HeardAt: ago(time.Second)}},
		"the standby's clock is an hour ahead": {[]change{silent, on("dc2", func(s *actions.Server) {
			s.Now = noon.Add(time.Hour)
		}), heard(noon.Add(time.Hour - 6*time.Second)), since(actions.Gone{By: by})}, &actions.Gone{By: by}},
		"the standby gave no time":      {[]change{silent, since(actions.Gone{By: by})}, &actions.Gone{By: by}},
		"the standby lost its stream":   {[]change{disaster, since(actions.Gone{By: by})}, &actions.Gone{By: by, PartedAt: noon}},
		"it lost it, and is frozen":     {[]change{disaster, on("dc2", detachedByFreeze), since(actions.Gone{By: by, PartedAt: by})}, &actions.Gone{By: by, PartedAt: by}},
		"it was frozen while it had it": {[]change{disaster, on("dc2", detachedByFreeze), since(actions.Gone{By: by})}, &actions.Gone{By: by}},
		"it heard, and then lost it": {[]change{disaster, since(actions.Gone{By: by, HeardAt: ago(time.Second)})},
			&actions.Gone{By: by, HeardAt: ago(time.Second), PartedAt: noon}},
		"the primary answers again":                      {[]change{heard(noon), since(actions.Gone{By: by, HeardAt: by})}, nil},
		"the primary answers again, the standby is away": {[]change{gone("dc2", actions.Silent, "silent"), since(actions.Gone{By: by, HeardAt: by})}, nil},
		"neither answers, the bot's own network perhaps": {[]change{silent, gone("dc2", actions.Silent, "silent")}, &actions.Gone{By: ends}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(row.want, actions.Remembering(but(row.changes...)).Gone); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// detachedByFreeze is a standby whose receiver was stopped by taking its conninfo away.
func detachedByFreeze(s *actions.Server) {
	s.ConninfoSet, s.Receiver, s.Receivers = false, nil, 0
}

// TestVoidedLatchEndsWithItsTimeline: positions of an older history can't be
// held against a standby of a newer one.
func TestVoidedLatchEndsWithItsTimeline(t *testing.T) {
	t.Parallel()
	old := func(m *actions.Remembered) { m.Voided, m.Latch = m.Latch, nil }
	if m := actions.Remembering(but(memory(old))); m.Voided == nil {
		t.Error("forgotten on the same timeline")
	}
	onNext := both(on("dc1", func(s *actions.Server) { s.Timeline = 4 }), on("dc2", func(s *actions.Server) { s.Receiver.Timeline = 4 }))
	if m := actions.Remembering(but(memory(old), onNext)); m.Voided != nil {
		t.Errorf("kept over a change of timeline: %+v", *m.Voided)
	}
}
