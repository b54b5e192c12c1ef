package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// CopyFolder copies a folder of plain files and folders to a new path and gives the copy to the user. Symbolic
// links and other special files are refused: the copy would share them. The folders are given away last, so
// that nobody else works in a copy that is being made.
func CopyFolder(ctx context.Context, from, to string, user *User) error {
	c := copying{user: user, buffer: make([]byte, 256<<10)}
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return c.entry(path, filepath.Join(to, relative), entry)
	})
	for _, folder := range slices.Backward(c.folders) {
		err = errors.Join(err, user.Own(folder))
	}
	return err
}

// copying goes to the system directly: a cluster has more than a thousand small files, and most of what os.File
// does for each is preparing for a poller that plain files don't know.
type copying struct {
	user    *User
	buffer  []byte
	folders []string
}

func (c *copying) entry(from, to string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	switch {
	case entry.IsDir():
		c.folders = append(c.folders, to)
		return os.Mkdir(to, info.Mode().Perm())
	case entry.Type().IsRegular():
		return c.file(from, to, uint32(info.Mode().Perm()))
	}
	return fmt.Errorf("%s is neither a file nor a folder", from)
}

func (c *copying) file(from, to string, mode uint32) error {
	source, err := unix.Open(from, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", from, err)
	}
	defer func() { _ = unix.Close(source) }()
	target, err := unix.Open(to, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, mode)
	if err != nil {
		return fmt.Errorf("create %s: %w", to, err)
	}
	err = c.content(source, target)
	if err == nil && c.user.other() {
		err = unix.Fchown(target, int(c.user.UID), int(c.user.GID))
	}
	if err = errors.Join(err, unix.Close(target)); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

func (c *copying) content(source, target int) error {
	for {
		n, err := unix.Read(source, c.buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		if err := writeAll(target, c.buffer[:n]); err != nil {
			return err
		}
	}
}

func writeAll(target int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(target, data)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		data = data[max(n, 0):]
	}
	return nil
}
