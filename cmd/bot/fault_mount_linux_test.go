package main

import "golang.org/x/sys/unix"

func mountMemory(dir, options string) error {
	return unix.Mount("twokey-test", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
}

func unmount(dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) }
