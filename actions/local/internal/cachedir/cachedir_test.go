package cachedir_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"twokey/actions/local/internal/cachedir"
)

func TestRootsCacheIsOpenToOthers(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "cache")
	if err := cachedir.Make(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		want = 0o755
	}
	if info.Mode().Perm() != want {
		t.Errorf("mode %o, want %o", info.Mode().Perm(), want)
	}
}

func TestWithoutHomeItSaysWhatToSet(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	path, err := cachedir.Path("templates")
	if os.Geteuid() == 0 {
		if err != nil || path != "/var/cache/twokey/templates" {
			t.Errorf("got %q, %v", path, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), "set HOME") {
		t.Errorf("got %q, %v; want to be told to set HOME", path, err)
	}
}
