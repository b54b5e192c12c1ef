package local

import "syscall"

// endedWithParent gives the child a fast shutdown when its parent ends, however that ends.
func endedWithParent(c *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: c, Pdeathsig: syscall.SIGINT}
}
