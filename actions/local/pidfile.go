package local

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// pidFile is what a postmaster writes about itself into postmaster.pid.
type pidFile struct {
	pid     int
	single  bool // a single-user server, as pg_rewind runs one
	started time.Time
	port    int
	segment int    // of System V shared memory
	status  string // starting, ready, standby or stopping
}

// errHalfWritten means that the file is being written right now, or that its writer died meanwhile.
var errHalfWritten = errors.New("postmaster.pid is incomplete")

// readPidFile returns os.ErrNotExist when there is none, errHalfWritten when it says less than a process
// number.
func (s Server) readPidFile() (pidFile, error) {
	text, err := os.ReadFile(s.file("postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	return parsePidFile(string(text))
}

func parsePidFile(text string) (pidFile, error) {
	lines := strings.Split(text, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid == 0 {
		return pidFile{}, fmt.Errorf("%w: its first line is %.40q", errHalfWritten, lines[0])
	}
	f := pidFile{pid: pid}
	if pid < 0 {
		f.pid, f.single = -pid, true
	}
	line := func(n int) string {
		if n < len(lines) {
			return strings.TrimSpace(lines[n])
		}
		return ""
	}
	if seconds, err := strconv.ParseInt(line(2), 10, 64); err == nil {
		f.started = time.Unix(seconds, 0)
	}
	if port, err := strconv.Atoi(line(3)); err == nil {
		f.port = port
	}
	if _, segment, ok := strings.Cut(line(6), " "); ok { // key and number
		f.segment, _ = strconv.Atoi(strings.TrimSpace(segment))
	}
	f.status = line(7)
	return f, nil
}
