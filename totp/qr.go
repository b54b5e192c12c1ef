package totp

import (
	"fmt"
	"image"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"

	"twokey/secret"
)

// quiet is the margin that a reader needs around the code, in modules.
const quiet = 4

// QR draws an address with half-block characters, two modules in each, light on
// dark as terminals are.
func QR(uri secret.Text) (string, error) {
	code, err := qr.Encode(uri.Reveal(), qr.M, qr.Unicode)
	if err != nil {
		return "", fmt.Errorf("drawing the QR code: %w", err)
	}
	size := code.Bounds().Dx()
	var b strings.Builder
	for y := -quiet; y < size+quiet; y += 2 {
		for x := -quiet; x < size+quiet; x++ {
			b.WriteString(halves(light(code, x, y), light(code, x, y+1)))
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

func halves(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}

// light says whether a module is white; the margin is.
func light(code image.Image, x, y int) bool {
	if !(image.Point{X: x, Y: y}).In(code.Bounds()) {
		return true
	}
	return color.GrayModel.Convert(code.At(x, y)) == color.Gray{Y: 0xFF}
}
