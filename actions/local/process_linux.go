package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// handle stands for one process and never for a later one of the same number. On kernels without pidfd
// (before 5.3) fd is -1 and the number has to do.
type handle struct{ pid, fd int }

// openProcess returns errGone when there is no such process. A zombie can be opened.
func openProcess(pid int) (handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case err == nil:
		return handle{pid, fd}, nil
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL): // EINVAL: a thread, no process
		return handle{}, errGone
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // EPERM: forbidden by a container's filter
		return handle{pid, -1}, nil
	}
	return handle{}, fmt.Errorf("open process %d: %w", pid, err)
}

func (h handle) close() {
	if h.fd >= 0 {
		_ = unix.Close(h.fd)
	}
}

// signal returns errGone when the process has ended.
func (h handle) signal(sig unix.Signal) error {
	var err error
	if h.fd >= 0 {
		err = unix.PidfdSendSignal(h.fd, sig, nil, 0)
	} else {
		err = unix.Kill(h.pid, sig)
	}
	if errors.Is(err, unix.ESRCH) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("send %v to process %d: %w", sig, h.pid, err)
	}
	return nil
}

// wait returns nil once the process has ended, at once, zombie or not.
func (h handle) wait(ctx context.Context) error {
	if h.fd < 0 {
		return pollGone(ctx, h.pid)
	}
	for ctx.Err() == nil {
		// The kernel wakes this at the process's end; the limit is for ctx alone.
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}, 20)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch process %d: %w", h.pid, err)
		}
		if ready > 0 {
			return nil
		}
	}
	return ctx.Err()
}

// describe returns errGone when there is no such process.
func describe(_ context.Context, pid int) (facts, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := readSmall(dir + "/stat")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return facts{}, errGone
	}
	if err != nil {
		return facts{}, fmt.Errorf("read %s/stat: %w", dir, err)
	}
	f, ticks, err := parseStat(stat)
	if err != nil {
		return facts{}, fmt.Errorf("%s/stat: %w", dir, err)
	}
	if !isServer(f.program) {
		return f, nil
	}
	// Following the link, not reading it: it may lead into another mount namespace. Without the right to,
	// the folder stays unknown.
	if folder, err := os.Stat(dir + "/cwd"); err == nil {
		f.folder = folder
	} else {
		f.started = started(ticks)
	}
	return f, nil
}

// readSmall reads a file of the kernel's, which gives it as a whole in one go. Looking for a server's processes
// reads one for each process of the machine, so it should cost no more than that.
func readSmall(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	text := make([]byte, 1024)
	for {
		n, err := unix.Read(fd, text)
		if !errors.Is(err, unix.EINTR) {
			return text[:max(n, 0)], err
		}
	}
}

// parseStat reads /proc/PID/stat, and the start in ticks since the system's. The program's name stands in
// parentheses and may itself hold any byte, so the last closing one ends it.
func parseStat(stat []byte) (facts, int64, error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return facts{}, 0, errors.New("no program name in it")
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return facts{}, 0, errors.New("too short")
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return facts{}, 0, err
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	zombie := fields[0] == "Z" || fields[0] == "X"
	return facts{parent: parent, program: string(stat[open+1 : end]), zombie: zombie}, ticks, err
}

// started is zero when the system doesn't tell when it was started itself; then no start time matches.
func started(ticks int64) time.Time {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	const perSecond = 100 // of the ticks in /proc, on every Linux that Go runs on
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "btime "); ok {
			boot, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return time.Unix(boot, 0).Add(time.Duration(ticks) * time.Second / perSecond)
		}
	}
	return time.Time{}
}

// serverProcesses describes all running processes whose program is PostgreSQL's server.
func serverProcesses(ctx context.Context) (map[int]facts, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[int]facts{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		f, err := describe(ctx, pid)
		if err != nil && !errors.Is(err, errGone) {
			return nil, err
		}
		if err == nil && !f.zombie && isServer(f.program) {
			found[pid] = f
		}
	}
	return found, nil
}
