package postgres

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions"
)

//go:embed observe.sql
var observeSQL string

// helpers are the functions of schema twokey that the bot needs.
func helpers() []string {
	return []string{"ensure_slot", "drop_slot", "resume_replay", "end_standby_sessions", "timeline_history"}
}

// errGarbled marks an answer that can't be understood.
var errGarbled = errors.New("the answer can't be understood")

// Observe asks everything in one query on a kept session, within the deadline
// for observations or that of ctx, whichever ends first. It never fails as a
// call: what went wrong is in the observation.
func (n *Node) Observe(ctx context.Context) actions.Observation {
	ctx, cancel := context.WithTimeout(ctx, n.opt.Timeouts.Observe)
	defer cancel()
	o := actions.Observation{Node: n.opt.Node.Name, At: n.opt.Now()}
	server, err := n.observe(ctx)
	if err != nil {
		o.Failure = classify(err)
	} else {
		server.Unlogged = n.countUnlogged(ctx)
		n.countWaiting(ctx, server)
		o.Server = server
	}
	o.Took = n.opt.Now().Sub(o.At)
	return o
}

// observeTries bounds how often a look is repeated: because its session had
// outlived a reload, or because the server was promoted in the middle of it.
const observeTries = 3

func (n *Node) observe(ctx context.Context) (*actions.Server, error) {
	var doc *document
	for try := range observeTries {
		var err error
		last := try == observeTries-1
		doc, err = n.ask(ctx)
		if stateOf(err) == stateNotInRecovery && !last {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !doc.stale() {
			break
		}
	}
	return &doc.Server, nil
}

// document is what the query answers.
type document struct {
	actions.Server
	SessionStart time.Time `json:"session_start"`
}

// stale says that the session was there before the configuration that it
// reports: it has applied a reload by itself, and gives the moment at which it
// did so, not the server's. A new session inherits the server's.
func (d *document) stale() bool { return d.ConfLoaded.After(d.SessionStart) }

func (n *Node) ask(ctx context.Context) (*document, error) {
	var doc document
	err := n.look(ctx, func(s *session) error {
		var raw []byte
		row := s.conn.QueryRow(ctx, observeSQL, actions.SettingNames(), helpers(), n.opt.AppDatabase, s.settings == nil)
		if err := row.Scan(&raw); err != nil {
			return err
		}
		doc = document{}
		if err := json.Unmarshal(raw, &doc); err != nil {
			return fmt.Errorf("%w: %w", errGarbled, err)
		}
		s.complete(&doc)
		return nil
	})
	return &doc, err
}

// complete fills in the settings that the session was found to have. They
// can't have changed since: what it sees changes with a reload alone, and a
// session that has applied one is not kept.
func (s *session) complete(doc *document) {
	s.spent = s.spent || doc.stale()
	if s.settings == nil {
		s.settings, s.pending = doc.Settings, doc.PendingRestart
	}
	doc.Settings, doc.PendingRestart = maps.Clone(s.settings), slices.Clone(s.pending)
}

func stateOf(err error) string {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
