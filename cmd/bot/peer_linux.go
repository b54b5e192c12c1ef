package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who opened the connection.
func peerOf(c *net.UnixConn) string {
	unknown := "an account that the system doesn't name"
	raw, err := c.SyscallConn()
	if err != nil {
		return unknown
	}
	var cred *unix.Ucred
	ctrl := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if ctrl != nil || err != nil {
		return unknown
	}
	return accountName(cred.Uid)
}
