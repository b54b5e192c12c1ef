package actions

import (
	"errors"
	"fmt"
)

// ErrLocked means that another bot holds the pair's lock.
var ErrLocked = errors.New("another bot holds this pair's lock")

// ErrNotFrozen means that the standby's receiver could not be shown to be
// stopped; the freeze may still take effect later.
var ErrNotFrozen = errors.New("the standby's WAL receiver is not shown to be stopped")

// Uncertain wraps an error after which the effect may or may not have
// happened: look before doing anything else.
type Uncertain struct{ Err error }

func (u *Uncertain) Error() string { return u.Err.Error() + " (its effect may have happened)" }
func (u *Uncertain) Unwrap() error { return u.Err }

// StepError is a failed step of an execution.
type StepError struct {
	Op   Op
	Node string
	Err  error
}

func (s *StepError) Error() string {
	if s.Node == "" {
		return fmt.Sprintf("%s: %v", s.Op, s.Err)
	}
	return fmt.Sprintf("%s on %s: %v", s.Op, s.Node, s.Err)
}
func (s *StepError) Unwrap() error { return s.Err }
