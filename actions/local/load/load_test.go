package load_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions/local/janitor"
	"twokey/actions/local/load"
	"twokey/actions/local/sandbox"
)

func TestMain(m *testing.M) {
	janitor.MaybeRun()
	os.Exit(m.Run())
}

// bench is a pair with the load's table, and a superuser's session.
type bench struct {
	t     *testing.T
	ctx   context.Context
	pair  *sandbox.Pair
	admin *pgx.Conn
	opt   load.Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	pair, err := sandbox.New(ctx, sandbox.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pair.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, ctx: ctx, pair: pair}
	b.admin, err = pgx.Connect(ctx, pair.Nodes[0].AdminURL(pair.Database))
	b.must(err)
	t.Cleanup(func() { _ = b.admin.Close(context.Background()) }) // its server may be gone
	b.exec("CREATE TABLE w (id bigint PRIMARY KEY)")
	b.exec("GRANT SELECT, INSERT ON w TO " + sandbox.AppRole)
	cfg, err := pgx.ParseConfig(pair.AppURL())
	b.must(err)
	b.opt = load.Options{Config: cfg, Table: pgx.Identifier{"w"}, Sessions: 3, Every: time.Millisecond, Patience: 5 * time.Second}
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) exec(text string) {
	b.t.Helper()
	_, err := b.admin.Exec(b.ctx, text)
	b.must(err)
}

// TestLostRowsAreFound: the oracle that finds nothing must be able to.
func TestLostRowsAreFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := load.Start(b.ctx, b.opt)
	b.must(l.Until(b.ctx, 50))
	tally := l.Stop()
	lost, err := l.Lost(b.ctx, b.admin)
	b.must(err)
	if len(lost) != 0 || tally.Acknowledged < 50 {
		t.Fatalf("of %d acknowledged rows %v are lost", tally.Acknowledged, lost)
	}
	b.exec("DELETE FROM w WHERE id IN (SELECT min(id) FROM w)")
	if lost, err = l.Lost(b.ctx, b.admin); err != nil || len(lost) != 1 {
		t.Errorf("one acknowledged row was deleted, %v are found lost (%v)", lost, err)
	}
}

// TestCancelledWaitIsNotAcknowledged: with the standby gone a commit waits; who
// cancels the wait gets success with a warning, and that is no acknowledgement.
func TestCancelledWaitIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := load.Start(b.ctx, b.opt)
	b.must(l.Until(b.ctx, 20))
	b.must(b.pair.Node("dc2").Server.Kill(b.ctx))
	for l.Tally().NotCovered == 0 {
		b.must(b.ctx.Err())
		b.exec("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	}
	l.Stop()
	if lost, err := l.Lost(b.ctx, b.admin); err != nil || len(lost) != 0 {
		t.Errorf("lost %v, %v", lost, err)
	}
}

// TestPauseIsTheLongestSilence: while the primary is frozen nobody is
// acknowledged, and that is what Pause measures.
func TestPauseIsTheLongestSilence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := load.Start(b.ctx, b.opt)
	b.must(l.Until(b.ctx, 20))
	primary := b.pair.Node("dc1").Server
	b.must(primary.Freeze(b.ctx))
	frozen := time.Now()
	before := l.Tally().Acknowledged
	timer := time.NewTimer(300 * time.Millisecond) // the length of the silence is what is tested
	<-timer.C
	b.must(primary.Thaw(b.ctx))
	silence := time.Since(frozen)
	b.must(l.Until(b.ctx, 20))
	l.Stop()
	if got := l.Pause(frozen, time.Time{}); got < silence*9/10 {
		t.Errorf("a silence of %s after %d rows was measured as %s", silence, before, got)
	}
	if got := l.Pause(time.Time{}, frozen.Add(-time.Second)); got >= silence {
		t.Errorf("the silence is counted in a time before it: %s", got)
	}
}
