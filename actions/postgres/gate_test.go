package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/actions/postgres"
)

func TestRecordPositionsAreEachOthersInverse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		segment := uint64(1) << rapid.IntRange(20, 30).Draw(t, "segment bits")
		start := actions.LSN(rapid.Uint64Range(2, 1<<40).Draw(t, "start/8") * 8)
		header := uint64(24)
		if page := uint64(start) / 8192 * 8192; page%segment == 0 {
			header = 40
		}
		if uint64(start)%8192 < header {
			t.Skip("no record begins in a page's header")
		}
		end := postgres.RecordEnd(start, postgres.ShutdownCheckLen, segment)
		if got := postgres.ShutdownStart(end, segment); got != start {
			t.Fatalf("a record from %s to %s is said to begin at %s (segments of %d)", start, end, got, segment)
		}
	})
}

// The gate is asked in both ways throughout: with pg_walinspect and without.
func bothWays(t *testing.T, settings map[string]string, test func(t *testing.T, p *bundle, gate func(context.Context) (actions.WALEnd, error))) {
	for name, without := range map[string]bool{"with pg_walinspect": false, "by the control file": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newBundle(t, settings)
			test(t, p, func(ctx context.Context) (actions.WALEnd, error) {
				if without {
					server(t, p.b) // so that there is a kept session
					p.b.WithoutWALInspect()
				}
				return p.b.LastRecord(ctx)
			})
		})
	}
}

func (p *bundle) stop(t testing.TB, i int) {
	t.Helper()
	must(t, p.Nodes[i].Server.StopFast(t.Context()))
}

func TestLastRecordIsTheShutdownCheckpointFromACleanStopToTheRestart(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{
		"plainly": nil,
		"with an archive, where the stop switches to a new segment first": {"archive_mode": "on", "archive_command": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, settings, func(t *testing.T, p *bundle, gate func(context.Context) (actions.WALEnd, error)) {
				p.admin(t, 0, p.Database, "CREATE TABLE w (id int)", "INSERT INTO w SELECT generate_series(1, 1000)")
				mark := server(t, p.a).FlushLSN
				if end, err := gate(t.Context()); err != nil || end.Shutdown {
					t.Fatalf("while the primary runs: %+v, %v", end, err)
				}
				p.stop(t, 0)
				var end actions.WALEnd
				eventually(t, "the gate is passed", func() bool {
					var err error
					end, err = gate(t.Context())
					must(t, err)
					return end.Shutdown
				})
				if end.LSN < mark || end.End <= end.LSN || end.End-end.LSN > 256 || end.Timeline != 1 {
					t.Errorf("the end is %+v, the primary had flushed %s before its stop", end, mark)
				}
				if b := server(t, p.b); b.ReplayLSN != end.End {
					t.Errorf("replayed to %s, the record ends at %s", b.ReplayLSN, end.End)
				}
				again, err := gate(t.Context())
				if err != nil || again != end {
					t.Errorf("asked again: %+v, %v", again, err)
				}

				// An old shutdown checkpoint with anything behind it is not the end.
				_, err = p.Nodes[0].Server.Start(t.Context())
				must(t, err)
				must(t, p.Nodes[0].Server.WaitReady(t.Context()))
				p.admin(t, 0, "postgres", "SELECT pg_logical_emit_message(true, 'twokey', 'after the restart')")
				eventually(t, "the message has come over", func() bool {
					end, err := gate(t.Context())
					must(t, err)
					return !end.Shutdown
				})
			})
		})
	}
}

func TestLastRecordIsNoShutdownCheckpointAfterACrash(t *testing.T) {
	t.Parallel()
	bothWays(t, nil, func(t *testing.T, p *bundle, gate func(context.Context) (actions.WALEnd, error)) {
		p.admin(t, 0, p.Database, "CREATE TABLE w (id int)", "CHECKPOINT", "INSERT INTO w VALUES (1)", "CHECKPOINT")
		must(t, p.Nodes[0].Server.Kill(t.Context()))
		eventually(t, "the receiver has noticed", func() bool { return server(t, p.b).Receiver == nil })
		end, err := gate(t.Context())
		if err != nil || end.Shutdown || end.End == 0 {
			t.Errorf("after a crash right behind a checkpoint: %+v, %v", end, err)
		}
	})
}

func TestLastRecordLargerThanAPageIsNotMistaken(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	// A commit record names its subtransactions: this one has some 16 kB.
	p.admin(t, 0, p.Database, "CREATE TABLE w (id int)", `DO $$ BEGIN FOR i IN 1..4000 LOOP
		BEGIN INSERT INTO w VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$`)
	must(t, p.Nodes[0].Server.Kill(t.Context()))
	eventually(t, "the receiver has noticed", func() bool { return server(t, p.b).Receiver == nil })
	end, err := p.b.LastRecord(t.Context())
	if err != nil || end.Shutdown || end.End == 0 {
		t.Errorf("%+v, %v", end, err)
	}
}

func TestOnlineCheckpointsNeverLookLikeAStop(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	admin := p.adminConn(t, 0, "postgres")
	for range 5 { // on an idle server there is nothing else between two checkpoints
		must(t, p.a.Checkpoint(t.Context()))
		if ask[bool](t, admin, "SELECT checkpoint_lsn = redo_lsn FROM pg_control_checkpoint()") {
			t.Fatal("an online checkpoint's redo position is its own start")
		}
	}
}

func BenchmarkLastRecord(b *testing.B) {
	for name, without := range map[string]bool{"walinspect": false, "control": true} {
		b.Run(name, func(b *testing.B) {
			p := newBundle(b, nil)
			p.stop(b, 0)
			server(b, p.b)
			if without {
				p.b.WithoutWALInspect()
			}
			eventually(b, "the gate is passed", func() bool {
				end, err := p.b.LastRecord(b.Context())
				must(b, err)
				return end.Shutdown
			})
			for b.Loop() {
				if end, err := p.b.LastRecord(b.Context()); err != nil || !end.Shutdown {
					b.Fatal(end, err)
				}
			}
		})
	}
}

// FuzzParseHistory: whatever the file holds, either an error or rising timelines.
func FuzzParseHistory(f *testing.F) {
	f.Add("1\t0/3000000\tno recovery target specified\n")
	f.Add("# comment\n\n1 0/1 a\n2\tA/FFFFFFFF\tb\n")
	f.Add("1\t0/3000000")
	f.Add("2 0/3 x\n1 0/4 y\n")
	f.Add("4294967296 0/1 x")
	f.Add("1 \x00")
	f.Fuzz(func(t *testing.T, file string) {
		forks, err := postgres.ParseHistory(file)
		if err != nil {
			if len(forks) > 0 {
				t.Errorf("an error and forks: %v, %v", forks, err)
			}
			return
		}
		if len(forks) == 0 {
			t.Error("neither forks nor an error")
		}
		var again strings.Builder
		for i, k := range forks {
			if k.Parent == 0 || i > 0 && (k.Parent <= forks[i-1].Parent || k.At < forks[i-1].At) {
				t.Errorf("forks don't rise: %v", forks)
			}
			again.WriteString(strings.Join([]string{fmt.Sprint(k.Parent), k.At.String(), "again"}, "\t") + "\n")
		}
		back, err := postgres.ParseHistory(again.String())
		if err != nil || len(back) != len(forks) {
			t.Errorf("written out and read again: %v, %v", back, err)
		}
	})
}

func TestForksComeFromTheServersOwnHistory(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	if forks, err := p.a.Forks(t.Context(), 1); err != nil || len(forks) != 0 {
		t.Errorf("the first timeline: %v, %v", forks, err)
	}
	if _, err := p.a.Forks(t.Context(), 9); err == nil {
		t.Error("a timeline that doesn't exist has a history")
	}
	p.stop(t, 0)
	var end actions.WALEnd
	eventually(t, "the gate is passed", func() bool {
		var err error
		end, err = p.b.LastRecord(t.Context())
		must(t, err)
		return end.Shutdown
	})
	must(t, locked(t, p.b).Promote(timeout(t, 30*time.Second)))
	tl := server(t, p.b).Timeline
	forks, err := p.b.Forks(t.Context(), tl)
	if err != nil || len(forks) != 1 || forks[0].Parent != 1 || forks[0].At < end.End {
		t.Errorf("timeline %d, gate %+v, forks %v, %v", tl, end, forks, err)
	}
}
