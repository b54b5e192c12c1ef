package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"twokey/actions/local/pgbin"
)

// Server is one PostgreSQL server on this machine, running or not. It is a description: copying it is fine,
// and two of them with one data folder describe one server.
type Server struct {
	Programs pgbin.Programs
	// DataDir is the data folder, absolute.
	DataDir string
	// ConfigFile is the main configuration file. Outside the data folder it is safe from pg_rewind and base
	// backups, which bring the source's. Empty is postgresql.conf in the data folder.
	ConfigFile string
	// Port is passed on the command line, so that a configuration file of the partner's can't change it. 0
	// leaves it to the configuration.
	Port int
	// LogFile takes the server's output, appended.
	LogFile string
	// User is whom the programs run as; nil is the caller.
	User *User
	// Env is added to the server's environment, "name=value" each.
	Env []string

	tied bool // to this process: it doesn't outlive it
}

// ErrUnfit means that the data folder may not be started: a pg_rewind into it was not finished.
var ErrUnfit = errors.New("a pg_rewind into this data folder was not finished; it may only be replaced by a base backup")

// ErrLeftovers means that processes of a postmaster that is gone still work in the data folder.
var ErrLeftovers = errors.New("processes of an earlier run still work in the data folder")

// StartError says that a server's process ended instead of coming up.
type StartError struct {
	DataDir string
	// Log is the end of what the server wrote.
	Log string
}

func (e *StartError) Error() string {
	return fmt.Sprintf("the server in %s ended instead of starting; its log ends with:\n%s", e.DataDir, e.Log)
}

// command prepares a program run as the server's user in a process group of its own, which is killed as a
// whole when ctx ends: pg_basebackup and pg_rewind have children.
func (s Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := s.Programs.Command(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.User.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Run runs one of PostgreSQL's programs to its end as the server's user; the error carries what it printed.
func (s Server) Run(ctx context.Context, name string, args ...string) error {
	out, err := s.command(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("%s in %s was broken off: %w", name, s.DataDir, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s in %s: %w: %s", name, s.DataDir, err, tail(out))
	}
	return nil
}

// tail shortens output to what a person can take in.
func tail(out []byte) string {
	const most = 1500
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return string(out)
}

func (s Server) file(name string) string { return filepath.Join(s.DataDir, name) }

func (s Server) logTail() string {
	out, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	return tail(out)
}

// exists tells whether there is a file of that name in the data folder.
func (s Server) exists(name string) (bool, error) { return exists(s.file(name)) }

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
