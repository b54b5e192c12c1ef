package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program runs this test binary as the bot, in a process of its own.
type program struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines chan string // of stderr and stdout
	done  chan error
	gone  chan struct{} // closed when it has ended
}

func startProgram(t testing.TB, args ...string) *program {
	t.Helper()
	return startProgramIn(t, nil, args...)
}

// startProgramIn adds to the program's environment.
func startProgramIn(t testing.TB, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(os.Args[0], args...), lines: make(chan string, 10000), done: make(chan error, 1), gone: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.done <- errors.Join(p.cmd.Wait(), w.Close())
		close(p.gone)
	}()
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may be gone already
		for range p.lines {
		}
	})
	return p
}

// await reads on until a line matches, and returns its first group.
func (p *program) await(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	var seen []string
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the program ended without %q:\n%s", pattern, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
		case <-deadline:
			p.t.Fatalf("no line matches %q:\n%s", pattern, strings.Join(seen, "\n"))
		}
	}
}

// rest is what it printed since, for a failed test's message.
func (p *program) rest() string {
	var all []string
	for line := range p.lines {
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

func (p *program) ended() error {
	p.t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(patience):
		p.t.Fatal("the program doesn't end")
		return nil
	}
}

// TestDemoLeavesNothingBehind however it ends.
func TestDemoLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		sig  syscall.Signal
		code bool // it ends by itself, with exit code 0
	}{
		{"Ctrl-C", syscall.SIGINT, true},
		{"SIGTERM", syscall.SIGTERM, true},
		{"kill -9", syscall.SIGKILL, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startProgram(t, "demo")
			folder := p.await(`run in (\S+)`)
			p.await(`The ops channel is at\s+(http://\S+)`)
			if err := p.cmd.Process.Signal(c.sig); err != nil {
				t.Fatal(err)
			}
			if err := p.ended(); c.code && err != nil {
				t.Errorf("it ended with %v:\n%s", err, p.rest())
			}
			gone(t, folder)
		})
	}
}

// TestDemoEndsWithItsParent: `go run` that is told to end dies without telling
// its child.
func TestDemoEndsWithItsParent(t *testing.T) {
	t.Parallel()
	parent := exec.Command("sh", "-c", `"$0" demo & wait`, os.Args[0])
	parent.Env = append(os.Environ(), asProgram+"=1")
	out, err := parent.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-parent.Process.Pid, syscall.SIGKILL) }) // only what this test started
	folder := ""
	for s := bufio.NewScanner(out); folder == "" && s.Scan(); {
		if m := regexp.MustCompile(`run in (\S+)`).FindStringSubmatch(s.Text()); m != nil {
			folder = m[1]
		}
	}
	if folder == "" {
		t.Fatal("the demo never said where its servers run")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed: that is an error, as meant
	gone(t, folder)
}

// gone waits until a folder and every process that works in it are gone.
func gone(t *testing.T, folder string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := os.Stat(folder)
		left := processesIn(t, folder)
		if errors.Is(err, os.ErrNotExist) && len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("left behind: folder %s (%v), processes %v", folder, err, left)
		}
	}
}

// processesIn lists processes whose command line or working folder names it.
func processesIn(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(files) == 0 {
		out, perr := exec.Command("ps", "-axo", "pid,command").Output()
		if perr != nil {
			t.Fatalf("neither /proc nor ps: %v, %v", err, perr)
		}
		return linesWith(string(out), folder)
	}
	var left []string
	for _, f := range files {
		cmd, _ := os.ReadFile(filepath.Join(f, "cmdline")) // a process may end while it is read
		cwd, _ := os.Readlink(filepath.Join(f, "cwd"))
		if strings.Contains(string(cmd), folder) || strings.HasPrefix(cwd, folder) {
			left = append(left, filepath.Base(f)+" "+strings.ReplaceAll(string(cmd), "\x00", " "))
		}
	}
	return left
}

func linesWith(text, words string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, words) {
			out = append(out, line)
		}
	}
	return out
}
