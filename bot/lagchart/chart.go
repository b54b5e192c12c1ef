package lagchart

import (
	"fmt"
	"math"
	"time"

	"github.com/go-analyze/charts"

	"twokey/actions"
)

// The picture, in pixels.
const (
	width, height = 1120, 560
	left, right   = 96, 36
	top, bottom   = 104, 40
	between       = 44 // of the two panels
	lowerPart     = 4  // the lower panel has one part of so many of the height
)

// Draw makes the picture. The lower panel, the time behind, is left out when
// none is known.
func Draw(h actions.LagHistory) ([]byte, error) {
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputPNG, Width: width, Height: height})
	d := &drawing{Painter: p, h: h, unknown: h.Unknown(), follows: h.Follows()}
	d.ground()
	d.head()
	upper, lower := d.panels()
	d.panel(upper, byteLines(), byteScale(h), "bytes behind the primary")
	if lower != nil {
		d.panel(*lower, []line{{"", func(s actions.Sample) (float64, bool) { return seconds(s.Behind) }, replayColor, 2.5, nil}}, timeScale(h), "time behind")
	}
	d.marks(upper, lower)
	d.hours(upper, lower)
	raw, err := p.Bytes()
	if err != nil {
		return nil, fmt.Errorf("drawing the lag of %s: %w", h.Pair, err)
	}
	return raw, nil
}

type drawing struct {
	*charts.Painter
	h       actions.LagHistory
	unknown []actions.Span
	follows func(a, b actions.Sample) bool
}

// area is where a panel lies.
type area struct{ x1, y1, x2, y2 int }

func (d *drawing) panels() (upper area, lower *area) {
	all := area{left, top, width - right, height - bottom}
	timed := false
	for _, s := range d.h.Samples {
		timed = timed || s.Behind != nil
	}
	if !timed {
		return all, nil
	}
	low := all
	low.y1 = all.y2 - (all.y2-all.y1)/lowerPart
	all.y2 = low.y1 - between
	return all, &low
}

func (d *drawing) ground() {
	d.FilledRect(0, 0, width, height, paper, frame, 1)
}

// head is the title, what is shown, and the lines' names.
func (d *drawing) head() {
	d.Text("Replication lag of "+d.h.Pair, left, 34, 0, charts.NewFontStyleWithSize(20).WithColor(ink))
	d.Text(fmt.Sprintf("%s to %s UTC", d.h.From.UTC().Format("2 Jan 2006 15:04"), d.h.To.UTC().Format("2 Jan 2006 15:04")),
		left, 58, 0, small(faint))
	x := width - right - 322
	for _, l := range byteLines() {
		d.stroke([]charts.Point{{X: x, Y: 29}, {X: x + 34, Y: 29}}, l)
		d.Text(l.name, x+42, 34, 0, small(ink))
		x += 112
	}
	x = width - right - 322
	d.FilledRect(x, 46, x+34, 60, void, void, 0)
	d.Text("not known", x+42, 58, 0, small(ink))
	d.ArrowDown(x+241, 55, 13, 13, alarm, alarm, 1)
	d.Text("alert", x+266, 58, 0, small(ink))
}

// panel draws a panel's ground, scale and lines.
func (d *drawing) panel(a area, lines []line, s scale, title string) {
	d.FilledRect(a.x1, a.y1, a.x2, a.y2, charts.ColorWhite, frame, 1)
	d.shadeUnknown(a)
	for _, tick := range s.ticks() {
		y := s.y(tick, a)
		d.LineStroke([]charts.Point{{X: a.x1, Y: y}, {X: a.x2, Y: y}}, grid, 1)
		label := s.label(tick)
		box := d.MeasureText(label, 0, small(ink))
		d.Text(label, a.x1-10-box.Width(), y+5, 0, small(ink))
	}
	d.Text(title, a.x1, a.y1-9, 0, small(faint))
	if s.limit > 0 && s.limit <= s.top {
		y := s.y(s.limit, a)
		d.DashedLineStroke([]charts.Point{{X: a.x1, Y: y}, {X: a.x2, Y: y}}, warn, 1.5, []float64{7, 5})
		d.Text("warning from here", a.x1+8, y-5, 0, small(warn))
	}
	known := false
	for _, l := range lines {
		for _, segment := range d.segments(l, s, a) {
			known = true
			d.stroke(segment, l)
		}
	}
	if !known && s.main {
		d.Text("Nothing is known of this time.", (a.x1+a.x2)/2-110, (a.y1+a.y2)/2, 0, charts.NewFontStyleWithSize(16).WithColor(ink))
	}
}

func (d *drawing) shadeUnknown(a area) {
	for _, span := range d.unknown {
		x1, x2 := d.x(span.From, a), d.x(span.To, a)
		if x2-x1 < 2 {
			continue
		}
		d.FilledRect(x1, a.y1, x2, a.y2, void, void, 0)
		if box := d.MeasureText("not known", 0, small(faint)); x2-x1 > box.Width()+12 && a.y2-a.y1 > 120 {
			d.Text("not known", (x1+x2-box.Width())/2, a.y1+20, 0, small(faint))
		}
	}
}

// segments are a line's known stretches. Within one column of pixels only the
// highest value is drawn.
func (d *drawing) segments(l line, s scale, a area) [][]charts.Point {
	var out [][]charts.Point
	var current []charts.Point
	var last actions.Sample
	for i, sample := range d.h.Samples {
		v, known := l.value(sample)
		if len(current) > 0 && (!known || i > 0 && !d.follows(last, sample)) {
			out, current = append(out, current), nil
		}
		if known {
			current = addPoint(current, charts.Point{X: d.x(sample.At, a), Y: s.y(v, a)})
			last = sample
		}
	}
	if len(current) > 0 {
		out = append(out, current)
	}
	return out
}

func addPoint(points []charts.Point, p charts.Point) []charts.Point {
	if last := len(points) - 1; last >= 0 && points[last].X == p.X {
		points[last].Y = min(points[last].Y, p.Y) // up is less
		return points
	}
	return append(points, p)
}

func (d *drawing) stroke(points []charts.Point, l line) {
	switch {
	case len(points) == 1:
		d.Circle(l.width, points[0].X, points[0].Y, l.color, l.color, 1)
	case l.dash != nil:
		d.DashedLineStroke(points, l.color, l.width, l.dash)
	default:
		d.LineStroke(points, l.color, l.width)
	}
}

func (d *drawing) x(at time.Time, a area) int {
	part := float64(at.Sub(d.h.From)) / float64(d.h.To.Sub(d.h.From))
	return a.x1 + int(math.Round(min(1, max(0, part))*float64(a.x2-a.x1)))
}
