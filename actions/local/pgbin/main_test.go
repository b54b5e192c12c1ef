package pgbin_test

import (
	"os"
	"syscall"
	"testing"
)

// TestMain makes the tests' own folders readable for others whatever the umask: programs must be.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	os.Exit(m.Run())
}
