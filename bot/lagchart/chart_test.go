package lagchart_test

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"twokey/actions"
	"twokey/bot/lagchart"
)

var pictures = flag.String("pictures", "", "a folder into which the tests' pictures are written, to be looked at")

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// busy is a day of looks every 30 s: a wave, a hole of an hour in which nobody
// looked, one in which nothing was known, a peak, a switchover, two alerts.
func busy(back time.Duration, every time.Duration) actions.LagHistory {
	h := actions.LagHistory{Pair: "orders", From: noon.Add(-back), To: noon, Limits: actions.DefaultThresholds()}
	at := func(part float64) time.Time { return h.From.Add(time.Duration(part * float64(back))) }
	for t := h.From; !t.After(h.To); t = t.Add(every) {
		part := float64(t.Sub(h.From)) / float64(back)
		if part > 0.30 && part < 0.36 {
			continue
		}
		s := actions.Sample{At: t, Primary: "dc1", State: "synchronous"}
		if part > 0.62 {
			s.Primary = "dc2"
		}
		if part < 0.50 || part > 0.56 {
			wave := (1 + math.Sin(part*60)) * 3e6
			if part > 0.8 && part < 0.85 {
				wave = 40e6
			}
			s.Write, s.Flush, s.Replay = new(uint64(wave/8)), new(uint64(wave/6)), new(uint64(wave))
			if wave > 2e6 {
				behind := time.Duration(wave/5e6*1000) * time.Millisecond
				s.Behind = &behind
			}
		}
		h.Samples = append(h.Samples, s)
	}
	h.Marks = []actions.Mark{
		{At: at(0.1), Kind: actions.MarkPause, Text: "paused by dba-1"},
		{At: at(0.5), Kind: actions.MarkAlert, Text: "writes block"}, {At: at(0.62), Kind: actions.MarkFailover, Text: "switchover"},
		{At: at(0.83), Kind: actions.MarkAlert, Text: "lagging"},
	}
	return h
}

func draw(t *testing.T, name string, h actions.LagHistory) image.Image {
	t.Helper()
	raw, err := lagchart.Draw(h)
	if err != nil {
		t.Fatal(err)
	}
	if *pictures != "" {
		if err := os.WriteFile(filepath.Join(*pictures, name+".png"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 1<<20 {
		t.Errorf("%s has %d bytes", name, len(raw))
	}
	return img
}

// The colours and the places of the picture, measured here on their own.
var (
	orange = color.RGBA{204, 82, 0, 255}    // replay
	grey   = color.RGBA{218, 220, 224, 255} // not known
	purple = color.RGBA{110, 40, 150, 255}
	red    = color.RGBA{192, 0, 30, 255}
	white  = color.RGBA{255, 255, 255, 255}
)

const plotLeft, plotRight, plotTop = 96, 1084, 104

// column counts the pixels of a colour in the column of a part of the time.
func column(img image.Image, part float64, c color.RGBA) (n, highest int) {
	x := plotLeft + int(math.Round(part*float64(plotRight-plotLeft)))
	highest = img.Bounds().Dy()
	for y := plotTop - 20; y < img.Bounds().Dy(); y++ {
		r, g, b, _ := img.At(x, y).RGBA()
		if uint8(r>>8) == c.R && uint8(g>>8) == c.G && uint8(b>>8) == c.B {
			n, highest = n+1, min(highest, y)
		}
	}
	return n, highest
}

func TestPictureShowsWhatIsKnownAndWhatIsNot(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]actions.LagHistory{
		"hour": busy(time.Hour, 10*time.Second), "day": busy(24*time.Hour, 30*time.Second), "week": busy(7*24*time.Hour, 5*time.Minute),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img := draw(t, name, h)
			for _, row := range []struct {
				part   float64
				colour color.RGBA
				there  bool
				why    string
			}{
				{0.2, orange, true, "it was looked at"},
				{0.2, grey, false, "and known"},
				{0.33, orange, false, "nobody looked: no line, and no zero"},
				{0.33, grey, true, "and the ground says so"},
				{0.53, orange, false, "the primary didn't know: no line, and no zero"},
				{0.53, grey, true, "and the ground says so"},
				{0.62, purple, true, "the switchover is marked"},
				{0.75, purple, false, "and nothing else"},
				{0.5, red, true, "an alert"},
				{0.83, red, true, "another one"},
				{0.7, red, false, "and no third"},
			} {
				if n, _ := column(img, row.part, row.colour); (n > 0) != row.there {
					t.Errorf("at %.2f: %d pixels of %v: %s", row.part, n, row.colour, row.why)
				}
			}
			_, low := column(img, 0.7, orange)
			if _, high := column(img, 0.82, orange); high >= low {
				t.Errorf("the peak is at height %d, the rest at %d", high, low)
			}
			r, g, b, a := img.At(0, 0).RGBA()
			if a != 0xffff || r+g+b < 3*0x9000 {
				t.Errorf("the ground is %v: it must be opaque and light", img.At(0, 0))
			}
		})
	}
}

func TestPictureOfLittle(t *testing.T) {
	t.Parallel()
	empty := busy(24*time.Hour, 30*time.Second)
	empty.Samples, empty.Marks = nil, nil
	idle := busy(24*time.Hour, 30*time.Second)
	for i := range idle.Samples {
		s := &idle.Samples[i]
		s.Write, s.Flush, s.Replay, s.Behind = new(uint64(0)), new(uint64(0)), new(uint64(0)), nil
	}
	one := busy(time.Hour, 30*time.Second)
	one.Samples = one.Samples[20:21]
	for name, row := range map[string]struct {
		h    actions.LagHistory
		line bool
	}{"empty": {empty, false}, "idle": {idle, true}, "one": {one, true}} {
		img := draw(t, name, row.h)
		found := false
		for part := 0.0; part <= 1; part += 0.001 {
			n, _ := column(img, part, orange)
			green, _ := column(img, part, color.RGBA{0, 95, 180, 255}) // flush lies over it where both are equal
			found = found || n+green > 0
		}
		if found != row.line {
			t.Errorf("%s: a line is drawn: %t", name, found)
		}
		if n, _ := column(img, 0.9, white); name == "idle" && n == 0 {
			t.Error("an idle pair is drawn as not known")
		}
	}
}

// TestMostSamplesAreDrawnFast: a week of looks every ten seconds.
func TestMostSamplesAreDrawnFast(t *testing.T) {
	t.Parallel()
	h := busy(7*24*time.Hour, 10*time.Second)
	began := time.Now()
	draw(t, "many", h)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%d samples took %s", len(h.Samples), took)
	}
}
