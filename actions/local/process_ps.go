package local

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pollGone waits for the end of a process that can't be watched.
func pollGone(ctx context.Context, pid int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := describe(ctx, pid)
		if errors.Is(err, errGone) || (err == nil && f.zombie) {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// describePS asks ps, where there is no /proc. It doesn't tell the working folder. errGone: no such process.
func describePS(ctx context.Context, pid int) (facts, error) {
	out, err := ps(ctx, "-p", strconv.Itoa(pid))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && len(out) == 0 {
		return facts{}, errGone
	}
	if err != nil {
		return facts{}, fmt.Errorf("ask ps about process %d: %w", pid, err)
	}
	_, f, err := parsePS(string(out))
	return f, err
}

// serverProcessesPS describes all running processes whose program is PostgreSQL's server.
func serverProcessesPS(ctx context.Context) (map[int]facts, error) {
	out, err := ps(ctx, "-ax")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[int]facts{}
	for line := range strings.Lines(string(out)) {
		pid, f, err := parsePS(line)
		if err != nil {
			return nil, err
		}
		if !f.zombie && isServer(f.program) {
			found[pid] = f
		}
	}
	return found, nil
}

func ps(ctx context.Context, which ...string) ([]byte, error) {
	args := append([]string{"-o", "pid=,ppid=,stat=,lstart=,comm="}, which...)
	cmd := exec.CommandContext(ctx, "ps", args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	return cmd.Output()
}

// parsePS reads a line like "7 1 Ss Mon Jan  2 15:04:05 2006 /usr/bin/postgres"; the time is local.
func parsePS(line string) (int, facts, error) {
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, facts{}, fmt.Errorf("ps said %.80q", line)
	}
	pid, errPid := strconv.Atoi(fields[0])
	parent, errParent := strconv.Atoi(fields[1])
	started, errTime := time.ParseInLocation("Mon Jan 2 15:04:05 2006", strings.Join(fields[3:8], " "), time.Local)
	if err := errors.Join(errPid, errParent, errTime); err != nil {
		return 0, facts{}, fmt.Errorf("ps said %.80q: %w", line, err)
	}
	return pid, facts{
		parent:  parent,
		zombie:  strings.HasPrefix(fields[2], "Z"),
		program: filepath.Base(strings.Trim(fields[8], "()")),
		started: started,
	}, nil
}
