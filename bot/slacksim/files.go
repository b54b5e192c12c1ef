package slacksim

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
)

// File is an uploaded file as messages carry it.
type File struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Title      string `json:"title"`
	Mimetype   string `json:"mimetype"`
	Filetype   string `json:"filetype"`
	Mode       string `json:"mode"`
	Size       int    `json:"size"`
	Created    int64  `json:"created"`
	User       string `json:"user"`
	AltText    string `json:"alt_txt,omitempty"`
	URLPrivate string `json:"url_private"`
	Permalink  string `json:"permalink"`
}

// upload is a file from its announcement on.
type upload struct {
	file    File
	ticket  string
	content []byte // nil until it was sent
	shared  bool   // completed
	shares  []Message
}

const maxFile = 16 << 20

func filesGetUploadURL(w *Workspace, c *call) (reply, error) {
	if err := c.args.need("filename", "length"); err != nil {
		return nil, err
	}
	length, err := c.args.number("length", 0)
	if err != nil || length <= 0 {
		return nil, invalidArguments("must be a positive integer [json-pointer:/length]")
	}
	if length > maxFile {
		return nil, fail("file_upload_size_restricted")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name := path.Base(c.args.str("filename"))
	u := &upload{ticket: randomHex(16), file: File{
		ID: w.idLocked("F"), Name: name, Title: name, Size: length, Mode: "hosted", User: BotUserID,
		Filetype: strings.TrimPrefix(path.Ext(name), "."), Created: w.opt.Now().Unix(), AltText: c.args.str("alt_txt"),
	}}
	u.file.URLPrivate = c.base + "/files-pri/" + u.file.ID + "/" + name
	u.file.Permalink = u.file.URLPrivate
	w.uploads[u.file.ID] = u
	return reply{"upload_url": c.base + "/upload/v1/" + u.ticket, "file_id": u.file.ID}, nil
}

// serveUpload takes a file's bytes, as a form's file or as the body.
func (w *Workspace) serveUpload(rw http.ResponseWriter, r *http.Request) {
	content, err := uploaded(r)
	if err != nil {
		http.Error(rw, "the upload can't be read", http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.byTicket(strings.TrimPrefix(r.URL.Path, "/upload/v1/"))
	switch {
	case u == nil || u.content != nil:
		http.Error(rw, "unknown or used upload URL", http.StatusNotFound)
	case len(content) != u.file.Size:
		http.Error(rw, fmt.Sprintf("announced %d bytes, got %d", u.file.Size, len(content)), http.StatusBadRequest)
	default:
		u.content, u.file.Mimetype = content, http.DetectContentType(content)
		fmt.Fprintf(rw, "OK - %d", len(content))
	}
}

func (w *Workspace) byTicket(ticket string) *upload {
	for _, u := range w.uploads {
		if u.ticket == ticket {
			return u
		}
	}
	return nil
}

func uploaded(r *http.Request) ([]byte, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxFile+1<<16)
	if contentType(r) != "multipart/form-data" {
		return io.ReadAll(r.Body)
	}
	if err := r.ParseMultipartForm(maxFile); err != nil {
		return nil, fmt.Errorf("read the form: %w", err)
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }() // at this size nothing is in files
	for _, files := range r.MultipartForm.File {
		f, err := files[0].Open()
		if err != nil {
			return nil, fmt.Errorf("read the form's file: %w", err)
		}
		defer f.Close()
		return io.ReadAll(f)
	}
	return nil, fmt.Errorf("the form has no file")
}

func filesComplete(w *Workspace, c *call) (reply, error) {
	wanted, err := c.args.structured("files")
	list, ok := wanted.([]any)
	if err != nil || !ok || len(list) == 0 {
		return nil, invalidArguments("missing required field: files")
	}
	m := Message{User: BotUserID, ThreadTS: c.args.str("thread_ts"), Text: c.args.str("initial_comment"), From: c.name}
	if ref := c.args.str("channel_id"); ref != "" {
		if m.Channel, err = w.shareable(ref, m.ThreadTS); err != nil {
			return nil, err
		}
	}
	if m.Files, err = w.complete(list); err != nil {
		return nil, err
	}
	if m.Channel != "" {
		if m, err = w.publish(m); err != nil {
			return nil, err
		}
		w.shared(m)
	}
	return reply{"files": m.Files}, nil
}

// shareable finds where files are to be shown, before they are completed.
func (w *Workspace) shareable(ref, threadTS string) (string, error) {
	channel, err := w.postable(ref)
	if err != nil {
		return "", err
	}
	snap := w.Snapshot()
	_, err = snap.st.threadOf(Message{Channel: channel.ID, ThreadTS: threadTS})
	return channel.ID, err
}

// shared notes in which message files are shown. An app learns it from
// files.info: the completion doesn't say.
func (w *Workspace) shared(m Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range m.Files {
		w.uploads[f.ID].shares = append(w.uploads[f.ID].shares, m)
	}
}

// sharesLocked is how Slack tells where a file is shown: by kind of channel, by
// channel, each with the message's ts.
func (w *Workspace) sharesLocked(u *upload) reply {
	out := map[string]map[string][]reply{}
	for _, m := range u.shares {
		kind := "public"
		if c := w.st.channels[m.Channel]; c.Private || c.Direct != "" {
			kind = "private"
		}
		if out[kind] == nil {
			out[kind] = map[string][]reply{}
		}
		out[kind][m.Channel] = append(out[kind][m.Channel], reply{"ts": m.TS, "channel_name": w.st.channels[m.Channel].Name, "team_id": w.opt.Team})
	}
	shares := reply{}
	for kind, channels := range out {
		shares[kind] = channels
	}
	return shares
}

// complete marks uploads as files. It completes all of them or none.
func (w *Workspace) complete(list []any) ([]File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []*upload
	for _, v := range list {
		m, _ := v.(map[string]any)
		u, ok := w.uploads[str(m["id"])]
		if !ok || u.content == nil || u.shared || slices.Contains(found, u) {
			return nil, fail("file_not_found")
		}
		found = append(found, u)
	}
	var files []File
	for i, u := range found {
		m, _ := list[i].(map[string]any)
		u.shared, u.file.Title = true, or(str(m["title"]), u.file.Title)
		files = append(files, u.file)
	}
	return files, nil
}

func filesInfo(w *Workspace, c *call) (reply, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, ok := w.uploads[c.args.str("file")]
	if !ok || !u.shared {
		return nil, fail("file_not_found")
	}
	return reply{"file": struct {
		File

		Shares reply `json:"shares"`
	}{u.file, w.sharesLocked(u)}}, nil
}

// hasFile reports whether a file is complete and can be shown in a message.
func (w *Workspace) hasFile(id string) bool {
	_, ok := w.FileContent(id)
	return ok
}

// fileOf is the id in a file's address.
func fileOf(address string) string {
	_, path, _ := strings.Cut(address, "/files-pri/")
	id, _, _ := strings.Cut(path, "/")
	return id
}

// FileContent returns the bytes of a completed upload.
func (w *Workspace) FileContent(id string) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, ok := w.uploads[id]
	if !ok || !u.shared {
		return nil, false
	}
	return u.content, true
}

// serveFile gives a file to the app (bot token) or to the workspace's own page.
func (w *Workspace) serveFile(rw http.ResponseWriter, r *http.Request) {
	bearer := r.Header.Get("Authorization") == "Bearer "+w.opt.BotToken
	if !bearer && sameSite(r) != nil {
		http.Error(rw, "not allowed", http.StatusForbidden)
		return
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/files-pri/"), "/")
	content, ok := w.FileContent(id)
	if !ok {
		http.NotFound(rw, r)
		return
	}
	kind := http.DetectContentType(content)
	if !strings.HasPrefix(kind, "image/") || strings.Contains(kind, "svg") {
		kind = "application/octet-stream" // never something that runs in the page's origin
		rw.Header().Set("Content-Disposition", "attachment")
	}
	rw.Header().Set("Content-Type", kind)
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = rw.Write(content) // the client hung up; there is nobody left to tell
}
