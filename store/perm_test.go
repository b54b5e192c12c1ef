package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"twokey/store"
)

func TestOpenSaysThatItMayNot(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o755))
	path := filepath.Join(dir, "store.db")
	s, err := store.Open(path, store.Options{})
	must(t, err)
	must(t, s.Close())
	must(t, os.Chmod(path, 0o400))
	must(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { must(t, os.Chmod(dir, 0o755)) })
	asNobody(t, func() {
		for title, path := range map[string]string{
			"a file that may not be written": path,
			"a folder that may not be":       filepath.Join(dir, "new.db"),
		} {
			if _, err := store.Open(path, store.Options{}); !errors.Is(err, os.ErrPermission) {
				t.Errorf("%s: %v", title, err)
			}
		}
	})
}
