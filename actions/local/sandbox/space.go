package sandbox

import "golang.org/x/sys/unix"

// freeBytes is 0 for a folder that isn't there.
func freeBytes(folder string) uint64 {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return 0
	}
	return stat.Bavail * uint64(stat.Bsize)
}
