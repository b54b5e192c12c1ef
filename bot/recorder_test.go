package bot_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twokey/bot/slacksim"
)

// newRecorder hands a signed command to a handler without a network.
func newRecorder(h http.Handler, secret string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/slack/commands", bytes.NewReader(body))
	maps.Copy(req.Header, slacksim.Sign(secret, time.Now(), body))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

// serve answers on a port of its own until the test ends.
func serve(t testing.TB, f http.HandlerFunc) (url string) {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// formatted is a value in every form that fmt knows.
func formatted(v any) string {
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", []any{v, struct{ S any }{v}})
	}
	return out.String()
}
