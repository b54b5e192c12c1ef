package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/postgres"
)

func lockIsHeldByOneAtATime(t *testing.T, p *bundle) {
	for what, n := range map[string]*postgres.Node{"primary": p.a, "standby": p.b} {
		first, err := n.Lock(t.Context(), 42)
		must(t, err)
		must(t, first.Alive(t.Context()))
		if _, err := n.Lock(t.Context(), 42); !errors.Is(err, actions.ErrLocked) {
			t.Errorf("%s: a second lock: %v", what, err)
		}
		other, err := n.Lock(t.Context(), 43)
		if err != nil {
			t.Errorf("%s: another pair's lock: %v", what, err)
		} else {
			other.Close()
		}
		first.Close()
		first.Close() // twice is as good as once
		if first.Alive(t.Context()) == nil || first.Freeze(t.Context()) == nil || first.Promote(t.Context()) == nil {
			t.Errorf("%s: a closed session still works", what)
		}
		eventually(t, "the lock is free", func() bool {
			s, err := n.Lock(t.Context(), 42)
			if err == nil {
				s.Close()
			}
			return err == nil
		})
	}
}

func lockThatIsLostStopsEverything(t *testing.T, p *bundle) {
	s := locked(t, p.b)
	p.admin(t, 1, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'twokey_bot'")
	if err := s.Alive(t.Context()); err == nil {
		t.Error("the lock is said to be alive")
	}
	if err := s.Promote(t.Context()); err == nil || isUncertain(err) {
		t.Errorf("promotion without the lock: %v", err)
	}
	if !server(t, p.b).InRecovery {
		t.Error("it was promoted without the lock")
	}
}

func freezeStopsAcknowledgementsUntilTheThaw(t *testing.T, p *bundle) {
	p.admin(t, 0, p.Database, "CREATE TABLE w (id int)")
	slot := server(t, p.b).Settings["primary_slot_name"]
	s := locked(t, p.b)
	if frozen, err := s.Frozen(t.Context()); err != nil || frozen {
		t.Fatalf("before the freeze: %v, %v", frozen, err)
	}
	must(t, s.Freeze(timeout(t, 20*time.Second)))
	must(t, s.Freeze(timeout(t, 20*time.Second))) // again is fine
	if frozen, err := s.Frozen(t.Context()); err != nil || !frozen {
		t.Fatalf("after the freeze: %v, %v", frozen, err)
	}
	if b := server(t, p.b); b.Receivers != 0 || b.ConninfoSet || b.Settings["primary_slot_name"] != slot {
		t.Errorf("frozen: %d receivers, conninfo %v, slot %q", b.Receivers, b.ConninfoSet, b.Settings["primary_slot_name"])
	}
	writer := p.adminConn(t, 0, p.Database)
	wrote := make(chan error, 1)
	go func() {
		_, err := writer.Exec(t.Context(), "INSERT INTO w VALUES (1)")
		wrote <- err
	}()
	eventually(t, "the commit waits", func() bool { return server(t, p.a).SyncWaiters == 1 })
	must(t, s.Thaw(timeout(t, 20*time.Second)))
	must(t, <-wrote)
	if frozen, err := s.Frozen(t.Context()); err != nil || frozen {
		t.Errorf("after the thaw: %v, %v", frozen, err)
	}
}

func freezeOutlivesARestart(t *testing.T, p *bundle) {
	s, err := p.b.Lock(t.Context(), 1)
	must(t, err)
	must(t, s.Freeze(timeout(t, 20*time.Second)))
	s.Close()
	p.stop(t, 1)
	_, err = p.Nodes[1].Server.Start(t.Context())
	must(t, err)
	must(t, p.Nodes[1].Server.WaitReady(t.Context()))
	if frozen, err := locked(t, p.b).Frozen(t.Context()); err != nil || !frozen {
		t.Errorf("after a restart: %v, %v", frozen, err)
	}
}

func freezeLetsPausedReplayGoOn(t *testing.T, p *bundle) {
	p.admin(t, 1, "postgres", "SELECT pg_wal_replay_pause()")
	eventually(t, "replay is paused", func() bool { return server(t, p.b).ReplayPause == "paused" })
	s := locked(t, p.b)
	must(t, s.Freeze(timeout(t, 20*time.Second)))
	if b := server(t, p.b); b.Receivers != 0 || b.ReplayPause != "not paused" {
		t.Errorf("%d receivers, replay %s", b.Receivers, b.ReplayPause)
	}
}

func freezeEndsTheSessionsThatHoldUpReplay(t *testing.T, p *bundle) {
	p.admin(t, 0, p.Database, "CREATE TABLE held (id int)", "INSERT INTO held SELECT generate_series(1, 100)")
	eventually(t, "the rows are over", func() bool { return server(t, p.b).ReplayLSN >= server(t, p.a).FlushLSN })
	holder := p.adminConn(t, 1, p.Database) // a superuser's: pg_signal_backend wouldn't reach it
	ask[int](t, holder, "SELECT 1")
	for _, q := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM held"} {
		_, err := holder.Exec(t.Context(), q)
		must(t, err)
	}
	p.admin(t, 0, p.Database, "DELETE FROM held", "VACUUM held")
	eventually(t, "replay waits for the session", func() bool { return server(t, p.b).ReplayConflict })
	must(t, locked(t, p.b).Freeze(timeout(t, 20*time.Second)))
	if b := server(t, p.b); b.Receivers != 0 || b.ReplayConflict {
		t.Errorf("%d receivers, conflict %v", b.Receivers, b.ReplayConflict)
	}
	if _, err := holder.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the session that held up replay is still there")
	}
}

func sessionsOutsideATransactionAreLeftAlone(t *testing.T, p *bundle) {
	idle, busy := p.adminConn(t, 1, p.Database), p.adminConn(t, 1, p.Database)
	_, err := busy.Exec(t.Context(), "BEGIN")
	must(t, err)
	bot, err := pgx.Connect(t.Context(), p.Nodes[1].BotURL("twokey"))
	must(t, err)
	defer bot.Close(context.Background())
	if n := ask[int](t, bot, "SELECT twokey.end_standby_sessions()"); n != 1 {
		t.Errorf("%d sessions were ended", n)
	}
	ask[int](t, idle, "SELECT 1")
	primary, err := pgx.Connect(t.Context(), p.Nodes[0].BotURL("twokey"))
	must(t, err)
	defer primary.Close(context.Background())
	if n := ask[int](t, primary, "SELECT twokey.end_standby_sessions()"); n != 0 {
		t.Errorf("%d sessions of the primary were ended", n)
	}
}

// With its startup process held, a standby can't stop its receiver.
func freezeThatDoesNotTakeIsNotFrozen(t *testing.T, p *bundle) {
	s := locked(t, p.b)
	release := holdProcess(t, p, 1, "startup")
	err := s.Freeze(timeout(t, 500*time.Millisecond))
	if !errors.Is(err, actions.ErrNotFrozen) || !isUncertain(err) {
		t.Errorf("%v", err)
	}
	must(t, s.Alive(t.Context())) // the deadline didn't cost the lock
	release()
	eventually(t, "it takes effect later", func() bool {
		frozen, err := s.Frozen(t.Context())
		must(t, err)
		return frozen
	})
}

// Each thaws again, or leaves that to the next one's beginning.
func TestFreeze(t *testing.T) {
	t.Parallel()
	inTurn(t, newBundle(t, map[string]string{"max_standby_streaming_delay": "-1"}), []step{
		{"of a primary it is refused", freezeOfAPrimaryIsRefused},
		{"it stops acknowledgements until the thaw", freezeStopsAcknowledgementsUntilTheThaw},
		{"it lets paused replay go on", freezeLetsPausedReplayGoOn},
		{"sessions outside of a transaction are left alone", sessionsOutsideATransactionAreLeftAlone},
		{"it ends the sessions that hold up replay", freezeEndsTheSessionsThatHoldUpReplay},
		{"one that does not take is not called one", freezeThatDoesNotTakeIsNotFrozen},
		{"it outlives a restart", freezeOutlivesARestart},
	})
}

func freezeOfAPrimaryIsRefused(t *testing.T, p *bundle) {
	s := locked(t, p.a)
	if err := s.Freeze(t.Context()); err == nil || isUncertain(err) {
		t.Errorf("%v", err)
	}
	if !server(t, p.a).ConninfoSet {
		t.Error("its primary_conninfo was touched all the same")
	}
}

func TestThawWithoutAConfiguredConninfoSaysSo(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	s := locked(t, p.b)
	must(t, s.Freeze(timeout(t, 20*time.Second)))
	must(t, p.Nodes[1].Server.User.WriteFile(p.Nodes[1].Dir+"/replication.conf", nil, 0o600))
	if err := s.Thaw(timeout(t, 500*time.Millisecond)); err == nil {
		t.Error("a thaw without anything to stream from is called a success")
	}
}

func TestPromotionHappensInTheLockingSession(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	must(t, p.Nodes[0].Server.Kill(t.Context()))
	s := locked(t, p.b)
	must(t, s.Freeze(timeout(t, 20*time.Second)))
	must(t, s.Promote(timeout(t, 30*time.Second)))
	must(t, s.Promote(timeout(t, 30*time.Second))) // it is one already
	must(t, s.Alive(t.Context()))
	must(t, s.Thaw(timeout(t, 20*time.Second)))
	must(t, p.b.ProbeWrite(timeout(t, 20*time.Second)))
	if b := server(t, p.b); b.InRecovery || b.Timeline != 2 {
		t.Errorf("in recovery %v, timeline %d", b.InRecovery, b.Timeline)
	}
	if _, err := p.b.Lock(t.Context(), 77); !errors.Is(err, actions.ErrLocked) {
		t.Errorf("the lock did not survive the promotion: %v", err)
	}
}

func TestPromotionThatAnswersLateIsUncertainAndHappens(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	s := locked(t, p.b)
	release := holdProcess(t, p, 1, "startup")
	if err := s.Promote(timeout(t, 300*time.Millisecond)); !isUncertain(err) {
		t.Errorf("%v", err)
	}
	release()
	eventually(t, "it is promoted later", func() bool { return !server(t, p.b).InRecovery })
}

func TestPromotionWithoutTheRightIsACertainFailure(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	p.admin(t, 0, "twokey", "REVOKE EXECUTE ON FUNCTION pg_promote(boolean, integer) FROM twokey_bot")
	eventually(t, "the standby knows", func() bool {
		return slices.Contains(server(t, p.b).Rights, "EXECUTE on pg_promote")
	})
	if err := locked(t, p.b).Promote(t.Context()); err == nil || isUncertain(err) {
		t.Errorf("%v", err)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	inTurn(t, newBundle(t, nil), []step{
		{"an ended context starts nothing", canceledContextStartsNothing},
		{"it is held by one at a time", lockIsHeldByOneAtATime},
		{"one that is lost stops everything", lockThatIsLostStopsEverything},
	})
}

func canceledContextStartsNothing(t *testing.T, p *bundle) {
	s := locked(t, p.b)
	why := errors.New("the other lock is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for what, err := range map[string]error{"freeze": s.Freeze(ctx), "promote": s.Promote(ctx), "thaw": s.Thaw(ctx), "alive": s.Alive(ctx)} {
		if !errors.Is(err, why) || isUncertain(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if b := server(t, p.b); !b.InRecovery || !b.ConninfoSet {
		t.Error("something was done")
	}
	must(t, s.Alive(t.Context()))
}
