package actions

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"twokey/approvals"
)

// LagHistory is a stretch of a pair's past as it was looked at.
type LagHistory struct {
	Pair     string
	From, To time.Time
	Samples  []Sample // oldest first
	Marks    []Mark   // oldest first
	Limits   Thresholds
}

// Mark is something that happened at a moment and explains what is seen there.
type Mark struct {
	At   time.Time
	Kind MarkKind
	Text string // a few words
}

// MarkKind is what a mark stands for.
type MarkKind string

// The kinds of marks.
const (
	MarkFailover MarkKind = "failover" // another node is the primary from here on
	MarkAlert    MarkKind = "alert"
	MarkPause    MarkKind = "pause"
)

const (
	marksOf    = 500             // events of a pair, or requests, that are looked through for marks
	sameChange = 5 * time.Minute // a new primary this close to a request is that request's doing
)

// Lag gives what is known of a pair's lag for the given time back from now.
func (d *Desk) Lag(ctx context.Context, pair string, back time.Duration) (LagHistory, error) {
	if _, err := d.pair(pair); err != nil {
		return LagHistory{}, err
	}
	now := d.now()
	h := LagHistory{Pair: pair, From: now.Add(-back), To: now, Limits: d.opt.Thresholds}
	var err error
	if h.Samples, err = d.opt.Archive.Samples(ctx, pair, h.From); err != nil {
		return h, fmt.Errorf("the samples of %s can't be read: %w", pair, err)
	}
	h.Marks, err = d.marks(ctx, h)
	return h, err
}

// marks are the pair's promotions, alerts and pauses within the stretch.
func (d *Desk) marks(ctx context.Context, h LagHistory) ([]Mark, error) {
	requests, err := d.opt.Archive.Requests(ctx, approvals.Filter{Pair: h.Pair}, marksOf)
	if err != nil {
		return nil, fmt.Errorf("the requests of %s can't be read: %w", h.Pair, err)
	}
	events, err := d.opt.Archive.EventsOf(ctx, approvals.PairSubject(h.Pair), marksOf)
	if err != nil {
		return nil, fmt.Errorf("the audit log of %s can't be read: %w", h.Pair, err)
	}
	all := changesIn(requests)
	all = append(all, strayChanges(h.Samples, all)...)
	for _, e := range events {
		if m, ok := markOf(e); ok {
			all = append(all, m)
		}
	}
	all = slices.DeleteFunc(all, func(m Mark) bool { return m.At.Before(h.From) || m.At.After(h.To) })
	slices.SortStableFunc(all, func(a, b Mark) int { return a.At.Compare(b.At) })
	return all, nil
}

// changesIn are the requests that made another node the primary.
func changesIn(requests []approvals.Request) []Mark {
	var out []Mark
	for _, r := range requests {
		if k := Kind(r.Subject.Kind); r.State == approvals.Succeeded && (k == KindSwitchover || k == KindFailover) {
			out = append(out, Mark{At: r.EndedAt, Kind: MarkFailover, Text: r.Subject.Kind})
		}
	}
	return out
}

// strayChanges are new primaries that no request made.
func strayChanges(samples []Sample, made []Mark) []Mark {
	var out []Mark
	last := ""
	for _, s := range samples {
		near := func(m Mark) bool { return m.At.Sub(s.At).Abs() < sameChange }
		if last != "" && s.Primary != "" && s.Primary != last && !slices.ContainsFunc(made, near) {
			out = append(out, Mark{At: s.At, Kind: MarkFailover, Text: fmt.Sprintf("%s became the primary, not by a request", s.Primary)})
		}
		if s.Primary != "" {
			last = s.Primary
		}
	}
	return out
}

func markOf(e approvals.Event) (Mark, bool) {
	switch e.Kind {
	case NewsAlert:
		return Mark{At: e.At, Kind: MarkAlert, Text: alertWords(e)}, true
	case NewsPaused:
		return Mark{At: e.At, Kind: MarkPause, Text: "paused by " + string(e.Actor)}, true
	}
	return Mark{}, false
}

// History lists the newest requests, of one pair or of all.
func (d *Desk) History(ctx context.Context, pair string, limit int) ([]approvals.Request, error) {
	if pair != "" {
		if _, err := d.pair(pair); err != nil {
			return nil, err
		}
	}
	return d.opt.Archive.Requests(ctx, approvals.Filter{Pair: pair}, limit)
}

// Trail is a part of the audit log, and where the log ends.
type Trail struct {
	Request *approvals.Request // whose trail it is; nil for none
	Events  []approvals.Event  // oldest first
	Left    int                // events of the request that are not among them
	Head    uint64
	Hash    string // of the last event
}

// Audit gives the newest entries of the audit log; with ref those of the request
// that has this id or whose id ends with it, or the one entry of that number.
func (d *Desk) Audit(ctx context.Context, ref string, limit int) (Trail, error) {
	var t Trail
	var err error
	if t.Head, t.Hash, err = d.opt.Archive.Head(ctx); err != nil {
		return t, err
	}
	if ref == "" {
		t.Events, err = d.opt.Archive.EventsAfter(ctx, t.Head-min(t.Head, uint64(limit)), limit)
		return t, err
	}
	if seq, err := strconv.ParseUint(ref, 10, 64); err == nil && (seq <= t.Head || len(ref) < leastSuffix) { // else the end of an id
		return d.auditEntry(ctx, t, seq)
	}
	r, err := d.named(ctx, ref)
	switch {
	case approvals.Refused(err) == approvals.CodeUnknown:
		return t, &approvals.Refusal{Code: approvals.CodeUnknown, Message: fmt.Sprintf(
			"There is no request whose id is or ends with %q, and no audit entry of that number; the last one is %d. `history` lists the requests.", ref, t.Head)}
	case err != nil:
		return t, err
	}
	t.Request = &r
	all, err := d.opt.Archive.EventsOf(ctx, approvals.RequestSubject(r.ID), maxTrail)
	t.Left = max(0, len(all)-limit)
	t.Events = all[t.Left:]
	return t, err
}

const maxTrail = 10_000 // events of one request; a failover has about fifty

func (d *Desk) auditEntry(ctx context.Context, t Trail, seq uint64) (Trail, error) {
	if seq == 0 || seq > t.Head {
		return t, refuse("There is no audit entry %d; the last one is %d.", seq, t.Head)
	}
	var err error
	t.Events, err = d.opt.Archive.EventsAfter(ctx, seq-1, 1)
	return t, err
}

const (
	leastSuffix = 4   // characters of an id that name a request
	lookBack    = 200 // requests among which an end of an id is looked for
)

// named finds a request by its id or the end of it.
func (d *Desk) named(ctx context.Context, ref string) (approvals.Request, error) {
	if len(ref) < leastSuffix {
		return approvals.Request{}, refuse("%q is too short; give at least the last %d characters of a request's id.", ref, leastSuffix)
	}
	all, err := d.opt.Archive.Requests(ctx, approvals.Filter{}, lookBack)
	if err != nil {
		return approvals.Request{}, err
	}
	ref = strings.ToUpper(ref)
	found := slices.DeleteFunc(all, func(r approvals.Request) bool { return !strings.HasSuffix(strings.ToUpper(r.ID), ref) })
	switch len(found) {
	case 0:
		return d.opt.Store.Request(ctx, ref)
	case 1:
		return found[0], nil
	}
	return approvals.Request{}, refuse("%d requests end with %s. Give more of the id.", len(found), ref)
}
