package slacksim_test

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/slack-go/slack"
)

func aPNG(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFileGoesThroughTheExternalUpload(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	content := aPNG(t)
	f, err := b.api.UploadFileContext(b.ctx, slack.UploadFileParameters{
		Filename: "lag.png", Title: "Lag of orders", AltTxt: "a flat line", FileSize: len(content), Reader: bytes.NewReader(content),
		Channel: ops, InitialComment: "the last hour",
	})
	if err != nil {
		t.Fatal(err)
	}
	m := b.Messages(ops)
	if len(m) != 1 || m[0].Text != "the last hour" || len(m[0].Files) != 1 || m[0].Files[0].AltText != "a flat line" || m[0].Files[0].Mimetype != "image/png" {
		t.Fatalf("messages %+v", m)
	}
	if got, ok := b.FileContent(f.ID); !ok || !bytes.Equal(got, content) {
		t.Error("the content is another")
	}
	for name, tt := range map[string]struct {
		header, value string
		want          int
	}{
		"the app, by its token":    {"Authorization", "Bearer " + b.BotToken(), http.StatusOK},
		"the page":                 {"Sec-Fetch-Site", "same-origin", http.StatusOK},
		"a page of another site":   {"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		"a page on another origin": {"Origin", "https://evil.example", http.StatusForbidden},
	} {
		status, body := b.get(t, m[0].Files[0].URLPrivate, tt.header, tt.value)
		if status != tt.want || (status == http.StatusOK && !bytes.Equal(body, content)) {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

func (b *bundle) get(t *testing.T, address, header, value string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header == "Host" {
		req.Host = value
	} else if header != "" {
		req.Header.Set(header, value)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestUploadMustBeAsLongAsAnnounced(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := b.api.UploadFileContext(b.ctx, slack.UploadFileParameters{
		Filename: "a.txt", FileSize: 100, Content: "short", Channel: ops,
	})
	if err == nil || len(b.Messages(ops)) != 0 {
		t.Errorf("error %v", err)
	}
}

func TestFileThatIsNoImageIsNotServedAsSomethingThatRuns(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	const page = "<!doctype html><script>alert(1)</script>"
	if _, err := b.api.UploadFileContext(b.ctx, slack.UploadFileParameters{Filename: "a.html", FileSize: len(page), Content: page, Channel: ops}); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.Messages(ops)[0].Files[0].URLPrivate, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "application/octet-stream" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", resp.Header)
	}
}

func (b *bundle) upload(t *testing.T, p slack.UploadFileParameters) string {
	t.Helper()
	content := aPNG(t)
	p.Filename, p.FileSize, p.Reader = "lag.png", len(content), bytes.NewReader(content)
	f, err := b.api.UploadFileContext(b.ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return f.ID
}

func TestAnImageBlockShowsAnUploadedFile(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	id := b.upload(t, slack.UploadFileParameters{Title: "Lag of orders"}) // shared nowhere
	if len(b.Messages(ops)) != 0 {
		t.Fatalf("messages %+v", b.Messages(ops))
	}
	image := func(file object) object {
		return object{"channel": ops, "text": "x", "blocks": []object{{"type": "image", "alt_text": "a flat line", "slack_file": file}}}
	}
	if a := b.json(t, "chat.postMessage", image(object{"id": id})); a.body["ok"] != true {
		t.Errorf("by id: %s", a.raw)
	}
	if a := b.json(t, "chat.postMessage", image(object{"url": b.base + "/files-pri/" + id + "/lag.png"})); a.body["ok"] != true {
		t.Errorf("by address: %s", a.raw)
	}
	if a := b.json(t, "chat.postMessage", image(object{"id": "F0NOBODY01"})); a.code() != "invalid_blocks" || !strings.Contains(a.raw, "invalid slack file [json-pointer:/blocks/0/slack_file]") {
		t.Errorf("a file that isn't there: %s", a.raw)
	}
	home := object{"user_id": oncall, "view": object{"type": "home", "blocks": []object{{"type": "image", "alt_text": "a", "slack_file": object{"id": "F0NOBODY01"}}}}}
	if a := b.json(t, "views.publish", home); a.code() != "invalid_arguments" {
		t.Errorf("on the App Home: %s", a.raw)
	}
}

func TestAFileKnowsItsMessages(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	parent := b.post(t, slack.MsgOptionText("lag", false))
	id := b.upload(t, slack.UploadFileParameters{Channel: ops, ThreadTimestamp: parent})
	f, _, _, err := b.api.GetFileInfoContext(b.ctx, id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	shares := f.Shares.Public[ops]
	if len(shares) != 1 || shares[0].Ts != b.Messages(ops)[1].TS || b.Messages(ops)[1].ThreadTS != parent {
		t.Errorf("shares %+v, messages %+v", f.Shares, b.Messages(ops))
	}
	content := aPNG(t)
	bad := slack.UploadFileParameters{Filename: "a.png", FileSize: len(content), Reader: bytes.NewReader(content), Channel: ops, ThreadTimestamp: "1.000001"}
	if _, err := b.api.UploadFileContext(b.ctx, bad); err == nil || !strings.HasSuffix(err.Error(), ": thread_not_found") {
		t.Errorf("into a thread that isn't there: %v", err)
	}
}
