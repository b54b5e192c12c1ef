package postgres_test

import (
	"sync"
	"syscall"
	"testing"
)

// holdProcess stops one process of a server as if the machine had no time for
// it; the function that it returns lets it go on, at the test's end at the latest.
func holdProcess(t testing.TB, p *bundle, node int, kind string) func() {
	t.Helper()
	pid := ask[int](t, p.adminConn(t, node, "postgres"), "SELECT pid FROM pg_stat_activity WHERE backend_type = $1", kind)
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	var once sync.Once
	release := func() {
		once.Do(func() {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Errorf("let process %d go on: %v", pid, err)
			}
		})
	}
	t.Cleanup(release)
	return release
}

func holdCheckpointer(t testing.TB, p *bundle, node int) func() {
	t.Helper()
	return holdProcess(t, p, node, "checkpointer")
}
