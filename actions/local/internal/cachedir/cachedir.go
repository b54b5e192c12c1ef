// Package cachedir says where this user's files live that can be made again.
package cachedir

import (
	"fmt"
	"os"
	"path/filepath"
)

// Path returns the folder of that name below the project's cache, without making it. Root's own cache lies in
// a home folder that the user whom servers run as can't enter, so root uses the system's.
func Path(name string) (string, error) {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/cache/twokey", name), nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: set HOME or XDG_CACHE_HOME: %w", err)
	}
	return filepath.Join(base, "twokey", name), nil
}
