package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestImageIsTheSameEachTime builds it twice, whole, and looks into it as a
// container engine does.
func TestImageIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var digests []string
	for _, file := range []string{"one.tar", "two.tar"} {
		// As a program of its own: under the race detector it would compress for a minute.
		cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-o", filepath.Join(dir, file), "-name", "twokey:test", "-arch", "amd64")
		cmd.Stderr = t.Output()
		digest, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, string(digest))
	}
	if digests[0] != digests[1] {
		t.Errorf("the same source gave %v", digests)
	}
	img, err := tarball.ImageFromPath(filepath.Join(dir, "one.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, img)
	if h := files["bot"]; h.Mode != 0o755 || h.Size < 1<<20 {
		t.Errorf("the program: mode %o, %d bytes", h.Mode, h.Size)
	}
	if h := files["var/lib/twokey"]; h.Uid != user || h.Mode != 0o700 {
		t.Errorf("the store's folder is user %d's, mode %o", h.Uid, h.Mode)
	}
}

func filesOf(t *testing.T, img v1.Image) map[string]tar.Header {
	t.Helper()
	r := mutate.Extract(img)
	defer func() { _ = r.Close() }()
	files := map[string]tar.Header{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = *h
	}
}

// TestDockerfileSaysTheSame: the two ways to the image must not drift apart.
func TestDockerfileSaysTheSame(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	img, err := assemble([]byte("program"), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	last := text[strings.LastIndex(text, "\nFROM "):]
	if !strings.HasPrefix(last, "\nFROM scratch\n") {
		t.Error("the last stage of the Dockerfile is not from scratch")
	}
	words := func(instruction string) string {
		m := regexp.MustCompile(`(?m)^` + instruction + ` (.*)$`).FindStringSubmatch(last)
		if m == nil {
			t.Fatalf("the Dockerfile has no %s", instruction)
		}
		return m[1]
	}
	list := func(text string) (out []string) {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		return out
	}
	if got := words("USER"); got != file.Config.User {
		t.Errorf("USER %s, but %s", got, file.Config.User)
	}
	if got := words("WORKDIR"); got != file.Config.WorkingDir {
		t.Errorf("WORKDIR %s, but %s", got, file.Config.WorkingDir)
	}
	if got := list(words("ENTRYPOINT")); !slices.Equal(got, file.Config.Entrypoint) {
		t.Errorf("ENTRYPOINT %v, but %v", got, file.Config.Entrypoint)
	}
	if got := list(words("CMD")); !slices.Equal(got, file.Config.Cmd) {
		t.Errorf("CMD %v, but %v", got, file.Config.Cmd)
	}
	check := words("HEALTHCHECK --interval=30s --timeout=5s CMD")
	if got := append([]string{"CMD"}, list(check)...); !slices.Equal(got, file.Config.Healthcheck.Test) {
		t.Errorf("HEALTHCHECK %v, but %v", got, file.Config.Healthcheck.Test)
	}
	for _, flags := range []string{"-trimpath", "-buildvcs=false", `-ldflags="-s -w -buildid="`, "CGO_ENABLED=0"} {
		if !strings.Contains(text, flags) {
			t.Errorf("the Dockerfile builds without %s", flags)
		}
	}
}

func TestImageRefusesAWrongName(t *testing.T) {
	t.Parallel()
	_, err := run(t.Context(), options{out: filepath.Join(t.TempDir(), "x.tar"), tag: "Two Keys", arch: "amd64"})
	if err == nil || !strings.Contains(err.Error(), "no name of an image") {
		t.Error(err)
	}
}
