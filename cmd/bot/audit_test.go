package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/store"
	"twokey/store/storetest"
)

// audited is a configuration whose store holds a request with its two votes.
type audited struct {
	t      *testing.T
	config string
	socket string
	path   string
	head   store.Mark
}

func newAudited(t *testing.T) *audited {
	t.Helper()
	dir := t.TempDir()
	a := &audited{t: t, config: filepath.Join(dir, "twokey.yaml"), socket: filepath.Join(dir, "admin.sock"), path: filepath.Join(dir, "twokey.db")}
	a.must(os.WriteFile(a.config, []byte(sampleText(t, dir)), 0o600))
	s := a.open()
	defer s.Close()
	now := time.Now()
	r, events := storetest.Ask("01", "orders", now)
	_, err := s.Create(t.Context(), r, events)
	a.must(err)
	for _, who := range []approvals.Person{"dba-1", "dba-2"} {
		_, err := s.Update(t.Context(), r.ID, storetest.Yes(who, now))
		a.must(err)
	}
	seq, hash, err := s.Head(t.Context())
	a.must(err)
	a.head = store.Mark{Seq: seq, Hash: hash}
	return a
}

func (a *audited) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *audited) open() *store.Store {
	a.t.Helper()
	s, err := store.Open(a.path, store.Options{})
	a.must(err)
	return s
}

// serve answers on the admin socket as a running bot does, until the test ends.
func (a *audited) serve(log auditLog) {
	a.t.Helper()
	l, err := listenAdmin(a.socket)
	a.must(err)
	a.serveOn(l, adminHandler(nil, asking{}, otpKeeper{}, log))
}

func (a *audited) serveOn(l net.Listener, h http.Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serveHTTP(ctx, l, h) }()
	a.t.Cleanup(func() { cancel(); a.must(<-served) })
}

// run runs an audit command and checks its exit code and what it says.
func (a *audited) run(code int, words string, args ...string) (out string) {
	a.t.Helper()
	got, out, errOut := runMain(a.t, append([]string{"audit"}, args...)...)
	if got != code || !strings.Contains(out+errOut, words) {
		a.t.Errorf("%v: exit code %d, want %d and %q\n%s%s", args, got, code, words, out, errOut)
	}
	return out
}

// TestAuditIsVerifiedWithAndWithoutABot: the same words from the running bot,
// from its file, and from an export.
func TestAuditIsVerifiedWithAndWithoutABot(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	head := a.head.String()
	direct := a.run(0, "3 entries fit, 1 to 3", "verify", "-c", a.config, "--head", head)
	lines := a.run(0, `{"seq":1,"prev":"","hash":"`, "export", "-c", a.config)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	a.must(os.WriteFile(file, []byte(lines), 0o600))
	if got := a.run(0, "", "verify", "--file", file, "--head", head); got != direct {
		t.Errorf("the export is described as\n%sthe file as\n%s", got, direct)
	}
	a.run(0, "No posted head was given", "verify", "-c", a.config)

	s := a.open()
	defer s.Close()
	a.serve(s)
	if got := a.run(0, "fits the posted head "+head, "verify", "-c", a.config, "--head", head); got != direct {
		t.Errorf("the running bot is described as\n%sthe file as\n%s", got, direct)
	}
	if got := a.run(0, "", "export", "-c", a.config); got != lines {
		t.Errorf("the running bot exports\n%sthe file\n%s", got, lines)
	}
	a.must(os.WriteFile(file, []byte(a.run(0, `{"seq":3,`, "export", "-c", a.config, "--after", "2")), 0o600))
	a.run(0, "It follows 2:", "verify", "--file", file)
}

func TestAuditThatDoesNotFit(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	lines := a.run(0, "", "export", "-c", a.config)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	for name, c := range map[string]struct {
		text, words string
		head        bool
		code        int
	}{
		"a changed word":    {strings.Replace(lines, "dba-2", "dba-3", 1), "doesn't fit at entry 3: its text doesn't match its hash", false, 2},
		"a line left out":   {cutLine(lines, 1), "doesn't fit at entry 2: it is missing", false, 2},
		"a line at the end": {cutLine(lines, 2), "doesn't fit at entry 3: it is missing, and so is everything up to entry 3", true, 2},
		"lines exchanged":   {cutLine(lines, 1) + strings.SplitAfter(lines, "\n")[1], "doesn't fit at entry 2", false, 2},
		"no lines":          {"", "doesn't fit at entry 1", true, 2},
		"half a line":       {lines[:len(lines)-9], "line 3 is no entry", true, 1},
	} {
		a.must(os.WriteFile(file, []byte(c.text), 0o600))
		args := []string{"verify", "--file", file}
		if c.head {
			args = append(args, "--head", a.head.String())
		}
		t.Log(name)
		a.run(c.code, c.words, args...)
	}
	a.run(1, "is no head of an audit log", "verify", "-c", a.config, "--head", "nonsense")
	a.run(1, "--config FILE is missing", "verify")
	a.run(1, "--file", "verify", "--file", file+"nowhere")

	raw, err := os.ReadFile(a.path)
	a.must(err)
	a.must(os.WriteFile(a.path, []byte(strings.ReplaceAll(string(raw), `"actor":"dba-1"`, `"actor":"dba-7"`)), 0o600))
	a.run(2, "doesn't fit at entry 2: its bytes don't match their checksum", "verify", "-c", a.config)
	a.must(os.Remove(a.path))
	a.run(1, "no such file", "verify", "-c", a.config)
	if _, err := os.Stat(a.path); !os.IsNotExist(err) {
		t.Errorf("verifying made a store: %v", err)
	}
}

func cutLine(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[:n], "") + strings.Join(lines[n+1:], "")
}

// TestAuditIsNeverHalfABotsAnswer: what breaks off on the way is not taken for
// the whole log.
func TestAuditIsNeverHalfABotsAnswer(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.serve(failingLog{})
	a.run(1, "could not read its log on: the disk is gone", "verify", "-c", a.config)

	b := newAudited(t)
	l, err := listenAdmin(b.socket)
	b.must(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", auditType)
		_, _ = io.WriteString(w, "") // and nothing behind it: no trailer
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	b.run(1, "broke off", "verify", "-c", b.config)
	held := b.open()
	defer held.Close()
	b.must(server.Close())
	b.run(1, "in use by another bot", "verify", "-c", b.config)
}

// failingLog can't be read.
type failingLog struct{}

func (failingLog) AuditEntries(context.Context, uint64, int) ([]store.AuditEntry, error) {
	return nil, errors.New("the disk\nis gone")
}

// TestAuditOfAnotherVersion says so instead of "no entries".
func TestAuditOfAnotherVersion(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	l, err := listenAdmin(a.socket)
	a.must(err)
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	a.run(1, "is it of another version?", "verify", "-c", a.config)
}
