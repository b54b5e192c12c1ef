package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// slowFile in a data folder makes its server's disk slow; see testdata/slowdisk.c.
const slowFile = "slow-fsync"

// slowLibrary compiles the library that makes disks slow, once.
var slowLibrary = sync.OnceValues(func() (string, error) {
	source, err := filepath.Abs("testdata/slowdisk.c")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "twokey-slowdisk-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // servers run as another user
		return "", err
	}
	out := filepath.Join(dir, "slowdisk.so")
	text, err := exec.CommandContext(context.Background(), "cc", "-shared", "-fPIC", "-O1", "-o", out, source, "-ldl").CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("cc, which go test -race needs too, can't compile %s: %w: %s", source, err, text), os.RemoveAll(dir))
	}
	return out, os.Chmod(out, 0o755)
})

func slowDisk(o *arenaOptions) error {
	library, err := slowLibrary()
	o.env = append(o.env, "LD_PRELOAD="+library)
	o.settings = map[string]string{"wal_sync_method": "fdatasync"}
	return err
}
