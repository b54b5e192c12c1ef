//go:build !linux

package local

import "syscall"

// endedWithParent can't end the child here when its parent is killed: the next guard finds the server running,
// and its command fails on that.
func endedWithParent(c *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: c}
}
