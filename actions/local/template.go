package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"twokey/actions/local/internal/cachedir"
	"twokey/actions/local/internal/filelock"
)

// Templates keeps folders that take long to make and are copied for each use, such as fresh data folders. It
// is shared by all processes of a user. An entry is complete or not there, and never changes.
type Templates struct {
	// Folder holds the entries; empty is a folder in the user's cache.
	Folder string
	// User owns the entries' content; nil is the caller.
	User *User
}

// unusedFor is after how long an entry that nobody copied is removed.
const unusedFor = 14 * 24 * time.Hour

// Copy puts a copy of the entry at a new path, owned by the user, and makes the entry first if there is none:
// build gets an empty folder of the user's to fill. Of several processes that want an entry that isn't there
// one builds it and the others wait.
func (t Templates) Copy(ctx context.Context, key, to string, build func(ctx context.Context, dir string) error) error {
	entry, err := t.entry(ctx, key, build)
	if err != nil {
		return fmt.Errorf("make template %s: %w", key, err)
	}
	if err := CopyFolder(ctx, entry, to, t.User); err != nil {
		return fmt.Errorf("copy template %s: %w", key, err)
	}
	return nil
}

func (t Templates) entry(ctx context.Context, key string, build func(context.Context, string) error) (string, error) {
	folder, err := t.folder()
	if err != nil {
		return "", err
	}
	unlock, err := filelock.Lock(ctx, filepath.Join(folder, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	entry := filepath.Join(folder, key)
	now := time.Now()
	if err := os.Chtimes(entry, now, now); err == nil { // it is there, and in use
		return entry, nil
	}
	removeUnused(folder, now)
	return entry, t.build(ctx, entry, build)
}

// folder returns the folder of entries, made if need be. Servers' users must be able to enter it.
func (t Templates) folder() (string, error) {
	folder := t.Folder
	if folder == "" {
		var err error
		if folder, err = cachedir.Path("templates"); err != nil {
			return "", err
		}
	}
	return folder, cachedir.Make(folder)
}

func (t Templates) build(ctx context.Context, entry string, build func(context.Context, string) error) error {
	work, err := os.MkdirTemp(filepath.Dir(entry), "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // empty of value after the rename
	if err := t.User.Own(work); err != nil {
		return err
	}
	if err := build(ctx, work); err != nil {
		return err
	}
	return os.Rename(work, entry)
}

// removeUnused clears old entries and what a killed process was building. The lock is held, so nothing is
// being built; a copy under way can only be of an entry that was just marked as used.
func removeUnused(folder string, now time.Time) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() {
			continue
		}
		building, _ := filepath.Match("building-*", entry.Name()) // the pattern is well-formed
		if building || now.Sub(info.ModTime()) > unusedFor {
			_ = os.RemoveAll(filepath.Join(folder, entry.Name()))
		}
	}
}
