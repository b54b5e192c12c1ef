package deploy_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tool finds a program that go test doesn't need. Without it the test is skipped,
// loudly; where all must run (TWOKEY_CI=1) it fails.
func tool(t *testing.T, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("TWOKEY_CI") != "" {
		t.Fatalf("there is no %s: %s", name, from)
	}
	t.Skipf("NOT CHECKED: there is no %s here (%s); CI has it", name, from)
	return ""
}

func just(t *testing.T) string {
	t.Helper()
	return tool(t, "just", "npm install --global rust-just, or your system's package")
}

// checkout is a copy of what the recipes use, in which they may write, with a
// search path on which nothing but the ordinary programs is.
type checkout struct {
	t    *testing.T
	dir  string
	path string   // the one folder of the search path
	env  []string // more of the environment
}

// ordinary is what every Debian has.
var ordinary = []string{
	"bash", "base64", "cat", "chmod", "cp", "cut", "dirname", "env", "grep", "head", "install", "mkdir", "mktemp", "rm", "sed", "sh", "sha256sum",
	"sleep", "tail", "tr",
}

func newCheckout(t *testing.T) *checkout {
	t.Helper()
	c := &checkout{t: t, dir: t.TempDir(), path: t.TempDir()}
	for _, folder := range []string{"deploy", "manifests", "sql"} {
		c.must(os.CopyFS(filepath.Join(c.dir, folder), os.DirFS(filepath.Join("..", folder))))
	}
	for _, file := range []string{"Justfile", "Dockerfile"} {
		text, err := os.ReadFile(filepath.Join("..", file))
		c.must(err)
		c.must(os.WriteFile(filepath.Join(c.dir, file), text, 0o600))
	}
	c.must(os.MkdirAll(filepath.Join(c.dir, "terraform", "modules", "vultr_instance"), 0o755))
	c.must(os.MkdirAll(filepath.Join(c.dir, "kube"), 0o755))
	for _, name := range ordinary {
		real, err := exec.LookPath(name)
		c.must(err)
		c.must(os.Symlink(real, filepath.Join(c.path, name)))
	}
	return c
}

func (c *checkout) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// program puts one on the search path that notes each call, and then does what the
// bash body says.
func (c *checkout) program(name, body string) {
	c.t.Helper()
	text := "#!/bin/bash\nprintf '%s\\n' \"" + name + " $*\" >>" + c.file("calls") + "\n" + body + "\n"
	c.must(os.WriteFile(filepath.Join(c.path, name), []byte(text), 0o755))
}

func (c *checkout) file(name string) string { return filepath.Join(c.dir, name) }

func (c *checkout) write(name, text string) {
	c.t.Helper()
	c.must(os.WriteFile(c.file(name), []byte(text), 0o600))
}

// calls are those of the programs, in order.
func (c *checkout) calls() []string {
	c.t.Helper()
	text, err := os.ReadFile(c.file("calls"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	c.must(err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// called says whether a program was called with all the words.
func (c *checkout) called(words ...string) bool {
	c.t.Helper()
	return slices.ContainsFunc(c.calls(), func(call string) bool {
		for _, word := range words {
			if !strings.Contains(call, word) {
				return false
			}
		}
		return true
	})
}

// run runs a script of deploy/ with the input, and gives what it said.
func (c *checkout) run(input string, arguments ...string) (code int, said string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(c.dir, "deploy", arguments[0]), arguments[1:]...)
	cmd.Env = append([]string{"PATH=" + c.path, "HOME=" + c.dir, "TWOKEY_KUBE=" + c.file("kube"), "TWOKEY_BOT=twokey"}, c.env...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String()
	}
	c.must(err)
	return 0, out.String()
}

// clusters gives both nodes and the bot a kubeconfig, and a kubectl that answers
// for a pair whose primary is dc1; body goes before its answers.
func (c *checkout) clusters(body string) {
	c.t.Helper()
	for _, name := range []string{"dc1", "dc2", "bot"} {
		c.write(filepath.Join("kube", name), "apiVersion: v1\nkind: Config\n")
	}
	c.program("kubectl", `
name=${2##*/}
case "$*" in
`+body+`
*pg_is_in_recovery*) [ "$name" = dc1 ] && echo f || echo t ;;
*pg_size_pretty*) echo "12 MB" ;;
*"count(*) FROM pg_stat_replication"*) echo 1 ;;
*"df -h"*) echo "  9G" ;;
*"test -e"*rewind-unfinished*) exit 1 ;;
esac
exit 0`)
}
