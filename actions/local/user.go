package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// User is whom servers run as when the caller is root, because PostgreSQL refuses to run as root.
type User struct {
	Name string
	UID  uint32
	GID  uint32
}

// ErrNoUser means that there is no unprivileged user for servers to run as.
var ErrNoUser = errors.New("PostgreSQL does not run as root, and this system has neither a user postgres nor nobody")

// ServerUser chooses an existing unprivileged user when the caller is root; else it returns nil: servers run
// as the caller. The error is [ErrNoUser].
func ServerUser() (*User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := LookupUser(name); err == nil && found.UID != 0 {
			return found, nil
		}
	}
	return nil, ErrNoUser
}

// LookupUser finds an existing user by name.
func LookupUser(name string) (*User, error) {
	entry, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(entry.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(entry.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return &User{Name: name, UID: uint32(uid), GID: uint32(gid)}, nil
}

// other tells whether this is another user than the caller, so that there is anything to give away. Only root
// may do that.
func (u *User) other() bool { return u != nil && int(u.UID) != os.Geteuid() }

func (u *User) credential() *syscall.Credential {
	if !u.other() {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID}
}

// become makes this whole process the user's. There is no way back.
func (u *User) become() error {
	if !u.other() {
		return nil
	}
	return errors.Join(syscall.Setgroups([]int{int(u.GID)}), syscall.Setgid(int(u.GID)), syscall.Setuid(int(u.UID)))
}

// Own gives a file or a folder to the user, not what is in it; without another user it does nothing. A symbolic
// link is given away itself.
func (u *User) Own(path string) error {
	if !u.other() {
		return nil
	}
	return os.Lchown(path, int(u.UID), int(u.GID))
}

// WriteFile replaces a file of the user's in one step: whoever reads it sees the old text or the new one, also
// after a power cut.
func (u *User) WriteFile(path string, text []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // fails after the rename, as it should
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(mode), u.Own(tmp.Name()), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// syncFolder makes a rename within the folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
