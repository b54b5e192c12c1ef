package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestGuardKilledInTheMiddleOfARejoin: the guard and its helper are killed while
// the data folder is neither what it was nor what it shall be. Nothing starts
// from it until the next guard has copied it anew.
func TestGuardKilledInTheMiddleOfARejoin(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for _, helper := range []string{"pg_rewind", "pg_basebackup"} {
		t.Run(helper, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t)
			g.parts()
			if helper == "pg_basebackup" { // what an unfinished rewind leads to
				g.must(os.WriteFile(g.a.Server.DataDir+".rewind-unfinished", nil, 0o600))
			}
			guard := g.start(g.a, "--rejoin", "always")
			g.killedWith(guard, helper)

			next := g.start(g.a, "--rejoin", "always")
			next.await("rejoined: base backup")
			next.await("start as it is: it is a standby")
			g.until(g.a, inRecovery, "true")
			g.until(g.a, "SELECT count(*)::text FROM w WHERE id = 99", "0")
			g.until(g.b, "SELECT application_name FROM pg_stat_replication", "dc1")
		})
	}
}

// parts leaves dc1 down with a row of its own, and dc2 the primary.
func (g guarded) parts() {
	g.t.Helper()
	g.exec(g.b, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	g.until(g.b, "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'walreceiver'", "0")
	g.exec(g.a, "SET synchronous_commit = local", "INSERT INTO w VALUES (99)")
	g.must(g.a.Server.Kill(g.ctx()))
	g.exec(g.b, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "SELECT pg_promote()", "CHECKPOINT",
		"ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()")
}

// killedWith stops the helper as soon as it runs on dc1's data, then kills it
// and the guard.
func (g guarded) killedWith(guard *program, helper string) {
	g.t.Helper()
	ctx := g.ctx()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if pid := runningOn(helper, g.a.Server.DataDir); pid != 0 {
			g.must(syscall.Kill(pid, syscall.SIGSTOP))
			g.must(guard.cmd.Process.Kill())
			_ = guard.ended() // killed: that is an error, as meant
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				g.t.Error(err)
			}
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			g.t.Fatalf("no %s ran on the data of dc1", helper)
		}
	}
}

// runningOn is the process of a program that has a folder of these data in its
// arguments, 0 for none.
func runningOn(name, data string) int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, file := range files {
		text, err := os.ReadFile(file)
		words := strings.Split(string(bytes.TrimRight(text, "\x00")), "\x00")
		if err != nil || filepath.Base(words[0]) != name || !strings.Contains(string(text), data) {
			continue // it may end just now
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		return pid
	}
	return 0
}
