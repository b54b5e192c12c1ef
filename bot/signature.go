package bot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"time"

	"twokey/secret"
)

const (
	headerSignature = "X-Slack-Signature"
	headerTimestamp = "X-Slack-Request-Timestamp"
	signatureWindow = 300 * time.Second // in both directions
)

// signature checks that a delivery comes from Slack and is of now.
type signature struct {
	secret secret.Text
	now    func() time.Time
}

// genuine reports whether body was signed with our secret no longer than
// signatureWindow from now. It says no more than that, also to its caller: why
// a forger failed is not the forger's business.
func (s signature) genuine(h http.Header, body []byte) bool {
	stamp := h.Get(headerTimestamp)
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || s.secret.Empty() {
		return false
	}
	if s.now().Sub(time.Unix(at, 0)).Abs() > signatureWindow {
		return false
	}
	return hmac.Equal([]byte(s.sign(stamp, body)), []byte(h.Get(headerSignature)))
}

func (s signature) sign(stamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(s.secret.Reveal()))
	_, _ = io.WriteString(mac, "v0:"+stamp+":") // a hash never fails to take bytes
	mac.Write(body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}
