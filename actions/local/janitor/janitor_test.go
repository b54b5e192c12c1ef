package janitor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twokey/actions/local/janitor"
	"twokey/actions/local/sandbox"
)

// role makes this test program play a program that dies.
const role = "TWOKEY_TEST_ROLE"

func TestMain(m *testing.M) {
	janitor.MaybeRun()
	switch os.Getenv(role) {
	case "owner":
		own()
	case "parent":
		parent()
	case "child":
		child()
	}
	goleak.VerifyTestMain(m)
}

// own makes a pair that the janitor knows of, says where, and waits to be killed.
func own() {
	j, err := janitor.Start(context.Background())
	if err == nil {
		var p *sandbox.Pair
		p, err = sandbox.New(context.Background(), sandbox.Options{Janitor: j, Memory: true})
		if err == nil {
			fmt.Println(p.Dir)
			_, _ = os.Stdin.Read(make([]byte, 1)) // nobody writes
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// play starts this program in a role, in a process group of its own.
func play(t *testing.T, as string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewReader(out)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

func TestNothingIsLeftOfAKilledProgram(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]func(*exec.Cmd) error{
		"SIGKILL":                   func(c *exec.Cmd) error { return c.Process.Kill() },
		"SIGTERM without a handler": func(c *exec.Cmd) error { return c.Process.Signal(syscall.SIGTERM) },
		"Ctrl-C to the whole group": func(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) },
		"SIGKILL to the group":      func(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, out := play(t, "owner")
			dir := line(t, out)
			pids := servers(t, dir)
			if len(pids) != 2 {
				t.Fatalf("%d servers run in %s", len(pids), dir)
			}
			if err := signal(cmd); err != nil {
				t.Fatal(err)
			}
			until(t, "the folder is gone", func() bool {
				_, err := os.Stat(dir)
				return errors.Is(err, os.ErrNotExist)
			})
			for _, pid := range pids {
				until(t, "the server has ended", func() bool { return ended(pid) })
			}
		})
	}
}

// ended tells whether a process is gone or only its remains wait for the system's first process.
func ended(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(pid)).Output()
	return err != nil || strings.HasPrefix(string(out), "Z")
}

func servers(t *testing.T, dir string) []int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Sscan(string(text), &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func start(t *testing.T) *janitor.Janitor {
	t.Helper()
	j, err := janitor.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func folder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "registered")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), nil, 0o400)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCloseCleansUp(t *testing.T) {
	t.Parallel()
	j, dir := start(t), folder(t)
	if err := errors.Join(j.Folder(dir), j.Server(filepath.Join(dir, "no server")), j.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := j.Folder(dir); err == nil {
		t.Error("a closed janitor took an order")
	}
}

func TestKeepForgetsWhatWasRegistered(t *testing.T) {
	t.Parallel()
	j, kept, removed := start(t), folder(t), folder(t)
	if err := errors.Join(j.Folder(kept), j.Keep(), j.Folder(removed), j.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(kept, "file")); err != nil {
		t.Errorf("what was to be kept: %v", err)
	}
	if _, err := os.Stat(removed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was registered later: %v", err)
	}
}

func TestJanitorRefusesFoldersThatItMustNotRemove(t *testing.T) {
	t.Parallel()
	j := start(t)
	for _, path := range []string{"", "/", "/home", "/tmp", "relative/path", "/tmp/../etc", "/tmp/x/"} {
		if err := j.Folder(path); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
	if err := j.Server("relative"); err == nil {
		t.Error("a relative data folder was taken")
	}
}

// parent starts the child, passes its output on, and waits to be killed.
func parent() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"=child")
	cmd.Stdout = os.Stdout
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // nobody writes
	os.Exit(0)
}

func child() {
	ctx, stop := janitor.WatchParent(context.Background())
	fmt.Println("watching")
	select {
	case <-ctx.Done():
		fmt.Println(context.Cause(ctx))
	case <-time.After(60 * time.Second):
		fmt.Println("the parent's death was not noticed")
	}
	stop()
	os.Exit(0)
}

func TestOrphanNoticesThatItsParentDied(t *testing.T) {
	t.Parallel()
	cmd, out := play(t, "parent")
	if said := line(t, out); said != "watching" {
		t.Fatalf("the child said %q", said)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if said := line(t, out); said != janitor.ErrParentDied.Error() {
		t.Errorf("the child said %q", said)
	}
}

func TestWatchingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, stop := janitor.WatchParent(t.Context())
	if ctx.Err() != nil {
		t.Errorf("cancelled although the parent lives: %v", context.Cause(ctx))
	}
	stop() // goleak notices a goroutine that stays
	if !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("cause %v", context.Cause(ctx))
	}
}
