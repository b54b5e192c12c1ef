package actions_test

import (
	"strings"
	"testing"
	"time"

	"twokey/actions"
)

func TestRows(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		evidence actions.Evidence
		want     [2]string // cells, with bars
	}{
		"a healthy pair": {but(), [2]string{
			"dc1|10.1.0.5:5432|primary|running|-|3|0/3000148|-|-|-|0 s",
			"dc2|10.2.0.5:5432|standby|streaming|sync|3|0/3000148|0 B|0 B|active|0 s"}},
		"a lagging standby": {but(walsender(func(s *actions.Standby) { s.Flush, s.Replay = written-8, written-0x100 })), [2]string{
			"dc1|10.1.0.5:5432|primary|running|-|3|0/3000148|-|-|-|0 s",
			"dc2|10.2.0.5:5432|standby|streaming|sync|3|0/3000148|8 B|256 B|active|0 s"}},
		"lags that the primary doesn't know": {but(walsender(func(s *actions.Standby) { s.Flush, s.Replay = 0, 0 })), [2]string{
			"dc1|10.1.0.5:5432|primary|running|-|3|0/3000148|-|-|-|0 s",
			"dc2|10.2.0.5:5432|standby|streaming|sync|3|0/3000148|?|?|active|0 s"}},
		"a lost primary": {but(disaster), [2]string{
			"dc1|10.1.0.5:5432|?|unreachable|?|?|?|?|?|?|?",
			"dc2|10.2.0.5:5432|standby|no stream|?|3|0/3000148|?|?|?|0 s"}},
		"a lost standby of which the primary still speaks": {but(gone("dc2", actions.Denied, "no")), [2]string{
			"dc1|10.1.0.5:5432|primary|running|-|3|0/3000148|-|-|-|0 s",
			"dc2|10.2.0.5:5432|?|denied|sync|?|?|0 B|0 B|active|?"}},
	} {
		rows := actions.Report{Evidence: row.evidence}.Rows()
		for i, want := range row.want {
			if got := strings.Join(rows[i].Cells(), "|"); got != want {
				t.Errorf("%s:\n got %s\nwant %s", title, got, want)
			}
			if len(rows[i].Cells()) != len(actions.RowTitles()) {
				t.Errorf("%s: %d cells under %d titles", title, len(rows[i].Cells()), len(actions.RowTitles()))
			}
		}
	}
}

// TestGuaranteeOffIsSaidFirst: until a latch shows that commits wait again.
func TestGuaranteeOffIsSaidFirst(t *testing.T) {
	t.Parallel()
	off := memory(func(m *actions.Remembered) { m.Unprotected, m.Latch = ago(time.Hour), nil })
	for title, row := range map[string]struct {
		evidence actions.Evidence
		want     string
	}{
		"a healthy pair":                   {but(), ""},
		"it acknowledges alone":            {but(names(""), off), "ZERO-LOSS GUARANTEE OFF since 2026-03-01 11:00:00 UTC: the primary acknowledges writes that may be on no standby"},
		"it waits again, no latch yet":     {but(off), "ZERO-LOSS GUARANTEE OFF since 2026-03-01 11:00:00 UTC: not yet shown that commits wait again"},
		"it acknowledges alone, no memory": {but(names(""), func(e *actions.Evidence) { e.HasMemory, e.Memory = false, actions.Remembered{} }), "ZERO-LOSS GUARANTEE OFF, since when is not known here: the primary acknowledges writes that may be on no standby"},
	} {
		if got := (actions.Report{Evidence: row.evidence, Verdict: actions.Judge(row.evidence)}).GuaranteeOff(); got != row.want {
			t.Errorf("%s: %q, want %q", title, got, row.want)
		}
	}
}
