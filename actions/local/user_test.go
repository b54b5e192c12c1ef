package local_test

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"twokey/actions/local"
)

func TestTheCallerNeedsNoRightsToBeTheServersUser(t *testing.T) {
	t.Parallel()
	current, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	self, err := local.LookupUser(current.Username)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(self.WriteFile(path, []byte("text"), 0o640), self.Own(path)); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 || info.Size() != 4 {
		t.Errorf("got %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestServersGetAnUnprivilegedUser(t *testing.T) {
	t.Parallel()
	chosen, err := local.ServerUser()
	if err != nil {
		t.Fatal(err)
	}
	if (chosen != nil) != (os.Geteuid() == 0) || (chosen != nil && chosen.UID == 0) {
		t.Errorf("got %+v for user %d", chosen, os.Geteuid())
	}
}
