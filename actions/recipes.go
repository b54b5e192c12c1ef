package actions

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"twokey/approvals"
)

// Comparison is the recipe verify-data: the same rows on both nodes.
type Comparison struct {
	Pair      string
	Primary   string
	Standby   string
	Tables    []TableCompare
	Identical bool
	CheckedAt time.Time
}

// TableCompare is one table on both nodes; a count is -1 where the table is missing.
type TableCompare struct {
	Table       string
	PrimaryRows int64
	StandbyRows int64
	SumsEqual   bool
}

// InsertTest commits one test row on the primary, with the waiting that every
// application's commit has.
func (d *Desk) InsertTest(ctx context.Context, pair string, by approvals.Person) (string, TestRow, error) {
	leave, err := d.trying(pair)
	if err != nil {
		return "", TestRow{}, err
	}
	defer leave()
	rep, err := d.glance(ctx, pair)
	if err != nil {
		return "", TestRow{}, err
	}
	r := classify(rep.Evidence)
	if r.primary == nil {
		return "", TestRow{}, refuse("%s: there is no primary to write to: %s", pair, rep.Verdict.Headline)
	}
	ctx, cancel := within(ctx, d.opt.Timeouts.Effect, "the test row on "+r.from.Name)
	defer cancel()
	row, err := d.opt.Hands[pair].Databases[r.from.Name].InsertTest(ctx, string(by))
	return r.from.Name, row, err
}

// VerifyData compares every table of the application on both nodes. It waits
// until the standby has replayed what the primary had when the question came;
// under a write load the rows move on, so it tries a few times.
func (d *Desk) VerifyData(ctx context.Context, pair string) (Comparison, error) {
	leave, err := d.trying(pair)
	if err != nil {
		return Comparison{}, err
	}
	defer leave()
	rep, err := d.glance(ctx, pair)
	if err != nil {
		return Comparison{}, err
	}
	r := classify(rep.Evidence)
	if r.primary == nil || r.standby == nil {
		return Comparison{}, refuse("%s: both nodes must answer to be compared: %s", pair, rep.Verdict.Headline)
	}
	ctx, cancel := within(ctx, d.opt.Timeouts.Stop, "comparing the rows of "+pair)
	defer cancel()
	dbs := d.opt.Hands[pair].Databases
	var c Comparison
	for range compareTries {
		c, err = compare(ctx, dbs[r.from.Name], dbs[r.to.Name])
		if err != nil || c.Identical {
			break
		}
	}
	c.Pair, c.Primary, c.Standby, c.CheckedAt = pair, r.from.Name, r.to.Name, d.now()
	return c, err
}

const compareTries = 5

func compare(ctx context.Context, primary, standby Database) (Comparison, error) {
	var a, b Fingerprint
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { a, err = primary.Fingerprint(gctx); return err })
	group.Go(func() (err error) { b, err = standby.Fingerprint(gctx); return err })
	if err := group.Wait(); err != nil {
		return Comparison{}, err
	}
	return a.against(b), nil
}

// against puts two fingerprints beside each other, tables of either.
func (f Fingerprint) against(other Fingerprint) Comparison {
	rest := map[string]TableSum{}
	for _, t := range other.Tables {
		rest[t.Table] = t
	}
	c := Comparison{Identical: true}
	for _, t := range f.Tables {
		o, ok := rest[t.Table]
		if !ok {
			o.Rows = -1
		}
		delete(rest, t.Table)
		c.add(TableCompare{t.Table, t.Rows, o.Rows, ok && o.Sum == t.Sum})
	}
	for _, t := range other.Tables {
		if _, left := rest[t.Table]; left {
			c.add(TableCompare{t.Table, -1, t.Rows, false})
		}
	}
	return c
}

func (c *Comparison) add(t TableCompare) {
	c.Tables = append(c.Tables, t)
	c.Identical = c.Identical && t.SumsEqual && t.PrimaryRows == t.StandbyRows
}
