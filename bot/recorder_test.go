package bot_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"time"

	"twokey/bot/slacksim"
)

// newRecorder hands a signed command to a handler without a network.
func newRecorder(h http.Handler, secret string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/slack/commands", bytes.NewReader(body))
	for k, v := range slacksim.Sign(secret, time.Now(), body) {
		req.Header[k] = v
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}
