package pgbin

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The majors that twokey supports.
const (
	OldestMajor = 15
	NewestMajor = 18
)

// Required returns the names of the programs that a folder must hold. Debian's own packages, Red Hat's, those
// of the PostgreSQL project and Homebrew's all put them in one folder.
func Required() []string {
	return []string{
		"initdb", "postgres", "pg_ctl", "pg_basebackup", "pg_rewind", "pg_controldata", "pg_waldump",
	}
}

// Programs is a folder of PostgreSQL programs that was checked.
type Programs struct {
	// Folder holds them, absolute, symbolic links resolved.
	Folder string
	// Major is the version before the dot, such as 17.
	Major int
	// Version is the whole version, such as "17.11".
	Version string
	// Libraries is a folder of shared libraries that the programs don't find by themselves, or empty. It is
	// set for programs that were unpacked beside the system's own.
	Libraries string
}

// Path returns the path of one program.
func (p Programs) Path(name string) string { return filepath.Join(p.Folder, name) }

// Command prepares a run of one program, killed when ctx ends. It gets [Programs.Env] and a working folder
// that every user can enter, because the program may be run as another user than the caller.
func (p Programs) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Path(name), args...)
	cmd.Env = p.Env()
	cmd.Dir = "/"
	return cmd
}

// Env returns the environment for the programs: a short list of what they need. The caller's own environment
// holds tokens that no server should inherit, and PG variables that would redirect pg_basebackup or pg_rewind
// to another server. Messages are English, so that output can be parsed.
func (p Programs) Env() []string {
	env := []string{"LC_ALL=C", "HOME=/nonexistent"}
	for _, name := range []string{"PATH", "TMPDIR", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	if p.Libraries != "" {
		env = append(env, "LD_LIBRARY_PATH="+p.Libraries)
	}
	return env
}

// String reads like "PostgreSQL 17.11 in /usr/lib/postgresql/17/bin".
func (p Programs) String() string {
	return strings.Join([]string{"PostgreSQL", p.Version, "in", p.Folder}, " ")
}
