package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const lockRetry = 20 * time.Millisecond

// lock takes the exclusive lock that bbolt takes, on the same open file. It
// belongs to the open file: a second one, even in this process, has to wait.
func lock(file *os.File, timeout time.Duration) error {
	return lockAs(file, syscall.LOCK_EX, timeout)
}

// lockAs takes a lock of the given kind: a shared one keeps writers out alone.
func lockAs(file *os.File, kind int, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for {
		err := syscall.Flock(int(file.Fd()), kind|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return err
		case !time.Now().Before(end):
			return fmt.Errorf("%w; it did not let go within %s: stop it, or give this one another file", ErrLocked, timeout)
		}
		time.Sleep(lockRetry)
	}
}
