package janitor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"twokey/actions/local"
)

// patience is how long one server may take to stop in good order before it is killed.
const patience = 5 * time.Second

// MaybeRun is the first thing that a main or TestMain calls. In the janitor's process it does the janitor's
// work and exits; else it returns at once.
func MaybeRun() {
	if os.Getenv(variable) == "" {
		return
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)
	if err := serve(os.Stdin); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve reads orders until the pipe ends, then cleans up.
func serve(pipe io.Reader) error {
	var servers, folders []string
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			continue // a program that dies while it writes leaves half a line
		}
		switch {
		case o.Keep:
			servers, folders = nil, nil
		case o.Server != "":
			servers = append(servers, o.Server)
		case o.Folder != "":
			folders = append(folders, o.Folder)
		}
	}
	return errors.Join(lines.Err(), stopAll(servers), removeAll(folders))
}

func stopAll(dataDirs []string) error {
	var problems []error
	for _, dir := range dataDirs {
		problems = append(problems, local.Server{DataDir: dir}.End(context.Background(), patience))
	}
	return errors.Join(problems...)
}

func removeAll(folders []string) error {
	var problems []error
	for _, folder := range folders {
		if err := removable(folder); err != nil {
			problems = append(problems, err)
			continue
		}
		problems = append(problems, os.RemoveAll(folder))
	}
	return errors.Join(problems...)
}
