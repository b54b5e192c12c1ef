package bot_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot"
)

// The example that Slack publishes in its guide to verifying requests.
const (
	publishedSecret    = "8f742231b10e8888abcd99yyyzzz85a5"
	publishedStamp     = "1531420618"
	publishedSignature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
	publishedBody      = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)

func signed(stamp, signature string) http.Header {
	h := http.Header{}
	h.Set("X-Slack-Request-Timestamp", stamp)
	h.Set("X-Slack-Signature", signature)
	return h
}

func TestSignatureTakesThePublishedExample(t *testing.T) {
	t.Parallel()
	at := time.Unix(1531420618, 0)
	h := signed(publishedStamp, publishedSignature)
	if !bot.Genuine(publishedSecret, at, h, []byte(publishedBody)) {
		t.Fatal("Slack's own example is refused")
	}
	for name, shift := range map[string]time.Duration{"300 s later": 300 * time.Second, "300 s earlier": -300 * time.Second} {
		if !bot.Genuine(publishedSecret, at.Add(shift), h, []byte(publishedBody)) {
			t.Errorf("refused %s", name)
		}
	}
}

func TestSignatureRefuses(t *testing.T) {
	t.Parallel()
	at := time.Unix(1531420618, 0)
	body := []byte(publishedBody)
	good := signed(publishedStamp, publishedSignature)
	cases := map[string]struct {
		secret string
		now    time.Time
		header http.Header
		body   []byte
	}{
		"one second too late":      {publishedSecret, at.Add(301 * time.Second), good, body},
		"one second too early":     {publishedSecret, at.Add(-301 * time.Second), good, body},
		"another secret":           {"x" + publishedSecret, at, good, body},
		"no secret":                {"", at, signed(publishedStamp, bot.Sign("", publishedStamp, body)), body},
		"another body":             {publishedSecret, at, good, append([]byte("x"), body...)},
		"no headers":               {publishedSecret, at, http.Header{}, body},
		"no signature":             {publishedSecret, at, signed(publishedStamp, ""), body},
		"no timestamp":             {publishedSecret, at, signed("", publishedSignature), body},
		"a timestamp of words":     {publishedSecret, at, signed("now", bot.Sign(publishedSecret, "now", body)), body},
		"a timestamp beyond time":  {publishedSecret, at, signed("9223372036854775807", bot.Sign(publishedSecret, "9223372036854775807", body)), body},
		"another timestamp":        {publishedSecret, at, signed("1531420619", publishedSignature), body},
		"another version":          {publishedSecret, at, signed(publishedStamp, "v1"+publishedSignature[2:]), body},
		"half a signature":         {publishedSecret, at, signed(publishedStamp, publishedSignature[:40]), body},
		"a signature of all zeros": {publishedSecret, at, signed(publishedStamp, "v0=0000000000000000000000000000000000000000000000000000000000000000"), body},
	}
	for name, c := range cases {
		if bot.Genuine(c.secret, c.now, c.header, c.body) {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzSignatureAgreesWithAnotherImplementation holds our check against that of
// the Slack library, which reads the real clock.
func FuzzSignatureAgreesWithAnotherImplementation(f *testing.F) {
	f.Add("secret", []byte("body"), int64(0), "", false)
	f.Add("secret", []byte("body"), int64(299), "", true)
	f.Add("s", []byte{}, int64(-301), "v0=00", false)
	f.Fuzz(func(t *testing.T, secret string, body []byte, age int64, forged string, spoil bool) {
		now := time.Now()
		if age%3600 > 298 && age%3600 < 302 || age%3600 < -298 && age%3600 > -302 {
			return // at the very limit the two clocks may disagree by a second
		}
		stamp := strconv.FormatInt(now.Unix()-age%3600, 10)
		signature := bot.Sign(secret, stamp, body)
		if spoil {
			signature = forged
		}
		h := signed(stamp, signature)
		if got, want := bot.Genuine(secret, now, h, body), theirs(h, secret, body); got != want {
			t.Errorf("ours says %t, the library %t", got, want)
		}
	})
}

func theirs(h http.Header, secret string, body []byte) bool {
	v, err := slack.NewSecretsVerifier(h, secret)
	if err != nil {
		return false
	}
	if _, err := v.Write(body); err != nil {
		return false
	}
	return v.Ensure() == nil
}
