package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Start starts the server as its data folder stands, unless it runs already, and returns once the postmaster
// has taken the data folder. It doesn't wait for sessions to be let in: see [Server.WaitReady]. The postmaster
// gets a session of its own, so that Ctrl-C in the terminal doesn't reach it, and outlives this process.
//
// Errors: [ErrUnfit], [ErrLeftovers], [*StartError] when it ended at once, ctx's; in the last case it may
// still come up.
func (s Server) Start(ctx context.Context) (Process, error) {
	if p, running, err := s.Running(ctx); err != nil || running {
		return p, err
	}
	if err := s.mayStart(ctx); err != nil {
		return Process{}, fmt.Errorf("start the server in %s: %w", s.DataDir, err)
	}
	if ctx.Err() != nil { // the process may have slept since it looked
		return Process{}, fmt.Errorf("start the server in %s: %w", s.DataDir, context.Cause(ctx))
	}
	pid, err := s.spawn()
	if err != nil {
		return Process{}, fmt.Errorf("start the server in %s: %w", s.DataDir, err)
	}
	return s.await(ctx, pid, func(Process) bool { return true })
}

// WaitReady returns once the running server lets sessions in. Errors: [*StartError] when it has ended, ctx's.
func (s Server) WaitReady(ctx context.Context) error {
	file, err := s.readPidFile()
	if err != nil {
		return &StartError{DataDir: s.DataDir, Log: s.logTail()}
	}
	_, err = s.await(ctx, file.pid, func(p Process) bool { return p.Status == Ready })
	return err
}

// mayStart refuses what must not run.
func (s Server) mayStart(ctx context.Context) error {
	unfit, err := exists(s.rewindMark())
	if err != nil {
		return err
	}
	if unfit {
		return ErrUnfit
	}
	if s.endedTidily() {
		return nil
	}
	left, err := s.Processes(ctx)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: processes %v", ErrLeftovers, left)
	}
	return s.clearStale(ctx)
}

// endedTidily tells that the last run ended in good order and left no postmaster.pid. The clean state is written
// when no session is left, and the postmaster removes the file when no child is: then there is no need to look
// for any among all processes of the machine, while writers may be waiting. false says nothing.
func (s Server) endedTidily() bool {
	left, err := s.exists("postmaster.pid")
	return err == nil && !left && s.seenClean()
}

// clearStale removes a postmaster.pid that PostgreSQL itself would stumble over although nothing runs: it takes
// any process of the recorded number for a postmaster, also a zombie, and refuses an empty file. One that names
// no process is left to it, for its own checks are the better guard against two starts at once.
//
// Whoever calls this saw that nothing runs, but may have slept since. A server that was started meanwhile must
// keep its file: without it PostgreSQL lets a second one into the same data folder, and ends the first. So the
// file is moved aside, and goes back when it isn't the one that was judged.
func (s Server) clearStale(ctx context.Context) error {
	judged, err := os.ReadFile(s.file("postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := parsePidFile(string(judged))
	if err != nil && !errors.Is(err, errHalfWritten) {
		return err
	}
	if err == nil && !processExists(file.pid) {
		return nil
	}
	if _, running, err := s.Running(ctx); err != nil || running {
		return errors.Join(err, errStartedMeanwhile)
	}
	return s.removePidFile(judged)
}

var errStartedMeanwhile = errors.New("a server was started there meanwhile")

// removePidFile removes postmaster.pid if it is still the one that was judged.
func (s Server) removePidFile(judged []byte) error {
	here, aside := s.file("postmaster.pid"), s.file("postmaster.pid.stale")
	if err := os.Rename(here, aside); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	moved, err := os.ReadFile(aside)
	if err == nil && bytes.Equal(moved, judged) {
		return os.Remove(aside)
	}
	back := os.Link(aside, here) // never over another one
	return errors.Join(err, errStartedMeanwhile, back, os.Remove(aside))
}

func processExists(pid int) bool {
	h, err := openProcess(pid)
	if err != nil {
		return false
	}
	h.close()
	return true
}

func (s Server) rewindMark() string { return s.DataDir + ".rewind-unfinished" }

func (s Server) spawn() (int, error) {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open its log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has its own copy
	if err := s.User.Own(s.LogFile); err != nil {
		return 0, err
	}
	args := []string{"-D", s.DataDir}
	if s.ConfigFile != "" {
		args = append(args, "-c", "config_file="+s.ConfigFile)
	}
	if s.Port != 0 {
		args = append(args, "-p", strconv.Itoa(s.Port))
	}
	cmd := exec.Command(s.Programs.Path("postgres"), args...)
	cmd.Env, cmd.Dir = append(s.Programs.Env(), s.Env...), s.DataDir
	cmd.Stdout, cmd.Stderr = log, log
	if s.tied {
		_, err := startTied(cmd, s.User.credential())
		if err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.User.credential()}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	return pid, cmd.Process.Release() // nobody waits for it: whoever looks reaps it
}

// await polls until the postmaster of that number says what is wanted, or has ended.
func (s Server) await(ctx context.Context, pid int, wanted func(Process) bool) (Process, error) {
	for {
		f, err := describe(ctx, pid)
		if err == nil {
			reap(pid, f)
		}
		if errors.Is(err, errGone) || f.zombie {
			return Process{}, &StartError{DataDir: s.DataDir, Log: s.logTail()}
		}
		p, running, err := s.Running(ctx)
		if err == nil && running && p.PID == pid && wanted(p) {
			return p, nil
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return Process{}, fmt.Errorf("wait for the server in %s to come up: %w", s.DataDir, context.Cause(ctx))
		}
	}
}
