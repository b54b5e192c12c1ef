package main

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// paired is the same thing measured two ways in turn, round by round, so that a
// slow moment of the machine meets both: ours and the floor under it.
type paired struct{ ours, floor []time.Duration }

func (p *paired) add(ours, floor time.Duration) {
	p.ours, p.floor = append(p.ours, ours), append(p.floor, floor)
}

// excess are the differences of the rounds.
func (p *paired) excess() []time.Duration {
	out := make([]time.Duration, len(p.ours))
	for i := range p.ours {
		out[i] = p.ours[i] - p.floor[i]
	}
	return out
}

// report gives the medians as metrics, their ratio, and the median difference.
func (p *paired) report(b *testing.B, ours, floor, ratio string) {
	b.Helper()
	mo, mf, me := median(p.ours), median(p.floor), median(p.excess())
	b.ReportMetric(inMilliseconds(mo), ours)
	b.ReportMetric(inMilliseconds(mf), floor)
	b.ReportMetric(inMilliseconds(me), "excess-ms")
	b.ReportMetric(float64(mo)/float64(mf), ratio)
	b.ReportMetric(0, "ns/op")
	low, high := medianInterval(p.excess())
	b.Logf("%d rounds: %s %.1f, %s %.1f, excess %.1f ms (95 %%: %.1f to %.1f), %s %.2f",
		len(p.ours), ours, inMilliseconds(mo), floor, inMilliseconds(mf), inMilliseconds(me),
		inMilliseconds(low), inMilliseconds(high), ratio, float64(mo)/float64(mf))
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// median of at least one value; between the middle two of an even number.
func median(of []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(of))
	low, high := s[(len(s)-1)/2], s[len(s)/2]
	return low + (high-low)/2
}

// medianInterval holds the median of what the values were drawn from with 95 %
// confidence, whatever their distribution: how many of n values lie below it is
// binomial with one half, so the interval runs from the k-th smallest to the
// k-th largest with the greatest k that leaves at most 2.5 % outside on each
// side. With fewer than six values none does; then it is all that was seen.
func medianInterval(of []time.Duration) (low, high time.Duration) {
	s := slices.Sorted(slices.Values(of))
	n := len(s)
	k, outside := 0, 0.0 // outside: the chance of at most k values below
	for ; k < n/2; k++ {
		if outside += math.Exp(logChoose(n, k) - float64(n)*math.Ln2); outside > 0.025 {
			break
		}
	}
	k = max(k, 1)
	return s[k-1], s[n-k]
}

func logChoose(n, k int) float64 {
	gamma := func(x int) float64 { v, _ := math.Lgamma(float64(x)); return v }
	return gamma(n+1) - gamma(k+1) - gamma(n-k+1)
}

func TestMedians(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of   []time.Duration
		want time.Duration
	}{
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{1, 10, 4, 8}, 6},
		{[]time.Duration{-3, 1000, -1}, -1}, // an outlier moves nothing
	} {
		if got := median(c.of); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.of, got, c.want)
		}
	}
}

// TestMedianIntervals holds the ranks against the tables of the sign test.
func TestMedianIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ n, k int }{{1, 1}, {5, 1}, {6, 1}, {8, 1}, {9, 2}, {10, 2}, {15, 4}, {25, 8}, {30, 10}, {50, 18}, {100, 40}} {
		t.Run(fmt.Sprint(c.n), func(t *testing.T) {
			t.Parallel()
			var values []time.Duration
			for i := c.n; i > 0; i-- {
				values = append(values, time.Duration(i))
			}
			low, high := medianInterval(values)
			if low != time.Duration(c.k) || high != time.Duration(c.n+1-c.k) {
				t.Errorf("from %d to %d, want rank %d to %d", low, high, c.k, c.n+1-c.k)
			}
		})
	}
}

// TestPairedDifferences: rounds are compared with their own floor, so what slows
// both leaves no trace.
func TestPairedDifferences(t *testing.T) {
	t.Parallel()
	var p paired
	for _, slow := range []time.Duration{0, 100, 5, 700, 30} {
		p.add(70+slow, 60+slow)
	}
	if low, high := medianInterval(p.excess()); median(p.excess()) != 10 || low != 10 || high != 10 {
		t.Errorf("excess %v", p.excess())
	}
}
