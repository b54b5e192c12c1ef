package local_test

import (
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

	"github.com/jackc/pgx/v5"

	"twokey/actions/local"
	"twokey/actions/local/pgbin"
)

// alone is one server without a partner.
type alone struct {
	local.Server
	t   *testing.T
	ctx context.Context
}

func newAlone(t *testing.T) *alone {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	programs, err := pgbin.FindOrFetch(ctx, pgbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	user, err := local.ServerUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(memoryFolder(), "twokey-local-")
	if err != nil {
		t.Fatal(err)
	}
	s := &alone{t: t, ctx: ctx, Server: local.Server{
		Programs: programs, DataDir: filepath.Join(dir, "data"), LogFile: filepath.Join(dir, "log"), User: user,
	}}
	t.Cleanup(func() {
		err := errors.Join(s.End(context.Background(), 5*time.Second), os.RemoveAll(dir))
		if err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.Chmod(dir, 0o755), user.Own(dir)); err != nil {
		t.Fatal(err)
	}
	s.copyFresh(user)
	return s
}

// memoryFolder is empty, for the system's own choice, where there is none.
func memoryFolder() string {
	if _, err := os.Stat("/dev/shm"); err != nil {
		return ""
	}
	return "/dev/shm"
}

// copyFresh gives the server a fresh cluster that listens on a socket in its folder: these tests need no
// sessions, and no port.
func (s *alone) copyFresh(user *local.User) {
	s.t.Helper()
	build := func(ctx context.Context, dir string) error {
		made := s.Server
		made.DataDir = filepath.Join(dir, "data")
		if err := made.Init(ctx, "secret"); err != nil {
			return err
		}
		conf := "listen_addresses = ''\ntimezone = 'GMT'\nlog_timezone = 'GMT'\n" +
			"dynamic_shared_memory_type = mmap\njit = off\n"
		return os.WriteFile(filepath.Join(made.DataDir, "postgresql.conf"), []byte(conf), 0o600)
	}
	templates := local.Templates{User: user}
	work := s.DataDir + ".template"
	key := fmt.Sprintf("test-bare-%d", s.Programs.Major)
	if err := templates.Copy(s.ctx, key, work, build); err != nil {
		s.t.Fatal(err)
	}
	s.must(errors.Join(os.Rename(filepath.Join(work, "data"), s.DataDir), os.Remove(work)))
	s.configure("unix_socket_directories = '" + filepath.Dir(s.DataDir) + "'")
}

func (s *alone) configure(line string) {
	s.t.Helper()
	conf, err := os.OpenFile(filepath.Join(s.DataDir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	s.must(err)
	_, err = conf.WriteString(line + "\n")
	s.must(errors.Join(err, conf.Close()))
}

func (s *alone) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *alone) start() local.Process {
	s.t.Helper()
	_, err := s.Start(s.ctx)
	s.must(err)
	s.must(s.WaitReady(s.ctx))
	p, running := s.running()
	if !running {
		s.t.Fatal("a server that is ready does not run")
	}
	return p
}

func (s *alone) running() (local.Process, bool) {
	s.t.Helper()
	p, running, err := s.Running(s.ctx)
	s.must(err)
	return p, running
}

func (s *alone) processes() []int {
	s.t.Helper()
	pids, err := s.Processes(s.ctx)
	s.must(err)
	return pids
}

func (s *alone) pidFile() string { return filepath.Join(s.DataDir, "postmaster.pid") }

func TestServerComesUpAndStops(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		stop  func(*alone) error
		clean bool
	}{
		"fast":      {func(s *alone) error { return s.StopFast(s.ctx) }, true},
		"immediate": {func(s *alone) error { return s.StopImmediate(s.ctx) }, false},
		"killed":    {func(s *alone) error { return s.Kill(s.ctx) }, false},
		"killed while frozen": {func(s *alone) error {
			return errors.Join(s.Freeze(s.ctx), s.Kill(s.ctx))
		}, false},
		"ended while frozen": {func(s *alone) error {
			return errors.Join(s.Freeze(s.ctx), s.End(s.ctx, 10*time.Second))
		}, false},
	}
	s := newAlone(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := s.start()
			if p.Status != local.Ready || time.Since(p.Started).Abs() > time.Minute {
				t.Errorf("process %+v, want ready, started just now", p)
			}
			s.must(tt.stop(s))
			if _, running := s.running(); running || len(s.processes()) > 0 {
				t.Error("it still runs")
			}
			c, err := s.Control(s.ctx)
			s.must(err)
			if c.State.Clean() != tt.clean {
				t.Errorf("its control file says %q", c.State)
			}
		})
	}
}

func TestControlTellsTheCluster(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	c, err := s.Control(s.ctx)
	s.must(err)
	if c.State != local.ShutDown || c.Timeline != 1 || !c.Rewindable || c.SegmentBytes != 16<<20 ||
		c.Checkpoint == 0 || c.Checkpoint != c.Redo || len(c.SystemID) < 18 {
		t.Errorf("got %+v", c)
	}
	s.start()
	if c, err = s.Control(s.ctx); err != nil || c.State != local.InProduction {
		t.Errorf("got %+v, %v; want in production", c, err)
	}
}

func TestStartingTwiceIsOneServer(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	first := s.start()
	second, err := s.Start(s.ctx)
	s.must(err)
	if first.PID != second.PID {
		t.Errorf("process %d, then %d", first.PID, second.PID)
	}
}

func TestServersAreRecognizedByWhoDidNotStartThem(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	p := s.start()
	restarted := local.Server{DataDir: s.DataDir} // what a bot knows after its restart
	if got, running, err := restarted.Running(s.ctx); err != nil || !running || got.PID != p.PID {
		t.Errorf("got %+v, %t, %v; want process %d", got, running, err, p.PID)
	}
}

func TestFrozenServerRuns(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	s.start()
	s.must(s.Freeze(s.ctx))
	if _, running := s.running(); !running {
		t.Error("a frozen server does not run")
	}
	power, err := (&local.Machine{Server: s.Server}).Read(s.ctx)
	if err != nil || power != "on" {
		t.Errorf("the power of a frozen server reads %q, %v; want on", power, err)
	}
	s.must(s.Thaw(s.ctx))
	s.must(s.StopFast(s.ctx))
}

// TestStalePidFileFoolsNobody puts other processes' numbers into the file that a killed server leaves behind.
func TestStalePidFileFoolsNobody(t *testing.T) {
	t.Parallel()
	s, other := newAlone(t), newAlone(t)
	otherPID := other.start().PID
	tests := map[string]func(t *testing.T) int{
		"of no process": deadProcess,
		"of a program of another name": func(t *testing.T) int {
			return program(t, "sleep", "1000")
		},
		"of another server":     func(*testing.T) int { return otherPID },
		"of this very program":  func(*testing.T) int { return os.Getpid() },
		"of a zombie":           zombie,
		"of the first process":  func(*testing.T) int { return 1 },
		"that is no number yet": func(*testing.T) int { return 0 },
	}
	for name, pid := range tests {
		t.Run(name, func(t *testing.T) {
			s.start()
			text, err := os.ReadFile(s.pidFile())
			s.must(err)
			s.must(s.Kill(s.ctx))
			_, rest, _ := strings.Cut(string(text), "\n")
			s.must(os.WriteFile(s.pidFile(), fmt.Appendf(nil, "%d\n%s", pid(t), rest), 0o600))
			if p, running := s.running(); running {
				t.Errorf("it is said to run as %+v", p)
			}
			s.must(s.StopFast(s.ctx)) // harms nobody
			s.must(s.Kill(s.ctx))
			if p, running := other.running(); !running || p.PID != otherPID {
				t.Fatal("another server was stopped")
			}
		})
	}
}

// program runs a program until the test ends.
func program(t *testing.T, name string, args ...string) int {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func deadProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// zombie is a child that has ended and that nobody waited for yet.
func zombie(t *testing.T) int {
	t.Helper()
	pid := program(t, "true")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if f, err := local.DescribePS(t.Context(), pid); err == nil && f.Zombie() {
			return pid
		}
	}
	t.Fatal("the child is no zombie")
	return 0
}

// TestChildrenThatOutliveTheirPostmaster: killed alone, it leaves children that may still acknowledge.
// TestStartThatSlept: whoever wanted to start a server looked, slept, and finds
// another's server there. That one keeps its postmaster.pid, without which a
// second one would be let into its data folder.
func TestStartThatSlept(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	s.start()
	path := filepath.Join(s.DataDir, "postmaster.pid")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := local.ClearStale(s.Server, s.ctx); err == nil {
		t.Error("the file of a running server was taken for a stale one")
	}
	if err := local.RemovePidFile(s.Server, []byte("1\nan older one\n")); err == nil {
		t.Error("a file that changed since it was judged was removed")
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("postmaster.pid is %q, %v", after, err)
	}
	if _, err := os.Stat(path + ".stale"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("postmaster.pid.stale: %v", err)
	}
}

func TestChildrenThatOutliveTheirPostmaster(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	p := s.start()
	s.must(s.Freeze(s.ctx)) // so that they don't notice that it is gone
	s.must(syscall.Kill(p.PID, syscall.SIGKILL))
	for {
		if _, running := s.running(); !running {
			break
		}
	}
	left := s.processes()
	if len(left) == 0 {
		t.Fatal("there is nothing to test: no child is left")
	}
	if power, err := (&local.Machine{Server: s.Server}).Read(s.ctx); err != nil || power != "on" {
		t.Errorf("power reads %q, %v while processes are left", power, err)
	}
	if _, err := s.Start(s.ctx); !errors.Is(err, local.ErrLeftovers) {
		t.Errorf("start beside them: got %v, want ErrLeftovers", err)
	}
	short, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
	defer cancel()
	if err := s.Gone(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Gone beside them: got %v, want its deadline", err)
	}
	s.must(s.Kill(s.ctx))
	if left := s.processes(); len(left) > 0 {
		t.Errorf("left after Kill: %v", left)
	}
	s.start()
}

func TestStartTellsWhyAServerDoesNotComeUp(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	s.configure("shared_buffers = 'plenty'")
	_, err := s.Start(s.ctx)
	var ended *local.StartError
	if !errors.As(err, &ended) || !strings.Contains(ended.Log, "plenty") {
		t.Errorf("got %v, want StartError with the line of the log", err)
	}
	if _, running := s.running(); running {
		t.Error("it runs")
	}
}

func TestGoneEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	s.start()
	short, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
	defer cancel()
	if err := s.Gone(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want its deadline", err)
	}
}

func TestServersNeverRunAsRoot(t *testing.T) {
	t.Parallel()
	s := newAlone(t)
	p := s.start()
	info, err := os.Stat(s.pidFile())
	s.must(err)
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner == 0 {
		t.Errorf("process %d wrote files as root", p.PID)
	}
}

func TestSecretsStayOutOfServers(t *testing.T) {
	t.Setenv("SLACK_SIGNING_SECRET", "planted-secret")
	s := newAlone(t)
	p := s.start()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this system doesn't show a process's environment")
	}
	s.must(err)
	if strings.Contains(string(environ), "planted-secret") {
		t.Error("the server inherited a secret")
	}
}

func TestInitAsksForPasswordsEvenFromHere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	config, err := pgx.ParseConfig(b.a.AdminURL("postgres"))
	b.must(err)
	config.Password = "wrong"
	if c, err := pgx.ConnectConfig(b.ctx, config); err == nil {
		_ = c.Close(b.ctx)
		t.Error("logged in with a wrong password")
	}
}
