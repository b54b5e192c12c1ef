package bot

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/slack-go/slack"

	"twokey/actions"
	"twokey/bot/lagchart"
)

// lag answers with a chart and the words that say the same; with the words
// alone where there is nothing to draw, or Slack doesn't take the file.
func (b *Bot) lag(ctx context.Context, who asker, pair string, back time.Duration) error {
	h, err := b.opt.Desk.Lag(ctx, pair, back)
	if err != nil {
		return err
	}
	words := lagMessage(h, "")
	if len(h.Samples) == 0 {
		b.tellAll(ctx, who, words)
		return nil
	}
	if err := b.chart(ctx, who, h, words); err != nil {
		b.opt.Log.Warn("a chart could not be shown; its words were", "pair", pair, "code", apiCode(err), "remedy", remedy(apiCode(err)), "error", err)
		b.tellAll(ctx, who, lagMessage(h, chartTrouble(err)))
	}
	return nil
}

func chartTrouble(err error) markup {
	if code := apiCode(err); code != "" {
		return say("The chart could not be uploaded (%s): %s.", code, remedy(code))
	}
	return "The chart could not be made or uploaded; the log says why."
}

func (b *Bot) chart(ctx context.Context, who asker, h actions.LagHistory, words message) error {
	raw, err := lagchart.Draw(h)
	if err != nil {
		return err
	}
	window := windowWord(h.To.Sub(h.From))
	return b.slack.upload(ctx, file{
		name: fmt.Sprintf("lag-%s-%s.png", h.Pair, window), title: fmt.Sprintf("Replication lag of %s, last %s", h.Pair, window),
		alt: clip(oneLine(lagAlt(h)), limitAlt), content: raw, channel: who.channel, comment: words.text,
	})
}

// file is an upload; comment is the text of the message that shows it.
type file struct {
	name, title, alt string
	content          []byte
	channel          string
	comment          markup
}

const (
	methodUploadURL = "files.getUploadURLExternal"
	methodUploaded  = "files.completeUploadExternal"
)

const (
	limitAlt      = 1000 // characters of a file's description
	uploadTimeout = 20 * time.Second
)

// upload shows a file in a channel by Slack's three steps. The second one carries
// the token, so slack-go refuses an address that isn't Slack's.
func (c *client) upload(ctx context.Context, f file) error {
	ctx, cancel := context.WithTimeoutCause(ctx, uploadTimeout, fmt.Errorf("the upload of %s took longer than %s", f.name, uploadTimeout))
	defer cancel()
	ticket, err := c.api.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{AltTxt: f.alt, FileSize: len(f.content), FileName: f.name})
	if err != nil {
		return failed(ctx, methodUploadURL, err)
	}
	err = c.api.UploadToURL(ctx, slack.UploadToURLParameters{UploadURL: ticket.UploadURL, Reader: bytes.NewReader(f.content), Filename: f.name})
	if err != nil {
		return failed(ctx, "the upload itself", withoutURL(err))
	}
	_, err = c.api.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
		Files: []slack.FileSummary{{ID: ticket.FileID, Title: f.title}}, Channel: f.channel, InitialComment: string(f.comment),
	})
	return failed(ctx, methodUploaded, err)
}
