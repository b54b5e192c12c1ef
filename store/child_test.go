package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
	"twokey/store/storetest"
)

// childRole names what the test binary is started again for; childPath the
// store that it opens.
const (
	childRole = "TWOKEY_STORE_TEST_CHILD"
	childPath = "TWOKEY_STORE_TEST_PATH"
)

// child runs in a process of its own. It says "open" first, or why it can't.
func child(role string) int {
	s, err := store.Open(os.Getenv(childPath), store.Options{LockTimeout: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("open")
	switch role {
	case "hold":
		_, err = io.Copy(io.Discard, os.Stdin)
	case "write":
		err = writeForEver(s)
	case "full":
		err = writeUntilFull(s)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// writeForEver tells each commit after it was made, as "id version".
func writeForEver(s *store.Store) error {
	ctx, t := noTest{}.Context(), time.Now()
	head, _, err := s.Head(ctx)
	for i := head; err == nil; i++ {
		id := fmt.Sprintf("%012d", i)
		r, events := storetest.Ask(id, "pair "+id, t)
		if r, err = s.Create(ctx, r, events); err != nil {
			break
		}
		fmt.Println(id, r.Version)
		for _, change := range []func(approvals.Request) (approvals.Request, []approvals.Event, error){
			storetest.Yes("dba-1", t), storetest.Yes("manager", t),
			func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Claim(t, "a") },
		} {
			if r, err = s.Update(ctx, id, change); err != nil {
				return err
			}
			fmt.Println(id, r.Version)
		}
		err = errors.Join(
			s.Record(ctx, id, actions.Entry{Attempt: "a", Op: actions.OpStop, Phase: actions.Intent}),
			s.AddSample(ctx, "orders", actions.Sample{At: t.Add(time.Duration(i) * time.Second)}),
			s.SetPlace(ctx, approvals.RequestSubject(id), "C1/1.2"))
		if i%3 == 0 {
			err = errors.Join(err, s.Finish(ctx, id, approvals.Succeed, "verified", actions.Outcome{}))
			fmt.Println(id, r.Version+1)
		}
	}
	return err
}

// writeUntilFull writes until the file may not grow any more, and then once
// more something small, which must work or fail as cleanly.
func writeUntilFull(s *store.Store) error {
	signal.Ignore(syscall.SIGXFSZ)
	info, err := os.Stat(s.Path())
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: uint64(info.Size()) + 64<<10, Max: uint64(info.Size()) + 64<<10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	err = writeForEver(s)
	fmt.Println("full:", err)
	if err == nil || errors.Is(err, store.ErrFailed) {
		return fmt.Errorf("that is no clean refusal: %w", err)
	}
	if _, err := s.Open(noTest{}.Context()); err != nil {
		return fmt.Errorf("it can't be read any more: %w", err)
	}
	return s.Audit(noTest{}.Context(), 0, func(approvals.Event) error { return nil })
}

// process is a started child; its lines come until it ends.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string
}

func start(t *testing.T, role, path string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &process{cmd: cmd, stdin: stdin, lines: make(chan string, 100_000)}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	return p
}

// end waits for the child and gives what it still said.
func (p *process) end() (rest []string, err error) {
	for line := range p.lines {
		rest = append(rest, line)
	}
	return rest, p.cmd.Wait()
}
