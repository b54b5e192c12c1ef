// Package cachedir says where this user's files live that can be made again.
package cachedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// forRoot is root's cache. Its own lies in a home folder that the user whom servers run as can't enter.
const forRoot = "/var/cache/twokey"

// Path returns the folder of that name below the project's cache, without making it.
func Path(name string) (string, error) {
	if os.Geteuid() == 0 {
		return filepath.Join(forRoot, name), nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: set HOME or XDG_CACHE_HOME: %w", err)
	}
	return filepath.Join(base, "twokey", name), nil
}

// Make makes a cache folder unless it is there. What root makes other users can enter, whatever its umask.
func Make(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	err := os.Chmod(path, 0o755)
	if filepath.Dir(path) == forRoot {
		err = errors.Join(err, os.Chmod(forRoot, 0o755))
	}
	return err
}
