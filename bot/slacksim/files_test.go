package slacksim_test

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"net/http"
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
