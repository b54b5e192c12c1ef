package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/actions/local/sandbox"
)

// floor is the least that a switch takes on a pair: orders to the processes and
// to the servers, no check, no record, no lock. It shares no code with what it
// is measured against, but for bringing the pair back in order afterwards.
type floor struct {
	b    *testing.B
	pair *sandbox.Pair
	at   int // index of the primary
}

func (f *floor) from() *sandbox.Node { return f.pair.Nodes[f.at] }
func (f *floor) to() *sandbox.Node   { return f.pair.Nodes[1-f.at] }

func (f *floor) must(err error) {
	f.b.Helper()
	if err != nil {
		f.b.Fatal(err)
	}
}

func (f *floor) admin(ctx context.Context, n *sandbox.Node) *pgx.Conn {
	f.b.Helper()
	c, err := pgx.Connect(ctx, n.AdminURL("postgres"))
	f.must(err)
	return c
}

func (f *floor) run(ctx context.Context, c *pgx.Conn, statements ...string) {
	f.b.Helper()
	for _, s := range statements {
		_, err := c.Exec(ctx, s, pgx.QueryExecModeExec)
		f.must(err)
	}
}

// until polls every 2 ms until the query says true.
func (f *floor) until(ctx context.Context, c *pgx.Conn, query string) {
	f.b.Helper()
	for ctx.Err() == nil {
		var is bool
		f.must(c.QueryRow(ctx, query).Scan(&is))
		if is {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	f.must(fmt.Errorf("%w: %s", context.Cause(ctx), query))
}

const (
	promotion = "SELECT pg_promote(wait => false)"
	risen     = "SELECT NOT pg_is_in_recovery()"
	followed  = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')"
	waitedFor = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync')"
)

// prepare does before the pause what also the product does there: the slot, the
// names, small checkpoints. The session on the new primary stays open.
func (f *floor) prepare(ctx context.Context, after actions.After) *pgx.Conn {
	f.b.Helper()
	old, c := f.admin(ctx, f.from()), f.admin(ctx, f.to())
	f.slot(ctx, c)
	if after == actions.Degrade {
		f.run(ctx, c, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	}
	f.run(ctx, old, "CHECKPOINT")
	f.run(ctx, c, "CHECKPOINT")
	f.run(ctx, old, "CHECKPOINT")
	f.must(old.Close(ctx))
	return c
}

// slot makes the old primary's slot on the new one, anew: one that was made
// unreserved on a standby keeps nothing.
func (f *floor) slot(ctx context.Context, c *pgx.Conn) {
	f.b.Helper()
	f.run(ctx, c,
		"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '"+f.from().Slot()+"'",
		"SELECT pg_create_physical_replication_slot('"+f.from().Slot()+"', true)")
}

// switchover stops the primary, starts it as a standby by cascade and promotes
// the other one. It returns when the old primary streams.
func (f *floor) switchover(ctx context.Context, c *pgx.Conn) (stopped, promoted, streaming time.Duration) {
	f.b.Helper()
	began := time.Now()
	f.end(ctx, f.from().Server)
	stopped = time.Since(began)
	started := make(chan error, 1)
	go func() { started <- startStandby(f.from().Server) }()
	f.run(ctx, c, promotion)
	f.until(ctx, c, risen)
	promoted = time.Since(began)
	f.must(<-started)
	f.until(ctx, c, followed)
	return stopped, promoted, time.Since(began)
}

// finish brings the names and slots to where the product leaves them.
func (f *floor) finish(ctx context.Context, c *pgx.Conn, after actions.After) {
	f.b.Helper()
	if after == actions.Degrade {
		f.run(ctx, c, "ALTER SYSTEM SET synchronous_standby_names = '"+f.from().Name+"'", "SELECT pg_reload_conf()", "CHECKPOINT")
	}
	f.until(ctx, c, waitedFor)
	f.must(c.Close(ctx))
	f.at = 1 - f.at
}

// end stops a server and watches its process: a dead one may linger as a zombie
// of ours.
func (f *floor) end(ctx context.Context, s local.Server) {
	f.b.Helper()
	text, err := os.ReadFile(filepath.Join(s.DataDir, "postmaster.pid"))
	f.must(err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	f.must(err)
	fd, err := unix.PidfdOpen(pid, 0)
	f.must(err)
	defer func() { _ = unix.Close(fd) }()
	f.must(unix.PidfdSendSignal(fd, unix.SIGINT, nil, 0))
	for ctx.Err() == nil {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			f.must(err)
		}
		if ready > 0 {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // it need not be ours
			return
		}
	}
	f.must(context.Cause(ctx))
}

// startStandby starts a stopped server as a standby; its configuration names
// the other node already.
func startStandby(s local.Server) error {
	signal := filepath.Join(s.DataDir, "standby.signal")
	if err := errors.Join(os.WriteFile(signal, nil, 0o600), s.User.Own(signal)); err != nil {
		return err
	}
	log, err := os.OpenFile(s.LogFile, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.Programs.Path("postgres"), "-D", s.DataDir, "-c", "config_file="+s.ConfigFile, "-p", strconv.Itoa(s.Port))
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.Programs.Env(), s.DataDir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if s.User != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.User.UID, Gid: s.User.GID}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// bringBack makes the killed primary the standby of the promoted one.
func (f *floor) bringBack(ctx context.Context, c *pgx.Conn) {
	f.b.Helper()
	f.run(ctx, c, "CHECKPOINT")
	f.slot(ctx, c)
	var timeline uint32
	f.must(c.QueryRow(ctx, "SELECT timeline_id FROM pg_control_checkpoint()").Scan(&timeline))
	order := actions.RejoinOrder{Name: f.from().Name, Timeline: timeline, Fork: f.fork(timeline)}
	_, err := f.from().Machine().Rejoin(ctx, order, func(string) {})
	f.must(err)
}

// fork reads from its history where a timeline began.
func (f *floor) fork(timeline uint32) actions.LSN {
	f.b.Helper()
	text, err := os.ReadFile(filepath.Join(f.to().Server.DataDir, "pg_wal", fmt.Sprintf("%08X.history", timeline)))
	f.must(err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	fields := strings.Split(lines[len(lines)-1], "\t")
	if len(fields) < 2 {
		f.b.Fatalf("no fork in %q", text)
	}
	at, err := actions.ParseLSN(fields[1])
	f.must(err)
	return at
}
