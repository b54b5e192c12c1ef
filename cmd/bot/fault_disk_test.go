package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// slowFile in a data folder makes its server's disk slow; see testdata/slowdisk.c.
const slowFile = "slow-fsync"

// slowDisk preloads a library that makes disks slow into both servers.
func slowDisk(t *testing.T, o *arenaOptions) error {
	t.Helper()
	o.env = append(o.env, "LD_PRELOAD="+slowLibrary(t))
	o.settings = map[string]string{"wal_sync_method": "fdatasync"}
	return nil
}

func slowLibrary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil { // servers run as another user
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "slowdisk.so")
	text, err := exec.CommandContext(t.Context(), "cc", "-shared", "-fPIC", "-O1", "-o", out, "testdata/slowdisk.c", "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("cc, which go test -race needs too, can't compile testdata/slowdisk.c: %v: %s", err, text)
	}
	return out
}
