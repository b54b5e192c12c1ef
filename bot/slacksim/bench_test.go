package slacksim_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"twokey/bot/slacksim"
)

// What the simulator itself costs, so that measurements of the bot over it can
// be told apart from it.
func BenchmarkCommandRoundTrip(b *testing.B) {
	w := slacksim.New(slacksim.Options{Events: []string{}})
	defer w.Close()
	if _, err := w.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	w.SetRequestURL(app.URL)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := w.Command(context.Background(), oncall, ops, "/pg", "status"); err != nil || !d.Acknowledged() {
			b.Fatal(d, err)
		}
	}
}
