package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Kill ends every process of the server with SIGKILL and returns once none is left. It needs no cooperation
// of theirs, and it works on frozen servers and on what a killed postmaster left behind. The error is ctx's,
// or says which process could not be killed.
func (s Server) Kill(ctx context.Context) error {
	for {
		left, err := s.killRound(ctx)
		if err != nil {
			return fmt.Errorf("kill the server in %s: %w", s.DataDir, err)
		}
		if !left {
			s.removeSharedMemory()
			return nil
		}
	}
}

// killRound kills what it finds; the first result tells whether it found anything, so that one more look is
// needed. The postmaster is stopped first: then it can't replace the children that are killed, and no child
// outlives its disappearance unseen.
func (s Server) killRound(ctx context.Context) (bool, error) {
	postmaster, err := s.signalPostmaster(ctx, unix.SIGSTOP)
	if err != nil {
		return false, err
	}
	pids, err := s.Processes(ctx)
	if err != nil {
		return false, err
	}
	for _, pid := range slices.DeleteFunc(pids, func(pid int) bool { return pid == postmaster }) {
		if err := s.signalMember(ctx, pid, unix.SIGKILL); err != nil {
			return false, err
		}
	}
	if postmaster != 0 {
		if _, err := s.signalPostmaster(ctx, unix.SIGKILL); err != nil {
			return false, err
		}
		if _, err := s.postmasterGone(ctx); err != nil {
			return false, err
		}
	}
	return len(pids) > 0 || postmaster != 0, ctx.Err()
}

// signalPostmaster returns the postmaster's number, 0 when there is none.
func (s Server) signalPostmaster(ctx context.Context, sig unix.Signal) (int, error) {
	h, file, err := s.postmaster(ctx)
	if errors.Is(err, errGone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer h.close()
	if err := h.signal(sig); err != nil && !errors.Is(err, errGone) {
		return 0, err
	}
	return file.pid, nil
}

// signalMember signals a listed process, after one more look that it is still the one that was listed. A
// process that has ended meanwhile is no error.
func (s Server) signalMember(ctx context.Context, pid int, sig unix.Signal) error {
	h, err := openProcess(pid)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.close()
	member, err := s.isMember(ctx, pid)
	if err != nil || !member {
		return err
	}
	if err := h.signal(sig); err != nil && !errors.Is(err, errGone) {
		return err
	}
	return nil
}

func (s Server) isMember(ctx context.Context, pid int) (bool, error) {
	f, err := describe(ctx, pid)
	if errors.Is(err, errGone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if f.folder == nil { // then only its parent tells
		pids, err := s.Processes(ctx)
		return slices.Contains(pids, pid), err
	}
	data, err := os.Stat(s.DataDir)
	return err == nil && f.serves(data, time.Time{}), err
}

// Freeze stops every process of the server (SIGSTOP), as a hanging machine would look from outside: its ports
// still accept, nothing answers.
func (s Server) Freeze(ctx context.Context) error { return s.signalAll(ctx, unix.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s Server) Thaw(ctx context.Context) error { return s.signalAll(ctx, unix.SIGCONT) }

func (s Server) signalAll(ctx context.Context, sig unix.Signal) error {
	if _, err := s.signalPostmaster(ctx, sig); err != nil {
		return fmt.Errorf("signal the server in %s: %w", s.DataDir, err)
	}
	pids, err := s.Processes(ctx)
	for _, pid := range pids {
		if err == nil {
			err = s.signalMember(ctx, pid, sig)
		}
	}
	if err != nil {
		return fmt.Errorf("signal the server in %s: %w", s.DataDir, err)
	}
	return nil
}

// End stops a server that nobody needs any more, frozen or not: without a checkpoint but tidily, and after
// patience by force. Afterwards no process of it is left.
func (s Server) End(ctx context.Context, patience time.Duration) error {
	tidy, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Thaw(tidy); err == nil {
		err = s.StopImmediate(tidy)
		if err == nil {
			return nil
		}
	}
	return s.Kill(ctx)
}

// removeSharedMemory frees the segment that a killed postmaster leaves behind, by the record in its
// postmaster.pid. The segment's own record of who made it must agree, for its number may have been recycled.
func (s Server) removeSharedMemory() {
	file, err := s.readPidFile()
	if err != nil || file.segment == 0 {
		return
	}
	var info unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(file.segment, unix.IPC_STAT, &info); err != nil {
		return
	}
	if int(info.Cpid) == file.pid && info.Nattch == 0 {
		_, _ = unix.SysvShmCtl(file.segment, unix.IPC_RMID, nil) // at worst it stays, as it would have
	}
}
