package slacksim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// method is one method of the Web API. app methods take the app-level token.
type method struct {
	scope string // needed by the bot token; empty for none
	tier  int    // calls per minute when Options.RateLimits; 0 for no limit of its own
	app   bool
	open  bool // needs no token
	do    func(w *Workspace, c *call) (reply, error)
}

func methods() map[string]method {
	return map[string]method{
		"api.test":                     {do: apiTest, open: true},
		"auth.test":                    {do: authTest},
		"apps.connections.open":        {do: connectionsOpen, app: true, tier: 20},
		"bots.info":                    {do: botsInfo, scope: "users:read", tier: 50},
		"chat.delete":                  {do: chatDelete, scope: "chat:write", tier: 50},
		"chat.getPermalink":            {do: chatGetPermalink},
		"chat.postEphemeral":           {do: chatPostEphemeral, scope: "chat:write", tier: 100},
		"chat.postMessage":             {do: chatPostMessage, scope: "chat:write"},
		"chat.update":                  {do: chatUpdate, scope: "chat:write", tier: 50},
		"conversations.history":        {do: conversationsHistory, scope: "channels:history", tier: 50},
		"conversations.info":           {do: conversationsInfo, scope: "channels:read", tier: 50},
		"conversations.members":        {do: conversationsMembers, scope: "channels:read", tier: 100},
		"conversations.open":           {do: conversationsOpen, scope: "im:write", tier: 50},
		"conversations.replies":        {do: conversationsReplies, scope: "channels:history", tier: 50},
		"files.completeUploadExternal": {do: filesComplete, scope: "files:write", tier: 100},
		"files.getUploadURLExternal":   {do: filesGetUploadURL, scope: "files:write", tier: 100},
		"files.info":                   {do: filesInfo, scope: "files:read", tier: 100},
		"usergroups.users.list":        {do: usergroupsUsersList, scope: "usergroups:read", tier: 20},
		"users.info":                   {do: usersInfo, scope: "users:read", tier: 100},
		"views.open":                   {do: viewsOpen, tier: 100},
		"views.publish":                {do: viewsPublish, tier: 100},
		"views.push":                   {do: viewsPush, tier: 100},
		"views.update":                 {do: viewsUpdate, tier: 100},
	}
}

// Scopes gives every method of the simulated Web API with the scope that it
// needs of the bot token, "" for none. Reading a private channel or a direct
// message needs groups:… or im:… in place of channels:….
func Scopes() map[string]string {
	out := map[string]string{}
	for name, m := range methods() {
		if !m.app {
			out[name] = m.scope
		}
	}
	return out
}

// EventScopes gives every event subscription with the scope that it needs.
func EventScopes() map[string]string {
	return map[string]string{
		"app_home_opened": "", "message.channels": "channels:history", "message.groups": "groups:history", "message.im": "im:history",
	}
}

// scopeFor is what a call needs: reading depends on the kind of conversation.
func (w *Workspace) scopeFor(m method, channelID string) string {
	what, reading := strings.CutPrefix(m.scope, "channels:")
	if !reading {
		return m.scope
	}
	switch c := w.Snapshot().st.channels[channelID]; {
	case c.Direct != "":
		return "im:" + what
	case c.Private:
		return "groups:" + what
	}
	return m.scope
}

// call is one request to the Web API.
type call struct {
	name string
	args args
	base string // scheme and host that the client used
}

type reply map[string]any

// apiError is an answer with ok: false.
type apiError struct {
	code     string
	messages []string // details, as in response_metadata.messages
	extra    reply
}

func (e *apiError) Error() string { return e.code }

func fail(code string) error { return &apiError{code: code} }

func invalidArguments(message string) error {
	return &apiError{code: "invalid_arguments", messages: []string{"[ERROR] " + message}}
}

// serveAPI answers /api/<method>: misbehaviour first, then Slack's own order of
// checks: method, authentication, rate limit, scope, arguments.
func (w *Workspace) serveAPI(rw http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/api/")
	w.learnBase(r)
	if !slurp(r) {
		return
	}
	fault := w.fault(name)
	if w.misbehave(rw, r, name, fault) {
		return
	}
	out, status, err := w.invoke(r, name)
	if fault != nil && fault.mode == faultLost {
		w.record(name, "lost", 0)
		hangUp()
	}
	if limited, ok := errors.AsType[*rateLimited](err); ok {
		w.tooMany(rw, name, limited.wait)
		return
	}
	w.answer(rw, name, status, out, err)
}

// slurp reads the body ahead: net/http notices a client that went away only
// once its request was read. It reports whether the whole request came.
func slurp(r *http.Request) bool {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return err == nil
}

func (w *Workspace) invoke(r *http.Request, name string) (reply, int, error) {
	m, known := w.methods[name]
	if !known {
		return reply{"req_method": name}, http.StatusOK, fail("unknown_method")
	}
	arguments, token, err := parseArgs(r)
	if err != nil {
		return nil, http.StatusOK, err
	}
	if err := w.authenticate(m, token); err != nil {
		return nil, http.StatusOK, err
	}
	w.heard(name, arguments)
	if wait := w.limited(name, m, arguments.str("channel")); wait > 0 {
		return nil, http.StatusTooManyRequests, &rateLimited{wait}
	}
	if scope := w.scopeFor(m, arguments.str("channel")); scope != "" && !slices.Contains(w.opt.Scopes, scope) {
		extra := reply{"needed": scope, "provided": strings.Join(w.opt.Scopes, ",")}
		return nil, http.StatusOK, &apiError{code: "missing_scope", extra: extra}
	}
	out, err := m.do(w, &call{name: name, args: arguments, base: baseOf(r)})
	return out, http.StatusOK, err
}

func (w *Workspace) heard(method string, a args) {
	if w.opt.OnCall != nil {
		w.opt.OnCall(method, a)
	}
}

func (w *Workspace) authenticate(m method, token string) error {
	want := w.opt.BotToken
	if m.app {
		want = w.opt.AppToken
	}
	switch {
	case m.open:
		return nil
	case token == "":
		return fail("not_authed")
	case token == want:
		return nil
	case token == w.opt.BotToken || token == w.opt.AppToken:
		return fail("not_allowed_token_type")
	}
	return fail("invalid_auth")
}

func (w *Workspace) answer(rw http.ResponseWriter, name string, status int, out reply, err error) {
	if out == nil {
		out = reply{}
	}
	code := ""
	out["ok"] = err == nil
	if err != nil {
		code = err.Error()
		out["error"] = code
		describe(out, err)
	}
	w.record(name, code, status)
	rw.Header().Set("X-OAuth-Scopes", strings.Join(w.opt.Scopes, ","))
	writeJSON(rw, status, out)
}

func describe(out reply, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		return
	}
	maps.Copy(out, e.extra)
	if len(e.messages) > 0 {
		out["response_metadata"] = map[string]any{"messages": e.messages}
	}
}

func (w *Workspace) tooMany(rw http.ResponseWriter, name string, seconds int) {
	rw.Header().Set("Retry-After", strconv.Itoa(seconds))
	w.answer(rw, name, http.StatusTooManyRequests, nil, errRateLimited)
}

func (w *Workspace) record(name, code string, status int) {
	w.opt.Log.Debug("web api", "method", name, "error", code, "status", status)
	w.change(func(st *state) {
		st.called(Call{At: w.opt.Now(), Method: name, Error: code, Status: status})
	})
}

// learnBase takes the address from the first client that finds the workspace,
// for servers that never called SetBaseURL.
func (w *Workspace) learnBase(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.base == "" {
		w.base = baseOf(r)
	}
}

func baseOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func writeJSON(rw http.ResponseWriter, status int, v any) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	enc := json.NewEncoder(rw)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client hung up; there is nobody left to tell
}
