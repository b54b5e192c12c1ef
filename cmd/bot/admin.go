package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// The admin socket is how the other subcommands reach a running bot: HTTP on a
// Unix socket that only its owner may open. One may look and ask over it, and
// give and take second factors, never vote.

// adminReply is what the socket answers: a report, or why there is none.
type adminReply struct {
	Reports []actions.Report `json:"reports,omitempty"`
	Error   string           `json:"error,omitempty"`
}

// listenAdmin makes the socket. A socket that a killed bot left is replaced;
// one that answers means that another bot runs. Anything else that bears the
// name, a file say, is left alone.
func listenAdmin(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close() // only asked whether somebody is there
		return nil, fmt.Errorf("another bot answers on the admin socket %s; stop it first", path)
	}
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the admin socket %s can't be made: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("the admin socket %s can't be made private: %w", path, err), l.Close())
	}
	return l, nil
}

func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the admin socket can't be looked at: %w", err)
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("admin_socket %s is there already and is no socket; name a path that is free", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("the admin socket that a former bot left: %w", err)
	}
	return nil
}

// adminHandler answers status, verify and audit, takes what asks, and keeps second factors.
func adminHandler(desk *actions.Desk, ask asking, otp otpKeeper, log auditLog) http.Handler {
	mux := http.NewServeMux()
	ask.routes(mux)
	otp.routes(mux)
	mux.HandleFunc("GET /v1/status", answerLook(desk, desk.Status))
	mux.HandleFunc("GET /v1/verify", answerLook(desk, desk.Verify))
	mux.HandleFunc("GET /v1/audit", answerAudit(log))
	return mux
}

func answerLook(desk *actions.Desk, look lookFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reports, err := lookAll(r.Context(), desk.Pairs(), r.URL.Query().Get("pair"), look)
		reply, code := adminReply{Reports: reports}, http.StatusOK
		if err != nil {
			reply, code = adminReply{Error: err.Error()}, http.StatusInternalServerError
			if approvals.Refused(err) != "" {
				code = http.StatusBadRequest
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(reply) // whoever asked may be gone
	}
}

type lookFunc func(context.Context, string) (actions.Report, error)

// lookAll looks at one pair, or at all when none is named.
func lookAll(ctx context.Context, pairs []actions.Pair, name string, look lookFunc) ([]actions.Report, error) {
	if name != "" {
		rep, err := look(ctx, name)
		return []actions.Report{rep}, err
	}
	reports := make([]actions.Report, len(pairs))
	for i, p := range pairs {
		var err error
		if reports[i], err = look(ctx, p.Name); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// errNoBot means that nobody answers on the admin socket.
var errNoBot = errors.New("no bot answers on its admin socket")

// askBot asks a running bot to look at pairs.
func askBot(ctx context.Context, socket, what, pair string) ([]actions.Report, error) {
	var reports []actions.Report
	err := callBot(ctx, socket, http.MethodGet, what+"?pair="+url.QueryEscape(pair), func(resp *http.Response) (err error) {
		reports, err = readReply(resp.Body)
		return err
	})
	return reports, err
}

// callBot sends one request over the admin socket and lets read have the
// answer. errNoBot means that nobody answers there.
func callBot(ctx context.Context, socket, method, what string, read func(*http.Response) error) error {
	client := http.Client{Transport: &http.Transport{
		ResponseHeaderTimeout: adminPatience,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://bot/v1/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w (%s): %w", errNoBot, socket, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	return read(resp)
}

const adminPatience = 2 * time.Minute // until an answer begins

func readReply(body io.Reader) ([]actions.Report, error) {
	var reply adminReply
	if err := json.NewDecoder(body).Decode(&reply); err != nil {
		return nil, fmt.Errorf("the running bot's answer can't be read; is it of another version? %w", err)
	}
	if reply.Error != "" {
		return nil, errors.New(reply.Error)
	}
	return reply.Reports, nil
}
