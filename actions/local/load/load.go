// Package load is a write load that remembers, row by row, what it was told:
// acknowledged, surely not written, or unknown. After a failover it is the
// oracle that says whether an acknowledged row is missing, and for how long
// nobody was acknowledged.
//
// What counts as acknowledged: a commit that returned without an error and
// without the warning that its wait for the standby was cancelled (that one is
// durable on the primary alone, so it is "not covered"). An error after the
// statement was sent leaves the row unknown: it may be there or not, both are
// right. Each row has an id of its own and is tried once.
package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Options say what is written where.
type Options struct {
	// Config is how to connect: all hosts of the pair, read-write wanted.
	Config *pgx.ConnConfig
	// Table has a bigint primary key named id.
	Table pgx.Identifier
	// Sessions write beside each other.
	Sessions int
	// Every is the pause between two rows of a session, 0 for none.
	Every time.Duration
	// Patience bounds one attempt, so that a blocked commit becomes unknown.
	Patience time.Duration
	// From is the lowest id, so that several loads can share a table.
	From int64
	// Stay keeps a connection on which a row was refused: for a load of one node, whose role may change.
	Stay bool
}

// Ack is one acknowledged row. Server is the address that acknowledged it; the
// commit happened between Sent and Returned.
type Ack struct {
	ID             int64
	Server         string
	Sent, Returned time.Time
}

// Load is a running write load.
type Load struct {
	opt    Options
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	acks   []Ack
	unsure []int64
	open   []int64
	tally  Tally
}

// Tally counts rows by what is known of them.
type Tally struct {
	Acknowledged int // must be there
	Unknown      int // may be there
	NotCovered   int // acknowledged by a cancelled wait: may be lost
	Refused      int // surely not there
}

// Start begins to write; Stop must be called.
func Start(ctx context.Context, opt Options) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{opt: opt, cancel: cancel}
	for i := range opt.Sessions {
		l.done.Go(func() { l.session(ctx, opt.From+int64(i)) })
	}
	return l
}

// Stop ends the load and returns what is known.
func (l *Load) Stop() Tally {
	l.cancel()
	l.done.Wait()
	return l.Tally()
}

// Tally is what is known so far.
func (l *Load) Tally() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally
}

// session writes ids first, first+Sessions, … over one connection after the other.
func (l *Load) session(ctx context.Context, first int64) {
	next := first
	for ctx.Err() == nil {
		next = l.connection(ctx, next)
		pause(ctx, reconnectPause)
	}
}

// reconnectPause keeps a refused connection from spinning.
const reconnectPause = 2 * time.Millisecond

// connection writes until something fails, and returns the next unused id.
func (l *Load) connection(ctx context.Context, next int64) int64 {
	warned := false
	cfg := l.opt.Config.Copy()
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { warned = warned || n.Code == "01000" }
	cctx, cancel := context.WithTimeout(ctx, l.opt.Patience)
	conn, err := pgx.ConnectConfig(cctx, cfg)
	cancel()
	if err != nil {
		return next
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it may be broken already
	insert := fmt.Sprintf("INSERT INTO %s (id) VALUES ($1)", l.opt.Table.Sanitize())
	for ctx.Err() == nil {
		id := next
		next += int64(l.opt.Sessions)
		warned = false
		if !l.one(ctx, conn, insert, id, &warned) {
			return next
		}
		pause(ctx, l.opt.Every)
	}
	return next
}

// one tries one row and says whether the connection is still good.
func (l *Load) one(ctx context.Context, conn *pgx.Conn, insert string, id int64, warned *bool) bool {
	ctx, cancel := context.WithTimeout(ctx, l.opt.Patience)
	defer cancel()
	ack := Ack{ID: id, Server: conn.PgConn().Conn().RemoteAddr().String(), Sent: time.Now()}
	_, err := conn.Exec(ctx, insert, id)
	ack.Returned = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil && *warned:
		l.tally.NotCovered++
		l.open = append(l.open, id)
	case err == nil:
		l.tally.Acknowledged++
		l.acks = append(l.acks, ack)
	case surelyNot(err):
		l.tally.Refused++
		return l.opt.Stay && !conn.IsClosed() // else: one that is refused once may be to the wrong node now
	default:
		l.tally.Unknown++
		l.unsure = append(l.unsure, id)
		return false
	}
	return true
}

// surelyNot says whether a failed statement certainly wrote nothing: the server
// refused it before its commit. 57P01 (the server shuts down) is not among them:
// it can come after the commit was written. Nor is the driver's word that a
// statement was never sent: it gives it also for a connection that broke while
// the answer was awaited.
func surelyNot(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"25006", "57P03", "23505", "53300"}, pg.Code)
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Pause is the longest silence between two acknowledgements in [from, to],
// the time from the last one before from included. Zero times mean always.
func (l *Load) Pause(from, to time.Time) time.Duration {
	longest, _ := l.Silence(from, to)
	return longest
}

// Silence is Pause with the moment of the acknowledgement before it.
func (l *Load) Silence(from, to time.Time) (longest time.Duration, since time.Time) {
	times := l.acknowledged()
	for i := 1; i < len(times); i++ {
		inside := (from.IsZero() || !times[i].Before(from)) && (to.IsZero() || !times[i-1].After(to))
		if gap := times[i].Sub(times[i-1]); inside && gap > longest {
			longest, since = gap, times[i-1]
		}
	}
	return longest, since
}

// Next is the moment of the first acknowledgement after from, zero when there
// is none.
func (l *Load) Next(from time.Time) time.Time {
	for _, at := range l.acknowledged() {
		if at.After(from) {
			return at
		}
	}
	return time.Time{}
}

// acknowledged are the moments of all acknowledgements, in order.
func (l *Load) acknowledged() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := make([]time.Time, 0, len(l.acks))
	for _, a := range l.acks {
		times = append(times, a.Returned)
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// Lost reads the table and returns the acknowledged ids that are not in it.
func (l *Load) Lost(ctx context.Context, conn *pgx.Conn) ([]int64, error) {
	rows, err := conn.Query(ctx, "SELECT id FROM "+l.opt.Table.Sanitize())
	if err != nil {
		return nil, fmt.Errorf("the written rows can't be read: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("the written rows can't be read: %w", err)
	}
	there := make(map[int64]bool, len(ids))
	for _, id := range ids {
		there[id] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost []int64
	for _, a := range l.acks {
		if !there[a.ID] {
			lost = append(lost, a.ID)
		}
	}
	return lost, nil
}

// Acks are the acknowledged rows so far, in the order in which their answers came.
func (l *Load) Acks() []Ack {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acks)
}

// Doubtful are the rows that may be there or not: those whose fate is unknown,
// and those that were acknowledged by a cancelled wait and are not covered.
func (l *Load) Doubtful() (unknown, notCovered []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.unsure), slices.Clone(l.open)
}

// Until waits until the load has been acknowledged n more times than now.
func (l *Load) Until(ctx context.Context, n int) error {
	want := l.Tally().Acknowledged + n
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.Tally().Acknowledged < want {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the load was not acknowledged %d more times: %w", n, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
