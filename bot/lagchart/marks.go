package lagchart

import (
	"time"

	"github.com/go-analyze/charts"

	"twokey/actions"
)

// marks stand over both panels: a line for a new primary or a pause, with its
// word where there is room, and a triangle for an alert.
func (d *drawing) marks(upper area, lower *area) {
	free := upper.x1
	for _, m := range d.h.Marks {
		x := d.x(m.At, upper)
		if m.Kind == actions.MarkAlert {
			d.ArrowDown(x, upper.y1+2, 13, 13, alarm, alarm, 1)
			continue
		}
		color := turn
		if m.Kind == actions.MarkPause {
			color = faint
		}
		d.vertical(x, upper, color)
		if lower != nil {
			d.vertical(x, *lower, color)
		}
		word := string(m.Kind)
		if m.Kind == actions.MarkFailover && len(m.Text) < 12 { // its kind; else a sentence, which the words have
			word = m.Text
		}
		box := d.MeasureText(word, 0, small(color))
		if at := min(x+5, upper.x2-box.Width()-4); at >= free {
			d.Text(word, at, upper.y1+34, 0, small(color))
			free = at + box.Width() + 8
		}
	}
}

func (d *drawing) vertical(x int, a area, c charts.Color) {
	d.DashedLineStroke([]charts.Point{{X: x, Y: a.y1}, {X: x, Y: a.y2}}, c, 2, []float64{6, 4})
}

// hours are the ticks of the time axis, in UTC.
func (d *drawing) hours(upper area, lower *area) {
	step, format := tickStep(d.h.To.Sub(d.h.From))
	bottom := upper.y2
	if lower != nil {
		bottom = lower.y2
	}
	for at := d.h.From.UTC().Truncate(step).Add(step); !at.After(d.h.To); at = at.Add(step) {
		x := d.x(at, upper)
		d.LineStroke([]charts.Point{{X: x, Y: bottom}, {X: x, Y: bottom + 6}}, frame, 1)
		label := at.Format(format)
		box := d.MeasureText(label, 0, small(ink))
		if half := box.Width() / 2; x+half <= width && x-half >= left-20 {
			d.Text(label, x-half, bottom+24, 0, small(ink))
		}
	}
}

func tickStep(span time.Duration) (time.Duration, string) {
	switch {
	case span <= 2*time.Hour:
		return 10 * time.Minute, "15:04"
	case span <= 30*time.Hour:
		return 3 * time.Hour, "15:04"
	}
	return 24 * time.Hour, "Mon 2 Jan"
}
