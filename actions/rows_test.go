package actions_test

import (
	"strings"
	"testing"

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
			"dc2|10.2.0.5:5432|standby|streaming|sync|3|0/3000148|0 B|0 B|twokey_dc2 (reserved)|0 s"}},
		"a lagging standby": {but(walsender(func(s *actions.Standby) { s.Flush, s.Replay = written-8, written-0x100 })), [2]string{
			"dc1|10.1.0.5:5432|primary|running|-|3|0/3000148|-|-|-|0 s",
			"dc2|10.2.0.5:5432|standby|streaming|sync|3|0/3000148|8 B|256 B|twokey_dc2 (reserved)|0 s"}},
		"lags that the primary doesn't know": {but(walsender(func(s *actions.Standby) { s.Flush, s.Replay = 0, 0 })), [2]string{
			"dc1|10.1.0.5:5432|primary|running|-|3|0/3000148|-|-|-|0 s",
			"dc2|10.2.0.5:5432|standby|streaming|sync|3|0/3000148|unknown|unknown|twokey_dc2 (reserved)|0 s"}},
		"a lost primary": {but(disaster), [2]string{
			"dc1|10.1.0.5:5432|unknown|unreachable|-|-|-|-|-|-|-",
			"dc2|10.2.0.5:5432|standby|not streaming|-|3|0/3000148|-|-|-|0 s"}},
		"a lost standby of which the primary still speaks": {but(gone("dc2", actions.Denied, "no")), [2]string{
			"dc1|10.1.0.5:5432|primary|running|-|3|0/3000148|-|-|-|0 s",
			"dc2|10.2.0.5:5432|unknown|denied|sync|-|-|0 B|0 B|twokey_dc2 (reserved)|-"}},
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
