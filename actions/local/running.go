package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Status is what a postmaster says about itself in postmaster.pid.
type Status string

// The statuses. Ready means that sessions are let in, also on a standby.
const (
	Starting Status = "starting"
	Standby  Status = "standby" // in recovery, and no sessions are let in
	Ready    Status = "ready"
	Stopping Status = "stopping"
	// SingleUser is a server without a postmaster, as pg_rewind runs one to recover a crashed data folder.
	SingleUser Status = "single user"
)

// Process is a running postmaster.
type Process struct {
	PID     int
	Started time.Time // by its own clock, to the second
	Port    int       // 0 while it is starting
	Status  Status
}

// Running tells whether a postmaster runs in the data folder, whoever started it. A stopped process (SIGSTOP)
// runs. false with a nil error is certain as far as this machine goes; an error means that it can't be told.
// Children that outlive a killed postmaster don't count here, see [Server.Processes].
func (s Server) Running(ctx context.Context) (Process, bool, error) {
	h, f, err := s.postmaster(ctx)
	if errors.Is(err, errGone) {
		return Process{}, false, nil
	}
	if err != nil {
		return Process{}, false, fmt.Errorf("tell whether the server in %s runs: %w", s.DataDir, err)
	}
	h.close()
	p := Process{PID: f.pid, Started: f.started, Port: f.port, Status: Status(f.status)}
	switch {
	case f.single:
		p.Status = SingleUser
	case p.Status == "":
		p.Status = Starting
	}
	return p, true, nil
}

// postmaster opens the data folder's postmaster, or returns errGone. The handle is opened before the process
// is looked at: what was looked at is what the handle stands for.
func (s Server) postmaster(ctx context.Context) (handle, pidFile, error) {
	data, err := os.Stat(s.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return handle{}, pidFile{}, errGone
	}
	if err != nil {
		return handle{}, pidFile{}, err
	}
	file, err := s.settledPidFile(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return handle{}, pidFile{}, errGone
	}
	if err != nil {
		return handle{}, pidFile{}, err
	}
	h, err := openProcess(file.pid)
	if err != nil {
		return handle{}, pidFile{}, err
	}
	f, err := describe(ctx, file.pid)
	if err == nil && !f.serves(data, file.started) {
		reap(file.pid, f)
		err = errGone
	}
	if err != nil {
		h.close()
		return handle{}, pidFile{}, err
	}
	return h, file, nil
}

// settledPidFile reads postmaster.pid. A server that is just writing it gets a moment; one that died while
// writing leaves a file that no process stands behind.
func (s Server) settledPidFile(ctx context.Context) (pidFile, error) {
	deadline := time.Now().Add(200 * time.Millisecond)
	for {
		file, err := s.readPidFile()
		if !errors.Is(err, errHalfWritten) {
			return file, err
		}
		if time.Now().After(deadline) {
			return s.withoutPidFile(ctx, err)
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return pidFile{}, err
		}
	}
}

// withoutPidFile decides about an unreadable postmaster.pid by the processes in the data folder.
func (s Server) withoutPidFile(ctx context.Context, cause error) (pidFile, error) {
	pids, err := s.Processes(ctx)
	if err == nil && len(pids) == 0 {
		return pidFile{}, fs.ErrNotExist
	}
	return pidFile{}, errors.Join(cause, err)
}

// Processes lists every process that works in the data folder: the postmaster, its children, and children
// that outlived it. Where the system doesn't tell a process's working folder only those below a recognized
// postmaster are listed.
func (s Server) Processes(ctx context.Context) ([]int, error) {
	data, err := os.Stat(s.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := serverProcesses(ctx)
	if err != nil {
		return nil, err
	}
	file, _ := s.readPidFile() // without one no start time is known, and only the working folder decides
	var pids []int
	for pid, f := range all {
		if f.serves(data, recordedStart(pid, file)) || belongs(f, all, data, file) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func recordedStart(pid int, file pidFile) time.Time {
	if pid == file.pid {
		return file.started
	}
	return time.Time{}
}

// belongs tells whether a process whose working folder is unknown is a child of the recognized postmaster.
func belongs(f facts, all map[int]facts, data os.FileInfo, file pidFile) bool {
	parent, ok := all[f.parent]
	return ok && f.folder == nil && f.parent == file.pid && parent.serves(data, file.started)
}

// pause waits a moment, or returns ctx's error at once when it ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
