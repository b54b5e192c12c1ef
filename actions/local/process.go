package local

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// facts are what the system says about a process.
type facts struct {
	parent  int
	zombie  bool
	program string // name of the program, without folder
	// folder is the working folder, nil where the system doesn't tell.
	folder os.FileInfo
	// started is only set where folder isn't.
	started time.Time
}

// errGone means that there is no such process, or only its remains.
var errGone = errors.New("no such process")

// clockSlack is how far the start time in postmaster.pid and the system's may lie apart: both are rounded to
// seconds, and the postmaster reads the clock a moment after it was started.
const clockSlack = 3 * time.Second

// serves tells whether the facts are those of a process of the server in that folder. recorded is the start
// time in postmaster.pid; it only decides where the working folder can't be read, and zero never does.
func (f facts) serves(data os.FileInfo, recorded time.Time) bool {
	if f.zombie || !isServer(f.program) {
		return false
	}
	if f.folder != nil {
		return os.SameFile(f.folder, data)
	}
	return !recorded.IsZero() && f.started.Sub(recorded).Abs() <= clockSlack
}

func isServer(program string) bool { return program == "postgres" || program == "postmaster" }

// reap takes the remains of a child of this process away, so that its number is free. Of other processes it
// leaves the remains alone.
func reap(pid int, f facts) {
	if f.zombie && f.parent == os.Getpid() {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // somebody else reaped it: as good
	}
}
