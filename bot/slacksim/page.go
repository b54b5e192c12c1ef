package slacksim

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The page, bundled once (see web/README.md); it loads nothing from elsewhere.
//
//go:embed web/dist
var bundled embed.FS

const (
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
	pageMessages = 150 // of a channel, the latest
	pulse        = 40 * time.Millisecond
)

func (w *Workspace) pageRoutes(mux *http.ServeMux) {
	files, err := fs.Sub(bundled, "web/dist")
	if err != nil {
		panic("slacksim: the embedded page has no web/dist: " + err.Error()) // a broken build, not an input
	}
	mux.Handle("/", guarded(pageFiles(http.FileServerFS(files))))
	mux.Handle("GET /archives/", guarded(http.HandlerFunc(permalink)))
	mux.Handle("GET /sim/state", guarded(http.HandlerFunc(w.simState)))
	mux.Handle("GET /sim/events", guarded(http.HandlerFunc(w.simEvents)))
	mux.Handle("GET /sim/json", guarded(http.HandlerFunc(w.simJSON)))
	for name, do := range w.simActions() {
		mux.Handle("POST /sim/"+name, guarded(simAction(do)))
	}
}

// guarded keeps other web sites from reading or driving the workspace.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := sameSite(r); err != nil {
			http.Error(rw, err.Error(), http.StatusForbidden)
			return
		}
		rw.Header().Set("Content-Security-Policy", pagePolicy)
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		rw.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(rw, r)
	})
}

func pageFiles(files http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "no-cache")
		files.ServeHTTP(rw, r)
	})
}

var permalinkPath = regexp.MustCompile(`^/archives/([A-Z0-9]+)/p([0-9]+)([0-9]{6})$`)

// permalink leads from a message's permanent address to its place on the page.
func permalink(rw http.ResponseWriter, r *http.Request) {
	m := permalinkPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		http.NotFound(rw, r)
		return
	}
	http.Redirect(rw, r, fmt.Sprintf("/#channel=%s&message=%s.%s", m[1], m[2], m[3]), http.StatusFound)
}

// pageState is the workspace as one person sees it.
type pageState struct {
	Version     uint64               `json:"version"`
	Team        string               `json:"team"`
	Me          string               `json:"me"`
	Bot         reply                `json:"bot"`
	Accounts    []Account            `json:"accounts"`
	Channels    []Channel            `json:"channels"`
	Groups      []UserGroup          `json:"groups"`
	Messages    map[string][]Message `json:"messages"`
	Ephemerals  []Message            `json:"ephemerals"`
	Modals      []View               `json:"modals"`
	Home        *View                `json:"home"`
	Waiting     map[string]int       `json:"waiting"` // open modals by account
	Commands    []SlashCommand       `json:"commands"`
	Transport   string               `json:"transport"`
	Connections int                  `json:"connections"`
}

func (w *Workspace) simState(rw http.ResponseWriter, r *http.Request) {
	writeJSON(rw, http.StatusOK, w.pageState(r.URL.Query().Get("user")))
}

func (w *Workspace) pageState(user string) pageState {
	s := w.Snapshot()
	out := pageState{
		Accounts: []Account{}, Channels: []Channel{}, Groups: []UserGroup{},
		Version: s.st.version, Team: w.opt.Domain, Me: user, Commands: w.opt.Commands, Transport: w.transport(),
		Bot:      reply{"id": BotUserID, "name": botName},
		Messages: map[string][]Message{}, Waiting: map[string]int{}, Connections: s.st.connections,
		Ephemerals: latest(s.Ephemerals(user)), Modals: append([]View{}, s.Modals(user)...),
	}
	for _, id := range s.st.order {
		out.Accounts = append(out.Accounts, s.st.accounts[id])
		out.Waiting[id] = len(s.st.modals[id])
	}
	for _, g := range s.st.groups {
		out.Groups = append(out.Groups, g)
	}
	for _, id := range s.st.channelOrder {
		if c := s.st.channels[id]; c.has(user) {
			out.Channels = append(out.Channels, c)
			out.Messages[id] = latest(s.st.messages[id])
		}
	}
	if home, ok := s.Home(user); ok {
		out.Home = &home
	}
	return out
}

func (w *Workspace) transport() string {
	if w.opt.SocketMode {
		return "socket"
	}
	return "http"
}

func latest(list []Message) []Message {
	return append([]Message{}, list[max(0, len(list)-pageMessages):]...)
}

// simEvents tells the page, by server-sent events, that something changed. It
// sends at most one event per pulse; the page then asks for the state.
func (w *Workspace) simEvents(rw http.ResponseWriter, r *http.Request) {
	flush, ok := rw.(http.Flusher)
	if !ok {
		http.Error(rw, "no streaming on this server", http.StatusNotImplemented)
		return
	}
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("Cache-Control", "no-store")
	beat := time.NewTicker(pulse)
	defer beat.Stop()
	for {
		version, changed := w.version()
		if _, err := fmt.Fprintf(rw, "data: %d\n\n", version); err != nil {
			return
		}
		flush.Flush()
		if !wait(w, r, changed) || !wait(w, r, beat.C) {
			return
		}
	}
}

func (w *Workspace) version() (uint64, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.st.version, w.changed
}

// wait reports false when the reader went or the workspace closed before c.
func wait[T any](w *Workspace, r *http.Request, c <-chan T) bool {
	select {
	case <-c:
		return true
	case <-r.Context().Done():
	case <-w.done:
	}
	return false
}

// simJSON shows a message or view as the Web API would give it.
func (w *Workspace) simJSON(rw http.ResponseWriter, r *http.Request) {
	q, s := r.URL.Query(), w.Snapshot()
	if v, ok := s.st.open(q.Get("view"), ""); ok {
		writeJSON(rw, http.StatusOK, v.wire(w.opt.Team, v.initial()))
		return
	}
	m, ok := s.st.find(q.Get("channel"), q.Get("ts"))
	if !ok {
		m, ok = s.st.findEphemeral(q.Get("user"), q.Get("ts"))
	}
	if !ok {
		http.NotFound(rw, r)
		return
	}
	writeJSON(rw, http.StatusOK, m.wire(w.opt.Team, true))
}

// simRequest is what the page sends; each action uses some of it.
type simRequest struct {
	User    string            `json:"user"`
	Channel string            `json:"channel"`
	TS      string            `json:"ts"`
	View    string            `json:"view"`
	Action  string            `json:"action"`
	Choice  string            `json:"choice"`
	Text    string            `json:"text"`
	Values  map[string]string `json:"values"`
}

type simDo func(r *http.Request, in simRequest) (Delivery, error)

func (w *Workspace) simActions() map[string]simDo {
	return map[string]simDo{
		"send":    w.simSend,
		"press":   w.simPress,
		"dismiss": func(_ *http.Request, in simRequest) (Delivery, error) { return Delivery{}, w.Dismiss(in.User, in.TS) },
		"submit": func(r *http.Request, in simRequest) (Delivery, error) {
			return w.SubmitModal(r.Context(), in.User, in.View, in.Values)
		},
		"close": func(r *http.Request, in simRequest) (Delivery, error) {
			return w.CloseModal(r.Context(), in.User, in.View)
		},
		"home": func(_ *http.Request, in simRequest) (Delivery, error) { return Delivery{}, w.OpenHome(in.User) },
		"delete": func(_ *http.Request, in simRequest) (Delivery, error) {
			return Delivery{}, w.DeleteMessage(in.Channel, in.TS)
		},
	}
}

// simSend takes a line from the composer: a slash command or a plain message.
func (w *Workspace) simSend(r *http.Request, in simRequest) (Delivery, error) {
	text := strings.TrimSpace(in.Text)
	if !strings.HasPrefix(text, "/") {
		_, err := w.Say(in.User, in.Channel, text)
		return Delivery{}, err
	}
	command, rest, _ := strings.Cut(text, " ")
	if !slices.ContainsFunc(w.opt.Commands, func(c SlashCommand) bool { return c.Name == command }) {
		return Delivery{}, fmt.Errorf("%s is not a valid command", command)
	}
	return w.Command(r.Context(), in.User, in.Channel, command, strings.TrimSpace(rest))
}

func (w *Workspace) simPress(r *http.Request, in simRequest) (Delivery, error) {
	if in.View != "" {
		return w.PressView(r.Context(), in.User, in.View, in.Action, in.Choice)
	}
	return w.Choose(r.Context(), in.User, in.Channel, in.TS, in.Action, in.Choice)
}

// simAction runs one action of the page. JSON only: a form, which other sites
// could send without asking first, is refused.
func simAction(do simDo) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var in simRequest
		if !isJSON(r) || json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<20)).Decode(&in) != nil {
			http.Error(rw, "expected a JSON object", http.StatusUnsupportedMediaType)
			return
		}
		d, err := do(r, in)
		if err != nil {
			writeJSON(rw, http.StatusUnprocessableEntity, reply{"error": err.Error()})
			return
		}
		writeJSON(rw, http.StatusOK, reply{"failure": d.Failure, "shown": d.Shown, "latency_ms": d.Latency.Milliseconds()})
	})
}
