package pgbin

import (
	"errors"
	"fmt"
	"strings"
)

// Refusal says why one folder doesn't count as found.
type Refusal struct {
	Folder string
	Reason string
}

// NotFoundError says that no fit PostgreSQL was found. Its text is meant for the person at the terminal.
type NotFoundError struct {
	// Major is the one that was asked for, 0 for any.
	Major int
	// Refused are folders that hold some of the programs but don't do.
	Refused []Refusal
}

// Error returns several lines: what is missing, what was refused and why, and what to install.
func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s was not found on this machine.\n", e.wanted())
	for _, r := range e.Refused {
		fmt.Fprintf(&b, "  not used: %s: %s\n", r.Folder, r.Reason)
	}
	b.WriteString(e.hint())
	return b.String()
}

// refusals is one line.
func (e *NotFoundError) refusals() string {
	if len(e.Refused) == 0 {
		return "the programs are nowhere to be found"
	}
	var all []string
	for _, r := range e.Refused {
		all = append(all, r.Folder+": "+r.Reason)
	}
	return strings.Join(all, "; ")
}

func (e *NotFoundError) wanted() string {
	if e.Major != 0 {
		return fmt.Sprintf("PostgreSQL %d", e.Major)
	}
	return fmt.Sprintf("PostgreSQL %d to %d", OldestMajor, NewestMajor)
}

// hint is one line per platform. The bare package names stand for what the distribution ships.
func (e *NotFoundError) hint() string {
	suffix, brew := "", "17"
	if e.Major != 0 {
		suffix, brew = fmt.Sprintf("-%d", e.Major), fmt.Sprint(e.Major)
	}
	lines := []string{
		"Install it:",
		"  Debian, Ubuntu:  sudo apt-get install postgresql" + suffix,
		"  Fedora, RHEL:    sudo dnf install postgresql-server postgresql-contrib",
		"  macOS:           brew install postgresql@" + brew,
		"  anywhere else:   set TWOKEY_PGBIN to the folder that holds " + strings.Join(Required(), ", "),
	}
	return strings.Join(lines, "\n")
}

// NamedFolderError says that the folder that TWOKEY_PGBIN names is unfit.
type NamedFolderError struct{ Refusal }

// Error returns one line that names the folder, what is wrong with it and what to do.
func (e *NamedFolderError) Error() string {
	return fmt.Sprintf("TWOKEY_PGBIN=%s can't be used: %s; name a folder that holds %s, or unset it",
		e.Folder, e.Reason, strings.Join(Required(), ", "))
}

// ErrNoFetch means that this machine has no package client that PostgreSQL could be fetched with.
var ErrNoFetch = errors.New("there is neither apt-get nor brew to fetch it with")
