package lagchart

import (
	"math"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/go-analyze/charts"

	"twokey/actions"
)

// Colours that people with any kind of colour vision tell apart, on white.
var (
	paper       = charts.Color{R: 250, G: 250, B: 251, A: 255}
	ink         = charts.Color{R: 32, G: 33, B: 36, A: 255}
	faint       = charts.Color{R: 95, G: 99, B: 104, A: 255}
	frame       = charts.Color{R: 154, G: 160, B: 166, A: 255}
	grid        = charts.Color{R: 228, G: 230, B: 233, A: 255}
	void        = charts.Color{R: 218, G: 220, B: 224, A: 255}
	writeColor  = charts.Color{R: 0, G: 130, B: 100, A: 255}
	flushColor  = charts.Color{R: 0, G: 95, B: 180, A: 255}
	replayColor = charts.Color{R: 204, G: 82, B: 0, A: 255}
	warn        = charts.Color{R: 150, G: 105, B: 0, A: 255}
	alarm       = charts.Color{R: 192, G: 0, B: 30, A: 255}
	turn        = charts.Color{R: 110, G: 40, B: 150, A: 255}
)

func small(c charts.Color) charts.FontStyle { return charts.NewFontStyleWithSize(13).WithColor(c) }

// line is one number of the samples and how it is drawn.
type line struct {
	name  string
	value func(actions.Sample) (v float64, known bool)
	color charts.Color
	width float64
	dash  []float64
}

func byteLines() []line {
	of := func(get func(actions.Sample) *uint64) func(actions.Sample) (float64, bool) {
		return func(s actions.Sample) (float64, bool) {
			if v := get(s); v != nil {
				return float64(*v), true
			}
			return 0, false
		}
	}
	return []line{ // the widest below, so that equal ones are all seen
		{"replay", of(func(s actions.Sample) *uint64 { return s.Replay }), replayColor, 4, nil},
		{"flush", of(func(s actions.Sample) *uint64 { return s.Flush }), flushColor, 2.5, nil},
		{"write", of(func(s actions.Sample) *uint64 { return s.Write }), writeColor, 1.5, []float64{3, 3}},
	}
}

func seconds(d *time.Duration) (float64, bool) {
	if d == nil {
		return 0, false
	}
	return d.Seconds(), true
}

// scale maps values to heights, from 0 at the bottom.
type scale struct {
	top, step float64
	limit     float64 // from where on it is worth a warning
	label     func(float64) string
	main      bool
}

func (s scale) y(v float64, a area) int {
	return a.y2 - int(math.Round(min(v, s.top)/s.top*float64(a.y2-a.y1)))
}

func (s scale) ticks() []float64 {
	var out []float64
	for v := 0.0; v <= s.top*1.0001; v += s.step {
		out = append(out, v)
	}
	return out
}

func most(h actions.LagHistory, lines []line) float64 {
	top := 0.0
	for _, s := range h.Samples {
		for _, l := range lines {
			if v, known := l.value(s); known {
				top = max(top, v)
			}
		}
	}
	return top
}

const leastTicks = 4

// byteScale has steps of powers of two, so that their labels are whole.
func byteScale(h actions.LagHistory) scale {
	top := max(most(h, byteLines()), 4096)
	step := math.Exp2(math.Ceil(math.Log2(top / leastTicks)))
	return scale{
		top: math.Ceil(top/step) * step, step: step, limit: float64(h.Limits.LagBytes), main: true,
		label: func(v float64) string { return humanize.IBytes(uint64(v)) },
	}
}

// timeScale has steps that people count in.
func timeScale(h actions.LagHistory) scale {
	top := 0.0
	for _, s := range h.Samples {
		if v, known := seconds(s.Behind); known {
			top = max(top, v)
		}
	}
	top = max(top, 0.01)
	step := timeStep(top / 2)
	return scale{top: math.Ceil(top/step) * step, step: step, limit: h.Limits.LagTime.Seconds(), label: timeLabel}
}

func timeStep(least float64) float64 {
	for _, s := range []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200} {
		if s >= least {
			return s
		}
	}
	return math.Ceil(least/86400) * 86400
}

func timeLabel(v float64) string {
	d := time.Duration(math.Round(v*1000)) * time.Millisecond
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return humanize.FtoaWithDigits(v*1000, 0) + " ms"
	case d < time.Minute:
		return humanize.FtoaWithDigits(v, 1) + " s"
	case d < time.Hour:
		return humanize.FtoaWithDigits(v/60, 1) + " min"
	}
	return humanize.FtoaWithDigits(v/3600, 1) + " h"
}
