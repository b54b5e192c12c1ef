//go:build !linux

package store_test

import (
	"os"
	"testing"
)

func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Fatal("nothing is refused to root: run the tests as an ordinary user on this system")
	}
	do()
}
