package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// BenchmarkObservePair measures one observation of both nodes at once against
// one bare SELECT 1 on both nodes at once, in turn and over sessions that are
// kept, so that the ratio means something on any machine.
func BenchmarkObservePair(b *testing.B) {
	p := newBundle(b, nil)
	bare := [2]*pgx.Conn{}
	for i, n := range p.Nodes {
		c, err := pgx.Connect(b.Context(), n.BotURL("twokey"))
		must(b, err)
		defer c.Close(context.Background())
		bare[i] = c
	}
	one := func() {
		var group errgroup.Group
		for _, c := range bare {
			group.Go(func() error { return c.QueryRow(b.Context(), "SELECT 1").Scan(new(int)) })
		}
		must(b, group.Wait())
	}
	look := func() {
		var group errgroup.Group
		for _, n := range []interface{ observe(t testing.TB) }{watched{p, 0}, watched{p, 1}} {
			group.Go(func() error { n.observe(b); return nil })
		}
		must(b, group.Wait())
	}
	one()
	look()
	var ours, floor []time.Duration
	for b.Loop() {
		floor = append(floor, timed(one))
		ours = append(ours, timed(look))
	}
	b.ReportMetric(float64(median(ours))/float64(median(floor)), "observe/select1")
	b.ReportMetric(float64(median(ours).Microseconds())/1000, "observe-ms")
	b.ReportMetric(float64(median(floor).Microseconds())/1000, "select1-ms")
}

type watched struct {
	p *bundle
	i int
}

func (w watched) observe(t testing.TB) {
	n := w.p.a
	if w.i == 1 {
		n = w.p.b
	}
	if o := n.Observe(t.Context()); o.Server == nil {
		t.Errorf("no observation: %v", o.Failure)
	}
}

func timed(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
