package janitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// variable marks the process that is to be the janitor.
const variable = "TWOKEY_JANITOR"

// order is one line that is written to the janitor.
type order struct {
	Folder string `json:"folder,omitempty"`
	Server string `json:"server,omitempty"` // data folder
	Keep   bool   `json:"keep,omitempty"`   // forget everything
}

// Janitor is the program's end of the pipe. Its methods may be called from several goroutines.
type Janitor struct {
	mu     sync.Mutex
	pipe   *os.File
	cmd    *exec.Cmd
	output *os.File // has no name; what went wrong while cleaning, read after the janitor's end
}

// Start starts the janitor's process. The context is only for starting it.
func Start(ctx context.Context) (*Janitor, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the janitor: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the janitor: find this program: %w", err)
	}
	reader, writer, err := os.Pipe() // close-on-exec: no child of ours but the janitor holds an end
	if err != nil {
		return nil, fmt.Errorf("start the janitor: %w", err)
	}
	defer func() { _ = reader.Close() }()
	output, err := nameless()
	if err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("start the janitor: %w", err)
	}
	j := &Janitor{pipe: writer, output: output}
	j.cmd = exec.Command(program)
	j.cmd.Env = append(cleanEnviron(), variable+"=1")
	j.cmd.Stdin, j.cmd.Stderr = reader, j.output
	j.cmd.Dir = "/"
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := j.cmd.Start(); err != nil {
		_ = errors.Join(writer.Close(), output.Close())
		return nil, fmt.Errorf("start the janitor: %w", err)
	}
	return j, nil
}

// nameless makes a file that vanishes with its last user. A buffer would need a goroutine to fill it.
func nameless() (*os.File, error) {
	file, err := os.CreateTemp("", "twokey-janitor-")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

// cleanEnviron leaves out what only the program itself should know or do: secrets of other names aside, a
// coverage folder or a debugger's socket.
func cleanEnviron() []string {
	var kept []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "TMPDIR", "HOME", "TZ", "GODEBUG", "GOTRACEBACK":
			kept = append(kept, entry)
		}
	}
	return kept
}

// Folder has a folder removed with all that is in it. It must be absolute and at least two levels deep; it
// need not exist yet.
func (j *Janitor) Folder(path string) error {
	if err := removable(path); err != nil {
		return fmt.Errorf("register a folder with the janitor: %w", err)
	}
	return j.send(order{Folder: path})
}

// Server has the server of that data folder stopped, whoever runs it then.
func (j *Janitor) Server(dataDir string) error {
	if !filepath.IsAbs(dataDir) {
		return fmt.Errorf("register a server with the janitor: %q is not absolute", dataDir)
	}
	return j.send(order{Server: dataDir})
}

// Keep makes the janitor forget everything that it was told so far.
func (j *Janitor) Keep() error { return j.send(order{Keep: true}) }

// Close has everything cleaned up and waits for it. The error says what could not be cleaned. Later calls do
// nothing.
func (j *Janitor) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pipe == nil {
		return nil
	}
	err := j.pipe.Close()
	j.pipe = nil
	if waitErr := j.cmd.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("the janitor could not clean up: %w: %s", waitErr, j.complaint()))
	}
	return errors.Join(err, j.output.Close())
}

func (j *Janitor) complaint() []byte {
	text := make([]byte, 4096)
	n, _ := j.output.ReadAt(text, 0) // io.EOF is what is to be expected
	return text[:n]
}

func (j *Janitor) send(o order) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pipe == nil {
		return errors.New("the janitor has been closed")
	}
	if _, err := j.pipe.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("tell the janitor: %w", err)
	}
	return nil
}

// removable guards against the mistake that would hurt most.
func removable(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("%q is not an absolute, clean path", path)
	}
	if strings.Count(path, "/") < 2 {
		return fmt.Errorf("%q is too near to the root to be removed", path)
	}
	return nil
}
